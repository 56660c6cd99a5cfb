"""How long a kind of step takes and in how much memory, from what was measured: the closest first.

    measured     the same device, kind and encoder
    scaled       the same device and kind with another encoder, by parameters and tokens
    related      the same device and other kinds of steps, or what a worker measured at its start

Each is the prior of the one above it, and makes the wider a band the fewer of those there are. All measurements of the
device together tell how much noise is usual, and at what pace the machine is now (fastmtl/pace.py).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import NamedTuple

from app.measurements import Log, Seen
from fastmtl.pace import KIND_DIFFERS, Machine, told
from fastmtl.regression import Band, Line, fit
from fastmtl.size import Size
from fastmtl.workload import Work, features, memory_features

PLAIN_KIND_DIFFERS = 1.5
"""Of steps without an encoder, which share nothing but the processor."""
ENCODER_DIFFERS = 0.3
PRECISION_DIFFERS = 1.0
ARITHMETIC = -1
"""The feature that grows with the tokens."""


class Basis(StrEnum):
    """What a number was reckoned from, the closest first."""

    REUSED = "reused"
    MEASURED = "measured"
    SCALED = "scaled"
    RELATED = "related"
    NONE = "none"


TIERS = (Basis.RELATED, Basis.SCALED, Basis.MEASURED)
"""From the widest."""


class Foretold(NamedTuple):
    """What a step will take; None where nothing like it was ever measured."""

    seconds: Band | None
    peak_bytes: Band | None
    basis: Basis
    measurements: int


class Point(NamedTuple):
    """A measurement, as lines are drawn through it."""

    seen: Seen
    features: Sequence[float]
    value: float
    """Seconds or bytes; of seconds those that it would have taken at the machine's usual pace."""


class Forecast:
    """Foretells steps on one device with one encoder."""

    def __init__(self, log: Log, encoder: str, size: Size | None) -> None:
        """Take the digest of the encoder, and its size where its files are on this machine."""
        self._log = log
        self._encoder = encoder
        self._size = size or next((each.size for each in log.with_torch if each.encoder == encoder), None)
        self._machines: dict[tuple[bool, bool], tuple[Machine, list[Point]]] = {}
        self._lines: dict[tuple[str, bool], tuple[Line | None, Line | None, Basis, int]] = {}

    def of(self, kind: str, work: Work, *, with_torch: bool, ahead: int = 1) -> Foretold:
        """Foretell a step that will be done so many steps from now."""
        size = self._size if with_torch else None
        seconds, memory, basis, count = self._about(kind, with_torch)
        pace = self._machine(with_torch, memory=False)[0].pace
        return Foretold(
            _at(seconds, features(kind, work, size), work.doubt, math.exp(pace.now), pace.doubt(ahead)),
            _at(memory, memory_features(work, size), work.doubt),
            basis,
            count,
        )

    def _about(self, kind: str, with_torch: bool) -> tuple[Line | None, Line | None, Basis, int]:
        """Return the lines of seconds and memory of a kind, what they were drawn from and from how many."""
        if (kind, with_torch) not in self._lines:
            tiers = {
                tier: [each for each in self._seen(with_torch) if self._tier(each, kind) is tier] for tier in TIERS
            }
            basis = next((tier for tier in reversed(TIERS) if tiers[tier]), Basis.NONE)
            count = len(tiers.get(basis, ()))
            if with_torch and not self._log.same_precision:
                basis = max(basis, Basis.RELATED, key=list(Basis).index)
            seconds, memory = (self._line(kind, with_torch, memory=memory) for memory in (False, True))
            self._lines[kind, with_torch] = seconds, memory, basis, count
        return self._lines[kind, with_torch]

    def _line(self, kind: str, with_torch: bool, *, memory: bool) -> Line | None:
        """Draw the line through each tier, the widest first, each the prior of the next."""
        machine, points = self._machine(with_torch, memory=memory)
        line: Line | None = None
        for tier in TIERS:
            x = [each.features for each in points if self._tier(each.seen, kind) is tier]
            y = [each.value for each in points if self._tier(each.seen, kind) is tier]
            if not y:
                continue
            line = fit(x, y, line, machine.noise)
            if tier is not Basis.MEASURED:
                line = line.widened(_differs(tier, with_torch), machine.noise)
        if line and with_torch and not self._log.same_precision:
            line = line.widened(PRECISION_DIFFERS, machine.noise)
        return line

    def _machine(self, with_torch: bool, *, memory: bool) -> tuple[Machine, list[Point]]:
        """Return what all measurements together tell, and those, the oldest first."""
        if (with_torch, memory) not in self._machines:
            points = list(_points(reversed(self._seen(with_torch)), memory))
            machine = told(
                [each.features for each in points],
                [each.value for each in points],
                [f"{each.seen.kind} {each.seen.encoder}" for each in points],
                paced=not memory,
            )
            usual = [each.value / math.exp(past) for each, past in zip(points, machine.pace.past, strict=True)]
            points = [each._replace(value=value) for each, value in zip(points, usual, strict=True)]
            self._machines[with_torch, memory] = machine, points
        return self._machines[with_torch, memory]

    def _seen(self, with_torch: bool) -> Sequence[Seen]:
        if not with_torch:
            return self._log.without
        return self._log.with_torch if self._size else ()

    def _tier(self, seen: Seen, kind: str) -> Basis:
        """Return how close a measurement is to a kind of step."""
        if seen.kind != kind:
            return Basis.RELATED
        return Basis.MEASURED if seen.encoder in ("", self._encoder) else Basis.SCALED


def _differs(tier: Basis, with_torch: bool) -> float:
    """Return by what share a cost may be another's."""
    if tier is Basis.SCALED:
        return ENCODER_DIFFERS
    return KIND_DIFFERS if with_torch else PLAIN_KIND_DIFFERS


def _points(tier: Iterable[Seen], memory: bool) -> Iterable[Point]:
    """Yield features and what was measured."""
    for each in tier:
        if not memory:
            yield Point(each, features(each.kind, each.work, each.size, each.starts), each.seconds)
        elif each.peak_bytes:
            yield Point(each, memory_features(each.work, each.size), each.peak_bytes)


def _at(line: Line | None, x: Sequence[float], doubt: float, times: float = 1.0, unsteady: float = 0.0) -> Band | None:
    """Foretell so many times what the line says, when those are doubted too.

    What is doubted of the tokens is doubted of that part of the whole that grows with them.
    """
    if line is None:
        return None
    expected = line.at(x).expected
    share = x[ARITHMETIC] * float(line.costs[ARITHMETIC]) / expected if expected else 0.0
    return line.at(x, math.hypot(doubt * share, unsteady), times)
