"""What a step tells besides how far it is: what a training measures, warnings, and work that its count leaves out.

Torch-free.
"""

from __future__ import annotations

import warnings
from typing import Protocol, runtime_checkable

from fastmtl.plan import Json, Progress


@runtime_checkable
class Teller(Progress, Protocol):
    """A progress that takes note of more than how far a step is."""

    def metrics(self, metrics: Json) -> None:
        """Take note of what was measured, e.g. {"epoch": 1, "loss": 0.7}."""
        ...

    def warning(self, message: str) -> None:
        """Take note of a sentence that the user should see, though the step goes on."""
        ...


def tell_metrics(progress: Progress, metrics: Json) -> None:
    """Tell what was measured to a progress that listens."""
    if isinstance(progress, Teller):
        progress.metrics(metrics)


def warn(progress: Progress, message: str) -> None:
    """Tell a warning: to the progress where it listens, else as Python's own."""
    if isinstance(progress, Teller):
        progress.warning(message)
    else:
        warnings.warn(message, RuntimeWarning, stacklevel=2)


class Counted:
    """Adds up the rows that are done, for work that comes in pieces."""

    def __init__(self, progress: Progress, total: int) -> None:
        self._progress = progress
        self._total = total
        self._done = 0

    def add(self, rows: int) -> None:
        """Tell that so many more are done."""
        self._done += rows
        self._progress(self._done, self._total, "rows")


class Standing:
    """A progress that remembers how far the step is, so that work beside the count can be told without moving it.

    Whoever watches the step takes it for hung when it says nothing: whatever may take minutes has to say something.
    """

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._last: tuple[int, int, str] | None = None

    def __call__(self, done: int, total: int, unit: str, message: str = "") -> None:
        """Pass on that `done` of `total` units are finished."""
        self._last = done, total, unit
        self._progress(done, total, unit, message)

    def metrics(self, metrics: Json) -> None:
        """Pass on what was measured."""
        tell_metrics(self._progress, metrics)

    def warning(self, message: str) -> None:
        """Pass on a warning."""
        warn(self._progress, message)

    def beside(self, what: str) -> Beside:
        """Return the progress of work that the step's count leaves out, such as reading texts."""
        return Beside(self, what)

    def say(self, message: str, total: int, unit: str) -> None:
        """Tell a message with the count as it stands, or none of `total` where nothing was counted yet."""
        self._progress(*(self._last or (0, total, unit)), message)


class Beside:
    """The progress of work beside the count: it changes the message alone."""

    def __init__(self, standing: Standing, what: str) -> None:
        self._standing = standing
        self._what = what

    def __call__(self, done: int, total: int, unit: str, message: str = "") -> None:
        """Say how far this work is; the step's own count stands still."""
        told = f"{self._what}: {done:,} of {total:,} {unit}"
        self._standing.say(f"{told}, {message}" if message else told, total, unit)

    def metrics(self, metrics: Json) -> None:
        """Pass on what was measured."""
        self._standing.metrics(metrics)

    def warning(self, message: str) -> None:
        """Pass on a warning."""
        self._standing.warning(message)
