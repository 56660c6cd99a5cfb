"""Every test of the list that breaks things, in its short form; in full with `make test-faults`."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from accounts import Account, Place, Point, Scale
from points import POINTS
from results import record, stopwatch

CASES = [pytest.param(point, stack, id=f"{point.number}-{stack}") for point in POINTS for stack in point.stacks]
EVERY_TIME = {"1-embedded", "1-full", "2-full", "3-full", "5-embedded", "6-embedded", "13-full"}
"""Short forms that `make test` runs; `make test-slow` runs the others. From point 7 on, and for point 4, the tests of
the files concerned are short forms too.
"""
SHORT_CASES = [
    pytest.param(*case.values, id=case.id, marks=() if case.id in EVERY_TIME else pytest.mark.slow) for case in CASES
]
SHARE = "FASTMTL_TEST_FAULTS_SHARE"
"""Share of the full form that `faults` runs; below one nothing is published."""


@pytest.fixture
def place(request: pytest.FixtureRequest, stack_name: str, tmp_path: Path) -> Place:
    """Somewhere to run the service; FASTMTL_HOME lies beside the test's own folder."""
    environment = {"FASTMTL_HOME": str(tmp_path / "home")}
    if stack_name == "full":
        environment |= {
            "FASTMTL_DATABASE_URL": request.getfixturevalue("postgres_url"),
            "FASTMTL_BROKER_URL": request.getfixturevalue("redis_url"),
        }
    return Place(stack_name, environment, tmp_path)


def check(account: Account) -> None:
    assert account.failures == [], "\n".join(account.notes)


@pytest.mark.timeout(600)
@pytest.mark.parametrize(("point", "stack_name"), SHORT_CASES)
def test_in_short(point: Point, place: Place):
    check(point.run(place, Scale(point.short)))


@pytest.mark.faults
@pytest.mark.timeout(7200)
@pytest.mark.parametrize(("point", "stack_name"), CASES)
def test_in_full(point: Point, place: Place, capsys: pytest.CaptureFixture):
    began = stopwatch()
    scale = Scale(float(os.environ.get(SHARE, "1")))
    account = point.run(place, scale)
    if scale.full:
        record(point, place.stack, account, stopwatch() - began)
    with capsys.disabled():
        print(f"\n{point.number} {place.stack}: {account.done}")  # noqa: T201 - long runs are watched
        for figure in account.figures:
            print(f"  {figure.name}: {figure.measured:g}" + (f" ({figure.required})" if figure.required else ""))  # noqa: T201
    check(account)
