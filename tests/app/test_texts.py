"""What is known of how many tokens texts have."""

from __future__ import annotations

import uuid

import pytest
from lives import NOON, World

from app.models import Dataset, JobDataset, JobStep, Status, Step
from app.texts import Rate, Read, counted_lengths, counted_rates, mean_rate, row_lengths

ENCODER = "folder:/an/encoder"


def dataset(tenant: uuid.UUID, digest: str = "d", rows: int = 100) -> Dataset:
    """100 rows of 100 characters each."""
    lengths = {"mean": 100.0, "median": 100.0, "p95": 100.0, "longest": 100}
    return Dataset(
        id=uuid.uuid4(),
        tenant_id=tenant,
        name=digest,
        created_at=NOON,
        kind="classification",
        rows=rows,
        digest=digest,
        source_bytes=1,
        source_sha256="",
        storage_key="",
        summary={"lengths": lengths, "columns": {"text_a": "a", "text_b": None, "label": "l"}},
    )


def read(digest: str, rows: int, tokens: int, max_length: int = 128, encoder: str = ENCODER) -> dict:
    return {"encoder": encoder, "max_length": max_length, "texts": {digest: [rows, tokens]}}


class Texts(World):
    """A job over one dataset, whose steps have said what they read."""

    def __init__(self, database) -> None:
        super().__init__(database)
        self.dataset = dataset(self.tenant)
        with self.database.transaction() as session:
            session.add(self.dataset)
        self.job_id = self.create([])
        with self.database.transaction() as session:
            session.add(
                JobDataset(
                    job_id=self.job_id, position=0, dataset_id=self.dataset.id, role="primary", key=self.dataset.name
                )
            )
        self.steps = 0

    def said(self, told: dict, kind: str = "score", status: Status = Status.SUCCEEDED) -> None:
        step = Step(
            id=uuid.uuid4(),
            tenant_id=self.tenant,
            fingerprint=uuid.uuid4().hex,
            kind=kind,
            spec={},
            needs_device=True,
            urgency=0,
            line=self.job_id,
            status=status,
            result={"read": told},
            created_at=NOON,
            finished_at=NOON,
        )
        with self.database.transaction() as session:
            session.add(step)
            session.flush()
            session.add(
                JobStep(job_id=self.job_id, position=self.steps, step_id=step.id, name=str(self.steps), reused=False)
            )
        self.steps += 1

    def rates(self, encoder: str = ENCODER, max_length: int = 128, tenant: uuid.UUID | None = None) -> dict[str, Rate]:
        with self.database.reading() as session:
            return counted_rates(session, tenant or self.tenant, [self.dataset], encoder, max_length)


@pytest.fixture
def texts(database) -> Texts:
    return Texts(database)


def test_texts_that_a_step_read_are_counted(texts: Texts):
    texts.said(read("d", 100, 2_700))  # 27 tokens a row: 2 marks and 100 characters at a quarter
    rate = texts.rates()["d"]
    assert (rate.basis, rate.doubt) == ("counted", 0)
    assert rate.value == pytest.approx(0.25, rel=0.02)
    assert row_lengths(texts.dataset, rate, 128).mean == pytest.approx(27, rel=0.001)


def test_the_count_of_the_most_rows_is_taken_and_is_the_surer(texts: Texts):
    texts.said(read("d", 10, 500), kind="discriminator")
    few = texts.rates()["d"]
    texts.said(read("d", 100, 2_700))
    assert few.doubt > texts.rates()["d"].doubt
    assert texts.rates()["d"].value < few.value


@pytest.mark.parametrize(
    ("told", "kind", "status"),
    [
        (read("d", 100, 2_700, encoder="folder:/another"), "score", Status.SUCCEEDED),
        (read("d", 100, 2_700), "target", Status.SUCCEEDED),  # chosen rows are not all rows
        (read("d", 100, 2_700), "score", Status.CANCELLED),
        (read("other", 100, 2_700), "score", Status.SUCCEEDED),
        (read("d", 0, 0), "score", Status.SUCCEEDED),
        (read("d", 100, 1_600, max_length=16), "score", Status.SUCCEEDED),  # all cut
    ],
)
def test_what_says_nothing_of_these_texts_is_not_taken(texts: Texts, told: dict, kind: str, status: Status):
    texts.said(told, kind, status)
    assert texts.rates() == {}


def test_rows_that_were_cut_say_how_long_they_are_where_they_are_cut_again(texts: Texts):
    texts.said(read("d", 100, 1_600, max_length=16))
    assert row_lengths(texts.dataset, texts.rates(max_length=16)["d"], 16).mean == pytest.approx(16)


def test_another_tenants_steps_tell_nothing(texts: Texts):
    texts.said(read("d", 100, 2_700))
    assert texts.rates(tenant=texts.add_tenant("bob's")) == {}


def test_a_rate_of_other_texts_is_their_median_and_as_sure_as_they_are_alike():
    assert Rate.of([]) == Rate.assumed()
    alike, apart = Rate.of([0.2, 0.21, 0.22]), Rate.of([0.1, 0.2, 0.9])
    assert (alike.value, alike.basis, apart.value) == (0.21, "measured", 0.2)
    assert alike.doubt < apart.doubt
    assert apart.doubt > Rate.assumed().doubt


def test_the_rate_of_all_that_a_step_read_leaves_out_what_was_mostly_cut():
    some, cut = dataset(uuid.uuid4(), "some"), dataset(uuid.uuid4(), "cut")
    told = Read(encoder=ENCODER, max_length=30, texts={"some": (100, 2_200), "cut": (100, 3_000), "chosen": (5, 9)})
    assert mean_rate({"some": some, "cut": cut}, told) == pytest.approx(0.2, rel=0.03)  # (22 - 2) / 100
    assert mean_rate({"cut": cut}, told) is None


def test_lengths_of_a_dataset_that_was_not_read_are_assumed():
    told = Read(encoder=ENCODER, max_length=128, texts={})
    assert counted_lengths(dataset(uuid.uuid4()), told).mean == pytest.approx(2 + 0.22 * 100, rel=0.02)
