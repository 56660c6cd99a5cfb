"""Progress: rate, time left, and no more than is worth telling."""

from __future__ import annotations

from fastmtl.telling import Standing, tell_metrics, warn
from worker.progress import Reporter
from worker.protocol import Message


def told(calls: list[tuple[float, int]]) -> list[tuple[int, float | None, float | None]]:
    """(done, per_second, seconds_left) of what is passed on; calls are (time, done) of 100."""
    lines: list[Message] = []
    time = iter([at for at, _ in calls])
    reporter = Reporter(lines.append, lambda: next(time))
    for _, done in calls:
        reporter(done, 100, "rows")
    told = [line.progress for line in lines]
    return [(each["done"], each["per_second"], each["seconds_left"]) for each in told]


def test_the_rate_counts_from_the_first_call_and_gives_the_time_left():
    # 40 rows in 2 s after the first call: 20 a second; 50 left: 2.5 s
    assert told([(10.0, 10), (12.0, 50)]) == [(10, None, None), (50, 20.0, 2.5)]


def test_calls_that_follow_too_quickly_are_not_told_but_the_last_is():
    assert [done for done, *_ in told([(0.0, 1), (0.1, 2), (0.2, 3), (0.3, 4), (0.35, 100)])] == [1, 4, 100]


def test_time_before_the_first_unit_says_nothing_of_the_rate():
    # reading took 60 s; then 20 rows in 2 s: 10 a second, and the other 80 take 8 s
    assert told([(0.0, 0), (60.0, 0), (62.0, 20)])[-1] == (20, 10.0, 8.0)


def test_another_count_has_a_rate_of_its_own():
    lines: list[Message] = []
    time = iter([0.0, 1.0, 2.0, 4.0])
    reporter = Reporter(lines.append, lambda: next(time))
    for done, total in [(50, 100), (100, 100), (10, 400), (50, 400)]:
        reporter(done, total, "rows")
    assert [line.progress["per_second"] for line in lines] == [None, 50.0, None, 20.0]


def test_metrics_and_warnings_are_passed_on_through_what_stands_between():
    lines: list[Message] = []
    standing = Standing(Reporter(lines.append))
    tell_metrics(standing, {"epoch": 1, "loss": 0.5})
    warn(standing.beside("reading"), "it is slow")
    assert lines == [Message(metrics={"epoch": 1, "loss": 0.5}), Message(warning="it is slow")]
