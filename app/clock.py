"""The time, where tests can take its place."""

from __future__ import annotations

from datetime import UTC, datetime


def now() -> datetime:
    """Return the time, aware."""
    return datetime.now(UTC)
