"""What a measurement is made of, from few and noisy ones: y = x · m with m >= 0, and a band that says how sure that is.

Bayesian linear regression with errors in proportion to y: what is not told by the measurements is told by a prior, the
line through measurements that are less alike. So one measurement is enough for a number, ten for a good one, and the
band is as wide as the noise, the number of measurements and the distance from them make it. A measurement that is far
off counts less for the line (Huber 1964), and widens the band like any other.

Letters: n measurements · d features. Torch-free.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

COVERAGE = 0.9
"""Share of what is foretold that should lie inside its band."""
NORMAL = 1.645
"""Standard deviations of a normal distribution that hold COVERAGE of it on both sides."""
NOISE, NOISE_COUNT = 0.2, 3
"""Standard deviation of log(actual / foretold) before anything is measured, and how many measurements that is worth."""
UNKNOWN = 2.0
"""Standard deviation of a cost of which nothing is known but what all together took, as a share of its even part."""
ROUNDS = 8
SMALL = 0.5
"""By what the logarithm of measurements may differ from what their prior foretells, and still mostly be noise."""
FAR = 2.0
"""Standard deviations beyond which a measurement counts less."""
TINY = 1e-12


class Band(NamedTuple):
    """A number that is foretold, and between what bounds it should lie."""

    expected: float
    low: float
    high: float


@dataclass(frozen=True)
class Line:
    """What every feature costs, and how surely."""

    costs: Floats
    """[d], none below 0."""
    covariance: Floats
    """[d, d]"""
    noise: float
    """Standard deviation of log(actual / foretold)."""
    count: int
    """Measurements it was drawn through."""

    def at(self, features: Sequence[float], doubt: float = 0.0) -> Band:
        """Foretell; `doubt` is the standard deviation of the logarithm that the features themselves add."""
        x = np.asarray(features, dtype=np.float64)  # [d]
        expected = float(x @ self.costs)
        if expected <= 0:
            return Band(0.0, 0.0, 0.0)
        off = float(x @ self.covariance @ x) / expected**2
        spread = math.sqrt(math.log1p(off) + self.noise**2 + doubt**2)
        free = NOISE_COUNT + self.count
        times = math.exp(NORMAL * (1 + (NORMAL**2 + 1) / (4 * free)) * spread)  # Student's t, to its second term
        return Band(expected, expected / times, expected * times)

    def widened(self, share: float) -> Line:
        """Return the line as what it says of something else: each cost may be another by that share."""
        return Line(self.costs, self.covariance + np.diag((share * self.costs) ** 2), NOISE, self.count)


def fit(features: Sequence[Sequence[float]], values: Sequence[float], prior: Line | None = None) -> Line:
    """Draw a line through measurements, at least one; `values` are above 0.

    Without a prior each feature's cost is first taken to be its even share of what the median measurement took.
    """
    x = np.asarray(features, dtype=np.float64)  # [n, d]
    y = np.asarray(values, dtype=np.float64)  # [n]
    prior = _moved(prior, x, y) if prior else _even(x, y)
    known = np.linalg.inv(prior.covariance + np.diag(np.full(x.shape[1], TINY)))  # [d, d]
    costs, spent = prior.costs, 0.0
    for _ in range(ROUNDS):
        foretold = np.maximum(x @ costs, TINY)  # [n]
        off = np.log(y / foretold)  # [n]
        noise = math.sqrt((NOISE_COUNT * prior.noise**2 + float(off @ off)) / (NOISE_COUNT + len(y) - spent))
        counts = np.minimum(1, FAR * noise / np.maximum(np.abs(off), TINY)) / (noise * foretold) ** 2  # [n]
        precision = known + (x.T * counts) @ x  # [d, d]
        costs = _above_zero(precision, known @ prior.costs + x.T @ (counts * y))
        spent = float(np.trace(np.linalg.solve(precision, precision - known)))  # of n, on finding the costs
    covariance = np.asarray(np.linalg.inv(precision), dtype=np.float64)
    return Line(costs, covariance, noise, len(y))


def _moved(prior: Line, x: Floats, y: Floats) -> Line:
    """Return the prior so many times as large as the measurements say, and noisier the fewer these are.

    What makes one kind of step slower than others, a busy machine above all, makes all of its parts slower. A small
    difference is taken for noise, and one that the prior left open for what the measurements are to tell.
    """
    foretold = x @ prior.costs  # [n]
    there = foretold > TINY
    if not there.any():
        return prior
    off = float(np.median(np.log(y[there] / foretold[there])))
    unsure = float(np.median(np.einsum("nd,de,ne->n", x, prior.covariance, x)[there] / foretold[there] ** 2))
    times = math.exp(off * off**2 / (off**2 + SMALL**2 + unsure))
    noise = math.hypot(NOISE, off / (1 + int(there.sum())))
    return Line(times * prior.costs, times**2 * prior.covariance, noise, prior.count)


def _even(x: Floats, y: Floats) -> Line:
    """Return a line that knows next to nothing: a feature that no measurement has costs nothing."""
    parts = np.maximum((x > 0).sum(1), 1)  # [n]
    costs = np.zeros(x.shape[1])
    for index, column in enumerate(x.T):
        there = column > 0
        if there.any():
            costs[index] = np.median(y[there] / column[there] / parts[there])
    return Line(costs, np.diag(np.maximum(UNKNOWN * costs, TINY) ** 2), NOISE, 0)


def _above_zero(precision: Floats, weighted: Floats) -> Floats:
    """Solve precision · m = weighted with no m below 0: those that would be are set to 0, the lowest first."""
    free = np.ones(len(weighted), dtype=np.bool_)
    while free.any():
        found = np.zeros(len(weighted))
        found[free] = np.linalg.solve(precision[np.ix_(free, free)], weighted[free])
        if (found >= 0).all():
            return found
        free[int(np.argmin(found))] = False
    return np.zeros(len(weighted))
