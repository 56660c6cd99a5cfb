"""How far a step is, how fast, and how long it will take: told a few times a second at most."""

from __future__ import annotations

import time
from collections.abc import Callable

from fastmtl.plan import Json

SECONDS_BETWEEN = 0.25


class Reporter:
    """A `fastmtl.plan.Progress` that adds rate and time left and passes on what is worth passing on."""

    def __init__(self, tell: Callable[[Json], None], clock: Callable[[], float] = time.monotonic) -> None:
        self._tell = tell
        self._clock = clock
        self._began: tuple[float, int] | None = None
        self._told = -SECONDS_BETWEEN

    def __call__(self, done: int, total: int, unit: str, message: str = "") -> None:
        """Note that `done` of `total` units are finished; the first and the last are always told."""
        now = self._clock()
        if self._began is None:
            self._began = now, done
        elif now - self._told < SECONDS_BETWEEN and done < total:
            return
        self._told = now
        since, first = self._began
        rate = (done - first) / (now - since) if now > since else None
        self._tell(
            {
                "done": done,
                "total": total,
                "unit": unit,
                "message": message,
                "per_second": round(rate, 2) if rate else None,
                "seconds_left": round((total - done) / rate, 1) if rate else None,
            }
        )
