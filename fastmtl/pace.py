"""At what pace a machine is now, told by all that it measured: what else it does slows every kind of step alike.

The logarithm of actual over foretold is what a kind's line is off by, a pace that walks at random and is shared by all
kinds, and noise: a local level with random effects (Durbin and Koopman 2012, "Time Series Analysis by State Space
Methods", section 2.1). All three are normal, so that the pace given what was measured is (section 2.4; here by its
covariance, for no more than FOLLOWED measurements). How far it walks between two measurements is weighed by its
marginal likelihood: a machine that keeps its pace is not chased, and one that is twice as slow from some moment on is
followed, also for kinds of steps that were not measured since.

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

Numbers = npt.NDArray[np.intp]

WALKS = (0.0, 0.01, 0.03, 0.1, 0.3)
"""Variance of a step of the walk over that of the noise: what is weighed."""
LINES_OFF = 10.0
"""Variance of what a kind's line is off by, over that of the noise: large, a line goes where its measurements are."""
KIND_DIFFERS = 0.5
"""By what share a cost of one kind of step may be another's."""
FOLLOWED = 200
"""Newest measurements that the pace is told from; before them it is taken to have been that of the oldest of them."""
ROUNDS = 3


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
    _, numbers = np.unique(kinds, return_inverse=True)  # [n]
    for _ in range(ROUNDS if paced else 1):
        machine = _told_again(machine, x, y, numbers, paced)
    return machine


def followed(off: Floats, kinds: Numbers) -> Pace:
    """Follow the pace through log(actual / foretold) [n] of kinds by number [n]; on average it is 0."""
    older, off, kinds = max(0, len(off) - FOLLOWED), off[-FOLLOWED:], kinds[-FOLLOWED:]
    lines = LINES_OFF * (kinds[:, None] == kinds)  # [n, n]
    found = [_walked(off, lines, walk) for walk in WALKS]
    likelihood = np.array([each for each, _ in found])
    weights = np.exp(likelihood - likelihood.max())
    weights /= weights.sum()
    columns = zip(*(pace for _, pace in found), strict=True)
    past, own, now, variance, walk = (np.tensordot(weights, np.array(each), 1) for each in columns)
    between = weights @ np.array([(pace.now - now) ** 2 for _, pace in found])
    before = np.full(older, past[0]), np.zeros(older)
    past, own = np.append(before[0], past), np.append(before[1], own)
    return Pace(past, own, float(now), float(variance + between), float(walk))


def _told_again(machine: Machine, x: Floats, y: Floats, kinds: Numbers, paced: bool) -> Machine:
    """Tell noise and pace with what is known of both so far."""
    pace = machine.pace
    usual = y / np.exp(pace.past)  # [n]
    prior = fit(x, usual).widened(KIND_DIFFERS)
    off, share = np.zeros((2, len(y)))  # [n] each
    places = [np.flatnonzero(kinds == kind) for kind in range(kinds.max() + 1)]
    for here in places:
        line = fit(x[here], usual[here], prior, machine.noise)
        off[here], share[here] = line.residuals(x[here], usual[here])
    free = (1 - share) * (1 - pace.own)  # [n]
    noise = pooled([float(off[here] @ off[here]) for here in places], [float(free[here].sum()) for here in places])
    return Machine(noise, followed(pace.past + off, kinds) if paced else pace)


def _walked(off: Floats, lines: Floats, walk: float) -> tuple[float, Pace]:
    """Return the logarithm of a walk's likelihood, but for a constant, and the pace that it tells.

    Covariances are told over the noise's variance, of which ASSUMED is the prior.
    """
    n = len(off)
    order = np.arange(n)
    levels = walk * np.minimum.outer(order, order)  # [n, n]
    seen = levels + lines + np.eye(n)  # [n, n]
    levels -= levels.mean(0)  # less what is the same of all [n, n]
    gain = np.linalg.solve(seen, levels.T).T  # levels · seen⁻¹ [n, n]
    squares = ASSUMED.freedom * ASSUMED.deviation**2 + float(off @ np.linalg.solve(seen, off))
    factor = squares / (ASSUMED.freedom + n)
    past = gain @ off  # [n]
    last = levels[-1] - levels[-1].mean()  # [n]
    variance = factor * float(last[-1] - gain[-1] @ levels[-1])
    likelihood = -(float(np.linalg.slogdet(seen)[1]) + (ASSUMED.freedom + n) * math.log(squares)) / 2
    return likelihood, Pace(past, np.diag(gain).copy(), float(past[-1]), variance, factor * walk)
