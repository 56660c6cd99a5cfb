"""At what pace a machine is now, told by all that it measured: what else it does slows every kind of step alike.

The logarithm of actual over foretold is a level that walks at random, shared by all kinds, and noise: the local level
model, filtered and smoothed as Kalman and Rauch, Tung and Striebel have it (Durbin and Koopman 2012, "Time Series
Analysis by State Space Methods", sections 2.2 to 2.4). How far it walks between two measurements, in shares of their
noise, is weighed by its likelihood (2.10.2), so that a machine that keeps its pace is not chased and one that is twice
as slow from some moment on is followed.

Letters: n measurements, the oldest first · d features. Torch-free.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from fastmtl.noise import ASSUMED, Floats, Noise, pooled
from fastmtl.regression import fit

WALKS = (0.0, 0.01, 0.03, 0.1, 0.3)
"""Variance of a step of the walk over that of a measurement: what is weighed."""
KIND_DIFFERS = 0.5
"""By what share a cost of one kind of step may be another's."""
ROUNDS = 3
MOST = 0.95
"""Of what a measurement was foretold by, that it may itself have had: beyond it says nothing of the pace."""


class Pace(NamedTuple):
    """How much slower than usual a machine is, as the logarithm of how many times."""

    past: Floats
    """When each was measured [n]."""
    own: Floats
    """The share that each had in telling its own [n]."""
    now: float
    variance: float
    """Of `now`."""
    walk: float
    """Variance that is added until the next measurement."""

    def doubt(self, ahead: int) -> float:
        """Return the standard deviation of what the pace will be, so many measurements from now."""
        return math.sqrt(self.variance + ahead * self.walk)


@dataclass(frozen=True)
class Machine:
    """What all measurements of a machine together tell of the next."""

    noise: Noise
    """That is usual of its kinds of steps."""
    pace: Pace


def told(features: Sequence[Sequence[float]], values: Sequence[float], kinds: Sequence[str], *, paced: bool) -> Machine:
    """Tell a machine's noise and, if it has one, its pace, from measurements of any kinds [n].

    Both are told by what is left of each kind's own line, and lines are drawn through what would have been measured at
    the usual pace: a few rounds settle them.
    """
    x = np.asarray(features, dtype=np.float64)  # [n, d]
    y = np.asarray(values, dtype=np.float64)  # [n]
    machine = Machine(ASSUMED, Pace(np.zeros(len(y)), np.zeros(len(y)), 0.0, 0.0, 0.0))
    if not len(y):
        return machine
    names = np.asarray(kinds)
    places = [np.flatnonzero(names == kind) for kind in dict.fromkeys(kinds)]
    for _ in range(ROUNDS if paced else 1):
        machine = _told_again(machine, x, y, places, paced)
    return machine


def followed(off: Floats, variances: Floats) -> Pace:
    """Follow the pace through log(actual / foretold) [n]; the noise of each has its variance [n], times a factor."""
    typical = float(np.median(variances))
    found = [_smoothed(off.tolist(), variances.tolist(), typical, walk * typical) for walk in WALKS]
    likelihood = np.array([each for each, _ in found])
    weights = np.exp(likelihood - likelihood.max())
    weights /= weights.sum()
    past, own, now, variance, walk = (
        np.tensordot(weights, np.array(each), 1) for each in zip(*(pace for _, pace in found), strict=True)
    )
    apart = weights @ np.array([(pace.now - now) ** 2 for _, pace in found])
    return Pace(past, own, float(now), float(variance + apart), float(walk))


def _told_again(machine: Machine, x: Floats, y: Floats, places: Sequence[npt.NDArray[np.intp]], paced: bool) -> Machine:
    """Tell noise and pace with what is known of both so far; places are those of each kind among all."""
    pace = machine.pace
    usual = y / np.exp(pace.past)  # [n]
    prior = fit(x, usual).widened(KIND_DIFFERS)
    off, share, deviation = np.zeros((3, len(y)))  # [n] each
    for here in places:
        line = fit(x[here], usual[here], prior, machine.noise)
        off[here], share[here] = line.residuals(x[here], usual[here])
        deviation[here] = line.noise.deviation
    free = (1 - share) * (1 - pace.own)  # [n]
    noise = pooled([float(off[here] @ off[here]) for here in places], [float(free[here].sum()) for here in places])
    if paced:
        left = 1 - np.minimum(share, MOST)  # [n]
        pace = followed(pace.past + off / left, deviation**2 / left)  # each as foretold without itself
    return Machine(noise, pace)


def _smoothed(off: list[float], variances: list[float], start: float, walk: float) -> tuple[float, Pace]:
    """Return the logarithm of a walk's likelihood, but for a constant, and the pace that it tells.

    Variances are told up to a factor, which is reckoned from the errors of foretelling each from those before it.
    """
    level, variance, squares, logs = 0.0, start, ASSUMED.freedom, 0.0
    levels, filtered = [], []
    for each, noise in zip(off, variances, strict=True):
        variance += walk if levels else 0.0
        error, spread = each - level, variance + noise
        squares += error**2 / spread
        logs += math.log(spread)
        level += variance / spread * error
        variance *= noise / spread
        levels.append(level)
        filtered.append(variance)
    count = ASSUMED.freedom + len(off)
    past, smooth = levels[:], filtered[:]
    for at in reversed(range(len(off) - 1)):
        gain = filtered[at] / (filtered[at] + walk)
        past[at] += gain * (past[at + 1] - levels[at])
        smooth[at] += gain**2 * (smooth[at + 1] - filtered[at] - walk)
    factor = squares / count
    own = np.array(smooth) / np.array(variances)
    likelihood = -(logs + count * math.log(squares)) / 2
    return likelihood, Pace(np.array(past), own, level, factor * variance, factor * walk)
