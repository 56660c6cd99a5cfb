"""What is told besides the count: to those who listen, and without moving it."""

from __future__ import annotations

import pytest

from fastmtl.plan import silent
from fastmtl.telling import Counted, Standing, tell_metrics, warn

Told = list[tuple[int, int, str, str]]


def listener(told: Told):
    def progress(done: int, total: int, unit: str, message: str = "") -> None:
        told.append((done, total, unit, message))

    return progress


def test_work_beside_the_count_changes_the_message_alone():
    told: Told = []
    standing = Standing(listener(told))
    standing(40, 100, "rows", "epoch 1 of 2")
    standing.beside("measuring")(1_000, 2_000, "rows")
    standing(60, 100, "rows", "epoch 2 of 2")
    assert told == [
        (40, 100, "rows", "epoch 1 of 2"),
        (40, 100, "rows", "measuring: 1,000 of 2,000 rows"),
        (60, 100, "rows", "epoch 2 of 2"),
    ]


def test_before_anything_was_counted_nothing_is_done():
    told: Told = []
    Standing(listener(told)).beside("reading")(8_192, 50_000, "rows")
    assert told == [(0, 50_000, "rows", "reading: 8,192 of 50,000 rows")]


def test_a_progress_that_takes_no_metrics_is_not_told_of_them():
    tell_metrics(silent, {"loss": 0.5})
    tell_metrics(Standing(silent).beside("reading"), {"loss": 0.5})


def test_a_warning_that_no_progress_takes_is_one_of_pythons():
    with pytest.warns(RuntimeWarning, match="it is slow"):
        warn(silent, "it is slow")


def test_pieces_are_added_up():
    told: Told = []
    counted = Counted(listener(told), 30)
    for rows in (10, 20):
        counted.add(rows)
    assert told == [(10, 30, "rows", ""), (30, 30, "rows", "")]
