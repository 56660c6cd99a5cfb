"""How far a step is, how fast, and how long it will take: told a few times a second at most."""

from __future__ import annotations

import time
from collections.abc import Callable

from fastmtl.plan import Json
from worker.protocol import Message

SECONDS_BETWEEN = 0.25


class Reporter:
    """A `fastmtl.telling.Teller` that adds rate and time left and passes on what is worth passing on."""

    def __init__(self, tell: Callable[[Message], None], clock: Callable[[], float] = time.monotonic) -> None:
        self._tell = tell
        self._clock = clock
        self._counted: tuple[int, str] | None = None
        self._began = 0.0, 0
        self._told = -SECONDS_BETWEEN

    def __call__(self, done: int, total: int, unit: str, message: str = "") -> None:
        """Note that `done` of `total` units are finished; the first and the last are always told."""
        now = self._clock()
        new = self._counted != (total, unit)
        if new or done == 0:  # nothing of it was done while other work was told of: that time says nothing of its rate
            self._counted, self._began = (total, unit), (now, done)
        if not new and now - self._told < SECONDS_BETWEEN and done < total:
            return
        self._told = now
        since, first = self._began
        rate = (done - first) / (now - since) if now > since else None
        told = {
            "done": done,
            "total": total,
            "unit": unit,
            "message": message,
            "per_second": round(rate, 2) if rate else None,
            "seconds_left": round((total - done) / rate, 1) if rate else None,
        }
        self._tell(Message(progress=told))

    def metrics(self, metrics: Json) -> None:
        """Pass on what was measured."""
        self._tell(Message(metrics=metrics))

    def warning(self, message: str) -> None:
        """Pass on a sentence for the user."""
        self._tell(Message(warning=message))
