"""What finished steps leave behind, and what is read of it."""

from __future__ import annotations

import uuid
from datetime import timedelta

import pytest
from lives import NOON, World
from sqlalchemy import func, select

from app.measurements import CALIBRATION, KEPT, Seen, add, encoder_digest, known_devices, of_device, rates, record
from app.models import Dataset, Measurement, Status, Step
from fastmtl.plan import Json, StepSpec
from fastmtl.size import Size
from fastmtl.workload import Work

ENCODER = "folder:/an/encoder"
DIGEST = encoder_digest(ENCODER)
SIZE = Size(23_000_000, 11_000_000, 2_304)
MACHINE = "a machine, 2 threads, fp32"
TOLD: Json = {
    "measured": {
        "device": MACHINE,
        "precision": "auto",
        "groups": 4,
        "seconds": 7.5,
        "peak_bytes": 2**30,
        "size": SIZE._asdict(),
    },
    "read": {"encoder": ENCODER, "max_length": 128, "texts": {"d": [100, 2_700]}},
}
SCORE = StepSpec("score", "score 1/1", 1, {"pieces": [["d", 0, 60]], "precision": "auto"}, datasets=("d",))
LEAKAGE = StepSpec("leakage", "leakage", 1, {"held": "d", "near": True}, datasets=("d",))
PLAIN: Json = {"measured": {**TOLD["measured"], "device": "a machine", "precision": None, "size": None}}


class Measured(World):
    """A dataset of 100 rows of 100 characters, and steps over it."""

    def __init__(self, database) -> None:
        super().__init__(database)
        lengths = {"mean": 100.0, "median": 100.0, "p95": 100.0, "longest": 100}
        dataset = Dataset(
            id=uuid.uuid4(),
            tenant_id=self.tenant,
            name="d",
            created_at=NOON,
            kind="classification",
            rows=100,
            digest="d",
            source_bytes=1,
            source_sha256="",
            storage_key="",
            summary={"lengths": lengths, "columns": {"text_a": "a", "text_b": None, "label": "l"}},
        )
        with database.transaction() as session:
            session.add(dataset)

    def done(self, spec: StepSpec, result: Json, *, fence: int = 1, seconds: float = 9.0) -> None:
        step = Step(
            id=uuid.uuid4(),
            tenant_id=self.tenant,
            fingerprint=uuid.uuid4().hex,
            kind=spec.kind,
            spec=spec.to_json(),
            needs_device=True,
            urgency=0,
            line=uuid.uuid4(),
            status=Status.SUCCEEDED,
            fence=fence,
            created_at=NOON,
            started_at=NOON,
            finished_at=NOON + timedelta(seconds=seconds),
        )
        with self.database.transaction() as session:
            session.add(step)
            session.flush()
            record(session, step, result)

    def rows(self) -> list[Measurement]:
        with self.database.reading() as session:
            return list(session.scalars(select(Measurement)))

    def log(self, precision: str = "auto"):
        with self.database.reading() as session:
            return of_device(session, precision)


@pytest.fixture
def world(database) -> Measured:
    return Measured(database)


def seen(number: int = 1, **changes: object) -> Seen:
    values = {
        "device": MACHINE,
        "kind": "score",
        "encoder": DIGEST,
        "work": Work(scored_rows=number, scored_tokens=30 * number),
        "size": SIZE,
        "starts": 1,
        "seconds": float(number),
        "peak_bytes": 2**30,
        "groups": 4,
        "precision": "auto",
        "rate": 0.25,
    }
    return Seen(**{**values, **changes})


def test_a_finished_step_leaves_what_it_had_to_do_and_what_it_took(world: Measured):
    world.done(SCORE, TOLD)
    (row,) = world.rows()
    assert (row.device, row.kind, row.encoder, row.seconds, row.peak_bytes) == (MACHINE, "score", DIGEST, 9.0, 2**30)
    assert {key: row.work[key] for key in ("rows", "steps", "precision", "groups", "starts")} == {
        **{"rows": 60, "steps": 0, "precision": "auto"},
        **{"groups": 4, "starts": 1},
    }
    assert row.work["tokens"] == pytest.approx(60 * 27, rel=0.001)  # 2,700 tokens in 100 rows
    assert row.work["tokens_per_character"] == pytest.approx(0.25, rel=0.001)  # 2 marks, and 25 of 100 characters
    (read,) = world.log().with_torch
    assert (read.size, read.precision, read.work.scored_rows) == (SIZE, "auto", 60)


def test_one_without_an_encoder_leaves_what_it_read(world: Measured):
    world.done(LEAKAGE, PLAIN)
    (found,) = world.log().without
    assert (found.kind, found.encoder, found.size, found.work) == ("leakage", "", None, Work(read=10_000))
    assert (world.log().device, world.log().with_torch) == (None, ())


@pytest.mark.parametrize(
    ("result", "fence"),
    [
        ({"rows": 100}, 1),  # of an older worker
        (TOLD, 2),  # an attempt before may have done a part of it
        ({**TOLD, "measured": {"device": ""}}, 1),
        ({**TOLD, "measured": {**TOLD["measured"], "size": None}}, 1),
    ],
)
def test_what_nothing_could_be_reckoned_from_is_not_kept(world: Measured, result: Json, fence: int):
    world.done(SCORE, result, fence=fence)
    assert world.rows() == []


def test_a_step_whose_dataset_is_gone_leaves_nothing(world: Measured):
    world.done(StepSpec("score", "s", 1, {"pieces": [["gone", 0, 60]]}, datasets=("gone",)), TOLD)
    assert world.rows() == []


def test_the_newest_of_a_kind_are_kept(world: Measured):
    with world.database.transaction() as session:
        for number in range(1, KEPT + 4):
            add(session, [seen(number)], NOON + timedelta(seconds=number))
        add(session, [seen(1, kind="target")], NOON)
        kept = session.scalar(select(func.min(Measurement.seconds)).where(Measurement.kind == "score"))
        assert (kept, session.scalar(select(func.count(Measurement.id)))) == (4.0, KEPT + 1)


def test_the_device_is_the_one_that_measured_most_often_lately(world: Measured):
    with world.database.transaction() as session:
        add(session, [seen(1, device="old, fp32")] * 3, NOON)
        add(session, [seen(2)] * 18, NOON + timedelta(hours=1))
    log = world.log()
    assert (log.device, log.groups, log.same_precision, len(log.with_torch)) == (MACHINE, 4, True, 18)


@pytest.mark.parametrize(
    ("asked", "device", "same"),
    [("auto", "gpu, bf16", True), ("bf16", "gpu, bf16", True), ("fp32", "gpu, bf16", False)],
)
def test_a_precision_that_was_never_measured_is_told_by_another(world: Measured, asked: str, device: str, same: bool):
    with world.database.transaction() as session:
        add(session, [seen(1, device="gpu, bf16")], NOON)
    assert (world.log(asked).device, world.log(asked).same_precision) == (device, same)


def test_nothing_measured_is_nothing_known(world: Measured):
    log = world.log()
    assert (log.device, log.with_torch, log.without, log.groups) == (None, (), (), 1)


def test_rates_and_devices_are_those_of_the_encoder(world: Measured):
    with world.database.transaction() as session:
        add(session, [seen(1), seen(2, kind=CALIBRATION, rate=None), seen(3, encoder="another", rate=0.9)], NOON)
        assert (rates(session, DIGEST), known_devices(session, DIGEST)) == ([0.25], {MACHINE})
        assert known_devices(session, "never") == set()
