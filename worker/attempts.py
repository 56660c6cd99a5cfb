"""What is seen of the attempt at a step that runs in this thread: its process, how fast it is, how it ended.

The supervisor shows it, log lines, metrics and traces look at it; neither knows the other.
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from enum import Enum
from typing import Protocol, TypeVar

from app import logs
from app.tracing import Tracing
from fastmtl.plan import Json

Ending = TypeVar("Ending", bound=Enum)


class Progressing(Protocol):
    """The step's process, as far as it matters here."""

    @property
    def progress(self) -> Json | None:
        """What it told last: {done, total, unit, message, per_second, seconds_left}."""


class Attempt:
    """One attempt."""

    def __init__(self, kind: str, tracing: Tracing) -> None:
        self.kind = kind
        self.outcome = "failed"
        """How its process ended; `failed` where it never began."""
        self._tracing = tracing
        self._process: Progressing | None = None

    def watch(self, process: Progressing, until_over: Callable[[], Ending]) -> Ending:
        """Look on while the process runs, and note how it ended."""
        self._process = process
        with self._tracing.part("process"):
            ending = until_over()
        self.outcome = str(ending.value)
        return ending

    def rows_per_second(self) -> float | None:
        """Return how fast it is, or was at last; None where it does not count rows, or has not said yet."""
        progress = self._process.progress if self._process else None
        if not progress or progress.get("unit") != "rows":
            return None
        rate = progress.get("per_second")
        return float(rate) if rate is not None else None


CURRENT: ContextVar[Attempt | None] = ContextVar("fastmtl_attempt", default=None)


def environment() -> dict[str, str]:
    """Return what the environment of the step's process says besides: what its log lines are about."""
    return logs.handed_on()


def current() -> Attempt:
    """Return the attempt of this thread; one that nobody looks at where none was begun."""
    return CURRENT.get() or Attempt("unknown", Tracing())
