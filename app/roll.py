"""Which workers are there: each touches a file of its own in the shared home, after every sweep.

A worker that idles stands in no table and holds no lease, so the database cannot tell that it is there. The file says
that it was, a moment ago, and that it reached the database then.
"""

from __future__ import annotations

import contextlib
import time
from pathlib import Path

from app.settings import Settings

MISSED = 3
"""Sweeps that a worker may miss before it counts as gone."""
KEPT_SECONDS = 24 * 3600


class Roll:
    """The files."""

    def __init__(self, settings: Settings) -> None:
        self._folder = settings.home / "workers"
        self.within_seconds = MISSED * max(settings.sweep_seconds, 1.0)
        """How long ago a worker may have called to be counted."""

    def call(self, worker: str) -> None:
        """Say that a worker is there."""
        self._folder.mkdir(parents=True, exist_ok=True)
        (self._folder / worker).touch()

    def leave(self, worker: str) -> None:
        """Say that it goes; and forget those that went long ago without a word."""
        with contextlib.suppress(OSError):
            for file, age in self._ages():
                if file.name == worker or age > KEPT_SECONDS:
                    file.unlink(missing_ok=True)

    def count(self) -> int:
        """Return how many workers called lately."""
        return sum(age <= self.within_seconds for _, age in self._ages())

    def _ages(self) -> list[tuple[Path, float]]:
        found = []
        try:
            files = list(self._folder.iterdir())
        except FileNotFoundError:
            return []  # no worker ever called
        for file in files:
            with contextlib.suppress(FileNotFoundError):  # gone since
                found.append((file, time.time() - file.stat().st_mtime))
        return found
