"""Which workers are there."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from app.roll import KEPT_SECONDS, Roll
from app.settings import Settings


@pytest.fixture
def roll(tmp_path: Path) -> Roll:
    return Roll(Settings(home=tmp_path, sweep_seconds=5))


def called(home: Path, worker: str, seconds_ago: float) -> None:
    at = time.time() - seconds_ago
    os.utime(home / "workers" / worker, (at, at))


def test_before_any_worker_there_are_none(roll):
    assert roll.count() == 0


def test_a_worker_counts_once_however_often_it_calls(roll):
    for worker in ("ada", "ada", "bob"):
        roll.call(worker)
    assert roll.count() == 2


@pytest.mark.parametrize(("seconds_ago", "counted"), [(14, 1), (16, 0)])  # three sweeps of 5 s
def test_a_worker_that_missed_three_sweeps_is_gone(roll, tmp_path, seconds_ago, counted):
    roll.call("ada")
    called(tmp_path, "ada", seconds_ago)
    assert roll.count() == counted


def test_a_worker_that_leaves_is_gone_at_once_and_takes_the_long_gone_along(roll, tmp_path):
    for worker in ("ada", "bob", "crashed"):
        roll.call(worker)
    called(tmp_path, "crashed", KEPT_SECONDS + 1)
    roll.leave("ada")
    assert [file.name for file in (tmp_path / "workers").iterdir()] == ["bob"]
    assert roll.count() == 1


def test_leaving_without_ever_having_called_is_no_error(roll):
    roll.leave("ada")
    assert roll.count() == 0
