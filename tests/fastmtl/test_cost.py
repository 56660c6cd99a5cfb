"""What steps took: a record a step, kept once however many steps need it, and what the records add up to."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from fastmtl import cost
from fastmtl.plan import Json, StepSpec

MEGABYTES = 64 * 2**20


def step(name: str, kind: str = "rank", passes: int = 0) -> StepSpec:
    return StepSpec(kind=kind, name=name, version=1, params={"name": name}, cost=passes)


def measure(folder: Path, spec: StepSpec, *inputs: Path, result: Json | None = None) -> Path:
    folder.mkdir()
    with cost.measured(spec, inputs, folder, "cpu") as told:
        told.update(result or {})
    return folder


def record(kind: str = "rank", **more: object) -> Json:
    return {"step": kind, "kind": kind, "seconds": 1.0, "passes": 0, "rows": None, "bytes": 0, "device_bytes": 0} | more


def test_a_record_says_what_the_step_took_and_went_over(tmp_path):
    spec = step("score 1/1", "score", passes=120)
    (found,) = cost.read(measure(tmp_path / "a", spec, result={"rows": 120})).items()
    assert found[0] == spec.fingerprint
    assert found[1] | {"seconds": 0, "bytes": 0} == {
        "step": "score 1/1",
        "kind": "score",
        "seconds": 0,
        "passes": 120,
        "rows": 120,
        "bytes": 0,
        "device_bytes": 0,
    }
    assert found[1]["seconds"] >= 0 and found[1]["bytes"] > 0


@pytest.mark.parametrize("result", [{}, {"rows": {"train": 5}}], ids=["says nothing", "says of which"])
def test_a_step_that_does_not_count_its_rows_has_none(tmp_path, result):
    (found,) = cost.read(measure(tmp_path / "a", step("select", "select"), result=result)).values()
    assert found["rows"] is None


def test_the_record_of_a_training_has_its_losses(tmp_path):
    (found,) = cost.read(measure(tmp_path / "a", step("target", "target"), result={"losses": [0.75, 0.5]})).values()
    assert found["losses"] == [0.75, 0.5]


def test_the_peak_is_that_of_the_step_and_not_of_those_before_it(tmp_path):
    if not os.access("/proc/self/clear_refs", os.W_OK):
        pytest.skip("this system keeps no peak that can be forgotten")
    (tmp_path / "large").mkdir()
    with cost.measured(step("large"), [], tmp_path / "large", "cpu"):
        held = bytearray(MEGABYTES)
        held[:: 2**12] = b"x" * len(held[:: 2**12])
        del held
    small = measure(tmp_path / "small", step("small"))
    peaks = [next(iter(cost.read(folder).values()))["bytes"] for folder in (tmp_path / "large", small)]
    assert peaks[0] - peaks[1] > MEGABYTES / 2


def test_a_folder_holds_the_records_of_all_steps_behind_it_each_once(tmp_path):
    training, scoring, other, select = (step(name) for name in ("training", "scoring", "other", "select"))
    first = measure(tmp_path / "training", training)
    second = measure(tmp_path / "scoring", scoring, first)
    third = measure(tmp_path / "other", other, first)
    last = measure(tmp_path / "select", select, second, third)
    assert {fingerprint: each["step"] for fingerprint, each in cost.read(last).items()} == {
        each.fingerprint: each.name for each in (training, scoring, other, select)
    }
    assert cost.read(last)[training.fingerprint] == cost.read(first)[training.fingerprint]


def test_a_step_that_fails_leaves_no_record(tmp_path):
    with pytest.raises(ZeroDivisionError), cost.measured(step("a"), [], tmp_path, "cpu"):
        raise ZeroDivisionError
    assert cost.read(tmp_path) == {}


def test_seconds_and_passes_add_up_and_memory_is_the_largest():
    records = [
        record(seconds=0.1, passes=5, bytes=70, device_bytes=0),
        record(seconds=0.2, passes=7, bytes=30, device_bytes=9),
    ]
    assert cost.total(records) == {"seconds": 0.3, "passes": 12, "bytes": 70, "device_bytes": 9}
    assert cost.total([]) == {"seconds": 0, "passes": 0, "bytes": 0, "device_bytes": 0}


@pytest.mark.parametrize(
    ("records", "speed"),
    [
        # 600 auxiliary rows in the 2 + 3 + 1 seconds of scoring; what trains, selects and searches leaks does not count
        (
            [
                record("discriminator", seconds=50.0),
                record("score", seconds=2.0, rows=400),
                record("score", seconds=3.0, rows=300),
                record("rank", seconds=1.0, rows=600),
                record("leakage", seconds=9.0),
                record("select", seconds=9.0),
            ],
            100,
        ),
        # Of a cascade all that is done so that not every row is scored counts: 600 in 1 + 2 + 3 seconds
        (
            [
                record("tokens", seconds=1.0, rows=700),
                record("sample", seconds=2.0, rows=40),
                record("cascade", seconds=3.0, rows=100),
                record("rank", seconds=0.0, rows=600),
            ],
            100,
        ),
        # The same 600 rows are ranked twice where a cheaper method goes before: they are still 600
        ([record("rank", seconds=1.0, rows=600), record("rank", seconds=2.0, rows=600)], 200),
        ([record("select", seconds=1.0)], None),
        ([record("rank", seconds=0.0, rows=600)], None),
        ([], None),
    ],
    ids=["discriminator", "cascade", "slice", "nothing scored", "no time", "nothing"],
)
def test_the_speed_of_scoring_is_in_auxiliary_rows(records, speed):
    assert cost.rows_per_second(records) == speed
