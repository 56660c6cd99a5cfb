"""The tests that break things on purpose, one line each; their figures stand in docs/faults.md."""

from __future__ import annotations

from accounts import Point

POINTS = (
    Point(1, "Processes killed at random", "kills:random_kills"),
    Point(2, "Bells that never ring", "bells:lost_bells"),
    Point(3, "Workers that stand still", "stops:stopped_workers", short=0.1),
    Point(5, "Steps that go wrong", "bad_steps:bad_steps", short=0.12),
    Point(6, "Jobs cancelled at any moment", "cancels:random_cancels", short=0.06),
)
