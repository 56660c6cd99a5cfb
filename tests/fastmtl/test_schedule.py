"""When a plan is done."""

from __future__ import annotations

import pytest

from fastmtl.plan import StepSpec
from fastmtl.schedule import elapsed


def step(kind: str, *needs: StepSpec, name: str = "") -> StepSpec:
    fingerprints = tuple(need.fingerprint for need in needs)
    return StepSpec(kind=kind, name=name or kind, version=1, params={"name": name}, needs=fingerprints)


TRAIN = step("discriminator")
SHARDS = [step("score", TRAIN, name=f"score {index}") for index in range(3)]
SELECT = step("select", *SHARDS)
PLAN = [TRAIN, *SHARDS, SELECT]
SECONDS = {TRAIN.fingerprint: 10.0, **{shard.fingerprint: 4.0 for shard in SHARDS}, SELECT.fingerprint: 1.0}


@pytest.mark.parametrize(
    ("workers", "expected"),
    [
        (1, 23.0),  # 10 + 3 * 4 + 1
        (2, 19.0),  # 10 + 2 rounds of 4 + 1
        (3, 15.0),  # 10 + 4 + 1: the critical path
        (9, 15.0),
    ],
)
def test_shards_are_shared_out_among_the_workers(workers: int, expected: float):
    assert elapsed(PLAN, SECONDS, workers) == expected


def test_a_step_that_is_done_already_takes_no_time():
    left = {fingerprint: seconds for fingerprint, seconds in SECONDS.items() if fingerprint != TRAIN.fingerprint}
    assert elapsed(PLAN, left, 1) == 13.0


def test_the_more_urgent_of_two_that_are_ready_is_begun_first():
    """The selection and its training first, then the other arm's training: 1 + 5, and beside it 5."""
    target = step("target", SELECT, name="of the selection")
    alone = step("target", name="primary alone")
    seconds = {SELECT.fingerprint: 1.0, target.fingerprint: 5.0, alone.fingerprint: 5.0}
    assert elapsed([alone, *PLAN, target], seconds, 2) == 6.0


def test_no_steps_take_no_time():
    assert elapsed([], {}, 1) == 0.0
