"""The noise of kinds of steps, against the same reckoned with scipy."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import optimize, stats

from fastmtl.noise import ASSUMED, COVERAGE, LIKENESS, Noise, pooled, student


@pytest.mark.parametrize("freedom", [2.0, 2.5, 3.0, 5.0, 12.0, 60.0])
def test_the_bound_is_student_s(freedom: float):
    assert student(freedom) == pytest.approx(stats.t.ppf((1 + COVERAGE) / 2, freedom), rel=0.005)


def residuals(noises: list[float], counts: list[int], seed: int) -> tuple[list[float], list[float]]:
    """Sums of squares of as many normal residuals of each kind, and their degrees of freedom."""
    draw = np.random.default_rng(seed)
    squares = [float(np.sum(draw.normal(0, noise, n) ** 2)) for noise, n in zip(noises, counts, strict=True)]
    return squares, [float(n) for n in counts]


@pytest.mark.parametrize(
    ("noises", "counts"),
    [([0.4] * 8, [3] * 8), ([0.05, 0.1, 0.3, 0.9], [20, 4, 9, 30]), ([0.2, 0.5], [1, 2]), ([], [])],
)
def test_the_usual_noise_is_the_likeliest_of_all_kinds(noises: list[float], counts: list[int]):
    squares, freedoms = residuals(noises, counts, 1)
    s = np.array([*squares, ASSUMED.freedom * ASSUMED.deviation**2])
    d = np.array([*freedoms, ASSUMED.freedom])

    def unlikely(log_variance: float, d0: float) -> float:
        """Variances s / d are s0² F(d, d0): Smyth 2004, section 4."""
        scale = math.exp(log_variance)
        return -float(np.sum(stats.f.logpdf(s / d, d, d0, scale=scale)))

    found = [(optimize.minimize_scalar(unlikely, bounds=(-9, 3), method="bounded", args=(d0,)), d0) for d0 in LIKENESS]
    best, d0 = min(found, key=lambda pair: pair[0].fun)
    usual = pooled(squares, freedoms)
    assert usual.deviation == pytest.approx(math.exp(best.x / 2), rel=0.001)
    assert usual.freedom == min(d0, d.sum())


def test_before_anything_is_measured_it_is_what_is_assumed():
    assert pooled([], []) == pytest.approx(ASSUMED)


def test_a_kind_of_few_measurements_has_the_usual_noise_and_one_of_many_its_own():
    usual = Noise(0.2, 4.0)
    assert usual.moderated(0.6**2, 1.0).deviation == pytest.approx(math.sqrt((4 * 0.04 + 0.36) / 5))
    assert usual.moderated(400 * 0.6**2, 400.0).deviation == pytest.approx(0.6, rel=0.01)


def test_kinds_that_are_alike_lend_one_another_more_than_kinds_that_are_not():
    alike, unlike = (pooled(*residuals(noises, [8] * 10, 2)) for noises in ([0.3] * 10, [0.05, 0.9] * 5))
    assert alike.freedom > 8 * unlike.freedom
    assert alike.deviation == pytest.approx(0.3, rel=0.15)
