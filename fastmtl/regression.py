"""What a measurement is made of, from few and noisy ones: y = x · m with m >= 0, and a band that says how sure that is.

Bayesian linear regression with errors in proportion to y: what is not told by the measurements is told by a prior, the
line through measurements that are less alike. So one measurement is enough for a number, ten for a good one, and the
band is as wide as the noise, the number of measurements and the distance from them make it. A measurement that is far
off counts less for the line (Huber 1964), and widens the band like any other. How much noise is usual of all kinds of
steps is told by fastmtl/noise.py, and at what pace the machine is now by fastmtl/pace.py.

Letters: n measurements · d features. Torch-free.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from fastmtl.noise import ASSUMED, TINY, Floats, Noise, student

UNKNOWN = 2.0
"""Standard deviation of a cost of which nothing is known but what all together took, as a share of its even part."""
ROUNDS = 8
SMALL = 0.5
"""By what the logarithm of measurements may differ from what their prior foretells, and still mostly be noise."""
FAR = 2.0
"""Standard deviations beyond which a measurement counts less."""


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
    noise: Noise

    def at(self, features: Sequence[float], doubt: float = 0.0, times: float = 1.0) -> Band:
        """Foretell so many times what the line says.

        `doubt` is the standard deviation of the logarithm that the features themselves add, and of `times`.
        """
        x = np.asarray(features, dtype=np.float64)  # [d]
        expected = times * float(x @ self.costs)
        if expected <= 0:
            return Band(0.0, 0.0, 0.0)
        off = times**2 * float(x @ self.covariance @ x) / expected**2
        spread = math.sqrt(math.log1p(off) + self.noise.deviation**2 + doubt**2)
        bound = math.exp(student(self.noise.freedom) * spread)
        return Band(expected, expected / bound, expected * bound)

    def widened(self, share: float, noise: Noise = ASSUMED) -> Line:
        """Return the line as what it says of something else: each cost may be another by that share."""
        return Line(self.costs, self.covariance + np.diag((share * self.costs) ** 2), noise)

    def residuals(self, features: Floats, values: Floats) -> tuple[Floats, Floats]:
        """Return log(actual / foretold) of the measurements it was drawn through, and the share each had in it; [n]."""
        foretold = np.maximum(features @ self.costs, TINY)  # [n]
        unsure = np.einsum("nd,de,ne->n", features, self.covariance, features)  # [n]
        return np.log(values / foretold), np.minimum(1.0, unsure / (self.noise.deviation * foretold) ** 2)


def fit(
    features: Sequence[Sequence[float]] | Floats,
    values: Sequence[float] | Floats,
    prior: Line | None = None,
    usual: Noise = ASSUMED,
) -> Line:
    """Draw a line through measurements, at least one; `values` are above 0, `usual` is the noise of their like.

    Without a prior each feature's cost is first taken to be its even share of what the median measurement took.
    """
    x = np.asarray(features, dtype=np.float64)  # [n, d]
    y = np.asarray(values, dtype=np.float64)  # [n]
    prior, apart = _moved(prior, x, y) if prior else (_even(x, y), 0.0)
    known = np.linalg.inv(prior.covariance + np.diag(np.full(x.shape[1], TINY)))  # [d, d]
    costs, spent = prior.costs, 0.0
    for _ in range(ROUNDS):
        foretold = np.maximum(x @ costs, TINY)  # [n]
        off = np.log(y / foretold)  # [n]
        noise = usual.moderated(float(off @ off), len(y) - spent)
        noise = noise._replace(deviation=math.hypot(noise.deviation, apart))
        far = np.minimum(1, FAR * noise.deviation / np.maximum(np.abs(off), TINY))  # [n]
        counts = far / (noise.deviation * foretold) ** 2  # [n]
        precision = known + (x.T * counts) @ x  # [d, d]
        costs = _above_zero(precision, known @ prior.costs + x.T @ (counts * y))
        covariance = np.asarray(np.linalg.inv(precision), dtype=np.float64)  # [d, d]
        spent = x.shape[1] - float((covariance * known).sum())  # of n, on finding the costs
    return Line(costs, covariance, noise)


def _moved(prior: Line, x: Floats, y: Floats) -> tuple[Line, float]:
    """Return the prior so many times as large as the measurements say, and noise that is more the fewer these are.

    What makes one kind of step slower than others, a busy machine above all, makes all of its parts slower. A small
    difference is taken for noise, and one that the prior left open for what the measurements are to tell.
    """
    foretold = x @ prior.costs  # [n]
    there = foretold > TINY
    if not there.any():
        return prior, 0.0
    off = float(np.median(np.log(y[there] / foretold[there])))
    unsure = float(np.median(np.einsum("nd,de,ne->n", x, prior.covariance, x)[there] / foretold[there] ** 2))
    times = math.exp(off * off**2 / (off**2 + SMALL**2 + unsure))
    return Line(times * prior.costs, times**2 * prior.covariance, prior.noise), off / (1 + int(there.sum()))


def _even(x: Floats, y: Floats) -> Line:
    """Return a line that knows next to nothing: a feature that no measurement has costs nothing."""
    parts = np.maximum((x > 0).sum(1), 1)  # [n]
    costs = np.zeros(x.shape[1])
    for index, column in enumerate(x.T):
        there = column > 0
        if there.any():
            costs[index] = np.median(y[there] / column[there] / parts[there])
    return Line(costs, np.diag(np.maximum(UNKNOWN * costs, TINY) ** 2), ASSUMED)


def _above_zero(precision: Floats, weighted: Floats) -> Floats:
    """Solve precision · m = weighted with no m below 0: those that would be are set to 0, the lowest first."""
    found = np.asarray(np.linalg.solve(precision, weighted), dtype=np.float64)
    free = np.ones(len(weighted), dtype=np.bool_)
    while (found < 0).any():
        free[int(np.argmin(found))] = False
        found = np.zeros(len(weighted))
        found[free] = np.linalg.solve(precision[np.ix_(free, free)], weighted[free])
    return found
