"""How long a kind of step takes and in how much memory, from what was measured: the closest first.

    measured     the same device, kind and encoder
    scaled       the same device and kind with another encoder, by parameters and tokens
    related      the same device and other kinds of steps, or what a worker measured at its start

Each is the prior of the one above it, and makes the wider a band the fewer of those there are.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import NamedTuple

from app.measurements import Log, Seen
from fastmtl.regression import Band, Line, fit
from fastmtl.size import Size
from fastmtl.workload import Work, features, memory_features

KIND_DIFFERS = 0.5
"""By what share a cost of one kind of step may be another's."""
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


class Foretold(NamedTuple):
    """What a step will take; None where nothing like it was ever measured."""

    seconds: Band | None
    peak_bytes: Band | None
    basis: Basis
    measurements: int


class Forecast:
    """Foretells steps on one device with one encoder."""

    def __init__(self, log: Log, encoder: str, size: Size | None) -> None:
        """Take the digest of the encoder, and its size where its files are on this machine."""
        self._log = log
        self._encoder = encoder
        self._size = size or next((each.size for each in log.with_torch if each.encoder == encoder), None)
        self._lines: dict[tuple[str, bool], tuple[Line | None, Line | None, Basis, int]] = {}

    def of(self, kind: str, work: Work, *, with_torch: bool) -> Foretold:
        """Foretell a step."""
        size = self._size if with_torch else None
        seconds, memory, basis, count = self._about(kind, with_torch)
        return Foretold(
            _at(seconds, features(kind, work, size), work.doubt),
            _at(memory, memory_features(work, size), work.doubt),
            basis,
            count,
        )

    def _about(self, kind: str, with_torch: bool) -> tuple[Line | None, Line | None, Basis, int]:
        """Return the lines of seconds and memory of a kind, what they were drawn from and from how many."""
        if (kind, with_torch) not in self._lines:
            seen = self._log.with_torch if with_torch else self._log.without
            if with_torch and self._size is None:
                seen = ()
            others = [each for each in seen if each.kind != kind]
            alike = [each for each in seen if each.kind == kind]
            exact = [each for each in alike if each.encoder == self._encoder or not with_torch]
            scaled = [each for each in alike if each.encoder != self._encoder and with_torch]
            tiers = ((Basis.MEASURED, exact), (Basis.SCALED, scaled), (Basis.RELATED, others))
            basis, count = next(((basis, len(tier)) for basis, tier in tiers if tier), (Basis.NONE, 0))
            if with_torch and not self._log.same_precision:
                basis = max(basis, Basis.RELATED, key=list(Basis).index)
            seconds = self._line(others, scaled, exact, with_torch, memory=False)
            memory = self._line(others, scaled, exact, with_torch, memory=True)
            self._lines[kind, with_torch] = seconds, memory, basis, count
        return self._lines[kind, with_torch]

    def _line(
        self, others: Sequence[Seen], scaled: Sequence[Seen], exact: Sequence[Seen], with_torch: bool, *, memory: bool
    ) -> Line | None:
        """Draw the line through each tier, the widest first, each the prior of the next."""
        line: Line | None = None
        kind_differs = KIND_DIFFERS if with_torch else PLAIN_KIND_DIFFERS
        for tier, differs in ((others, kind_differs), (scaled, ENCODER_DIFFERS), (exact, 0.0)):
            points = list(_points(tier, memory))
            if not points:
                continue
            line = fit([x for x, _ in points], [y for _, y in points], line)
            line = line.widened(differs) if differs else line
        if line and with_torch and not self._log.same_precision:
            line = line.widened(PRECISION_DIFFERS)
        return line


def _points(tier: Iterable[Seen], memory: bool) -> Iterable[tuple[Sequence[float], float]]:
    """Yield features and what was measured."""
    for each in tier:
        if not memory:
            yield features(each.kind, each.work, each.size, each.starts), each.seconds
        elif each.peak_bytes:
            yield memory_features(each.work, each.size), each.peak_bytes


def _at(line: Line | None, x: Sequence[float], doubt: float) -> Band | None:
    """Foretell; what is doubted of the tokens is doubted of that part of the whole that grows with them."""
    if line is None:
        return None
    expected = line.at(x).expected
    share = x[ARITHMETIC] * float(line.costs[ARITHMETIC]) / expected if expected else 0.0
    return line.at(x, doubt * share)
