"""The tests that break things on purpose, one line each; their figures stand in docs/faults.md."""

from __future__ import annotations

from accounts import Point

POINTS = (
    Point(1, "Processes killed at random", "kills:random_kills"),
    Point(2, "Bells that never ring", "bells:lost_bells"),
    Point(3, "Workers that stand still", "stops:stopped_workers", short=0.1),
    Point(4, "Keys that many clients send at once", "same_keys:same_keys", short=0.05),
    Point(5, "Steps that go wrong", "bad_steps:bad_steps", short=0.12),
    Point(6, "Jobs cancelled at any moment", "cancels:random_cancels", short=0.06),
    Point(7, "Uploads that are cut", "cut_uploads:cut_uploads", short=0.05),
    Point(8, "Files that mean harm", "hostile_uploads:hostile_uploads", short=0.2),
    Point(9, "Requests that are made up", "made_up_requests:made_up_requests", short=0.05),
    Point(10, "Keys that may not", "access_refused:access_refused"),
    Point(11, "Webhooks that lead elsewhere", "webhook_addresses:webhook_addresses"),
    Point(12, "Models that carry code", "trapped_models:trapped_models"),
    Point(13, "Restarts of every process", "rolling:rolling_restart", short=0.2),
)
