"""What a test that breaks things is given, and what it gives back: figures, each with what is required of it.

def random_kills(place: Place, scale: Scale) -> Account
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

STACKS = ("embedded", "full")
"""SQLite and a folder as broker; PostgreSQL and Redis."""


@dataclass(frozen=True)
class Place:
    """Where the service is to run."""

    stack: str
    """One of STACKS."""
    environment: dict[str, str]
    """Names database, broker and home to the processes; all are empty."""
    folder: Path
    """An empty folder of the test's own."""

    @property
    def settings(self) -> dict[str, str]:
        """The environment but for the home, by names of settings."""
        named = {name.removeprefix("FASTMTL_").lower(): value for name, value in self.environment.items()}
        return {name: value for name, value in named.items() if name != "home"}


@dataclass(frozen=True)
class Scale:
    """How much of a test is run: all of it, or a share that takes seconds."""

    share: float
    seed: int = 0

    @property
    def full(self) -> bool:
        """Whether it is the form whose figures are published."""
        return self.share >= 1

    def of(self, count: int) -> int:
        """Return how many of so many, at least one."""
        return max(1, round(count * self.share))


@dataclass(frozen=True)
class Figure:
    """One measured number."""

    name: str
    measured: float
    required: str | None = None
    """What it must be, in words; None where it is only told."""
    passed: bool = True


def exactly(name: str, measured: float, wanted: float) -> Figure:
    """Return a figure that must be this number."""
    return Figure(name, measured, f"{wanted:g}", measured == wanted)


def at_most(name: str, measured: float, most: float) -> Figure:
    """Return a figure that must not be larger; the unit stands in the name."""
    return Figure(name, round(measured, 2), f"≤ {most:g}", measured <= most)


def at_least(name: str, measured: float, least: float) -> Figure:
    """Return a figure that must not be smaller."""
    return Figure(name, round(measured, 2), f"≥ {least:g}", measured >= least)


def told(name: str, measured: float) -> Figure:
    """Return a figure of which nothing is required."""
    return Figure(name, round(measured, 2))


@dataclass(frozen=True)
class Account:
    """What was done, and what was measured."""

    done: str
    """One or two sentences."""
    figures: Sequence[Figure]
    notes: Sequence[str] = field(default=())
    """What went wrong, for whoever looks for the cause."""

    @property
    def failures(self) -> list[str]:
        """The figures that are not as required."""
        wrong = [each for each in self.figures if not each.passed]
        return [f"{each.name}: {each.measured:g}, required {each.required}" for each in wrong]


Run = Callable[[Place, Scale], Account]


@dataclass(frozen=True)
class Point:
    """One test of the list."""

    number: int
    title: str
    source: str
    """`module:function`, a `Run`; the module lies beside this one or in tests/support."""
    stacks: Sequence[str] = STACKS
    short: float = 0.03
    """Share of the full form that the short one is."""

    def run(self, place: Place, scale: Scale) -> Account:
        """Import it and run it."""
        module, _, function = self.source.partition(":")
        run: Run = getattr(importlib.import_module(module), function)
        return run(place, scale)


def percentile(values: Sequence[float], share: float) -> float:
    """Return the smallest value that at least this share of all do not exceed; 0 where there is none."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)] if ordered else 0.0
