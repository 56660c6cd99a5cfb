"""Progress: rate, time left, and no more than is worth telling."""

from __future__ import annotations

from worker.progress import Reporter


def told(calls: list[tuple[float, int]]) -> list[tuple[int, float | None, float | None]]:
    """(done, per_second, seconds_left) of what is passed on; calls are (time, done) of 100."""
    lines: list[dict] = []
    time = iter([at for at, _ in calls])
    reporter = Reporter(lines.append, lambda: next(time))
    for _, done in calls:
        reporter(done, 100, "rows")
    return [(line["done"], line["per_second"], line["seconds_left"]) for line in lines]


def test_the_rate_counts_from_the_first_call_and_gives_the_time_left():
    # 40 rows in 2 s after the first call: 20 a second; 50 left: 2.5 s
    assert told([(10.0, 10), (12.0, 50)]) == [(10, None, None), (50, 20.0, 2.5)]


def test_calls_that_follow_too_quickly_are_not_told_but_the_last_is():
    assert [done for done, *_ in told([(0.0, 1), (0.1, 2), (0.2, 3), (0.3, 4), (0.35, 100)])] == [1, 4, 100]
