"""How far what is measured lies from what was foretold: of each kind from its own measurements and from all kinds'.

The variance of a kind is drawn towards what is usual of all kinds, as a moderated variance is (Smyth 2004, "Linear
models and empirical Bayes methods for assessing differential expression in microarray experiments", sections 3 and 4):
variances of kinds are s0² d0 / chi²(d0), and d0 says how like one another they are. A kind of few measurements has next
to the usual noise, one of many its own.

Letters: K kinds. Torch-free.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

COVERAGE = 0.9
"""Share of what is foretold that should lie inside its band."""
NORMAL = 1.645
"""Standard deviations of a normal distribution that hold COVERAGE of it on both sides."""
LIKENESS = (2.0, 4.0, 8.0, 16.0, 32.0, 64.0)
"""Degrees of freedom d0 that are looked at."""
LOGARITHMS = (-16.0, 6.0)
"""Of s0², between which it is looked for: deviations of 0.0003 and 20."""
ROUNDS = 40
TINY = 1e-12


class Noise(NamedTuple):
    """Standard deviation of log(actual / foretold), and how well it is known."""

    deviation: float
    freedom: float
    """Degrees of freedom: as many measurements would tell it as well."""

    def moderated(self, squares: float, freedom: float) -> Noise:
        """Return it with what a kind's own residuals say: their sum of squares, and degrees of freedom."""
        both = self.freedom + freedom
        return Noise(math.sqrt((self.freedom * self.deviation**2 + squares) / both), both)


ASSUMED = Noise(0.25, 2.0)
"""Before anything is measured."""


def pooled(squares: Sequence[float], freedoms: Sequence[float]) -> Noise:
    """Return the noise that is usual of kinds, by its largest marginal likelihood; what is assumed is one kind more.

    Takes each kind's sum of squared residuals [K] and its degrees of freedom [K]. The freedom returned is d0, or what
    all residuals have where that is less.
    """
    s = np.array([*squares, ASSUMED.freedom * ASSUMED.deviation**2])  # [K + 1]
    d = np.maximum([*freedoms, ASSUMED.freedom], TINY)  # [K + 1]
    found = [(_usual(s, d, each), each) for each in LIKENESS]
    variance, likeness = max(found, key=lambda pair: _likelihood(s, d, *pair))
    return Noise(math.sqrt(variance), min(likeness, float(d.sum())))


def _usual(s: Floats, d: Floats, d0: float) -> float:
    """Return the s0² that is likeliest at some d0: there the likelihood's derivative, which falls, is 0."""
    low, high = LOGARITHMS
    for _ in range(ROUNDS):
        middle = (low + high) / 2
        scaled = d0 * math.exp(middle)
        if float((d0 - (d + d0) * scaled / (scaled + s)).sum()) > 0:
            low = middle
        else:
            high = middle
    return math.exp(high)


def _likelihood(s: Floats, d: Floats, variance: float, d0: float) -> float:
    """Return the logarithm of the marginal likelihood, but for what s0² and d0 do not change: s / d is s0² F(d, d0)."""
    gammas = sum(math.lgamma((each + d0) / 2) - math.lgamma(d0 / 2) for each in d.tolist())
    return gammas + float((d0 / 2 * math.log(d0 * variance) - (d + d0) / 2 * np.log(d0 * variance + s)).sum())


def student(freedom: float) -> float:
    """Return the standard deviations of Student's t that hold COVERAGE of it (Abramowitz and Stegun 1964, 26.7.5)."""
    z = NORMAL
    terms = (
        z,
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160,
    )
    return sum(term / freedom**power for power, term in enumerate(terms))
