"""A line through few and noisy measurements."""

from __future__ import annotations

import numpy as np
import pytest

from fastmtl.noise import COVERAGE
from fastmtl.regression import fit

START, STEP, TOKEN = 4.0, 0.5, 0.002
COSTS = np.array([START, STEP, TOKEN])


def worlds(count: int, noise: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Features [count, 3] of steps of all sizes, and what they took."""
    draw = np.random.default_rng(seed)
    steps = draw.integers(5, 200, count)
    features = np.stack([np.ones(count), steps, steps * draw.uniform(100, 4_000, count)], axis=1)
    return features, features @ COSTS * np.exp(draw.normal(0, noise, count))


def test_many_clean_measurements_tell_the_costs():
    assert fit(*worlds(40, 0.0, 0)).costs == pytest.approx(COSTS, rel=0.02)


def test_one_measurement_is_enough_for_a_number_and_ten_make_its_band_narrower():
    features, took = worlds(11, 0.1, 1)
    one, ten = (fit(features[:count], took[:count]).at(features[10]) for count in (1, 10))
    assert one.low < took[10] < one.high
    assert one.high / one.low > ten.high / ten.low > 1


def test_a_prior_tells_what_the_measurements_do_not():
    features, took = worlds(40, 0.05, 2)
    prior = fit([*features, [1, 0, 0]], [*took, START]).widened(0.5)
    line = fit([[1, 1, 100]], [4.7], prior)  # nearly nothing but the start: 4 + 0.5 + 0.2
    assert line.at([1, 100, 100_000]).expected == pytest.approx(4 + 50 + 200, rel=0.1)


@pytest.mark.parametrize("times", [0.1, 10.0])
def test_a_kind_that_takes_many_times_what_the_prior_says_is_believed_at_once_but_not_sure(times: float):
    prior = fit(*worlds(40, 0.05, 2)).widened(0.5)
    features, took = worlds(10, 0.05, 7)
    one, ten = (fit(features[:count], times * took[:count], prior).at(features[0]) for count in (1, 10))
    assert [one.expected, ten.expected] == pytest.approx([times * took[0]] * 2, rel=0.25)
    assert one.high / one.expected > 3 > 2 > ten.high / ten.expected


def test_a_step_far_larger_than_all_measured_has_a_wider_band():
    features, took = worlds(3, 0.2, 3)
    line = fit(features, took)
    near, far = (line.at(times * features[0]) for times in (1, 1_000))
    assert far.high / far.low >= near.high / near.low


def test_what_is_doubted_of_the_features_widens_the_band_but_moves_nothing():
    line = fit(*worlds(20, 0.1, 4))
    sure, doubted = (line.at([1, 10, 1_000], doubt) for doubt in (0.0, 0.5))
    assert sure.expected == doubted.expected
    assert doubted.high > sure.high and doubted.low < sure.low


def test_one_measurement_that_is_far_off_moves_the_line_little_and_widens_its_band():
    features, took = worlds(20, 0.05, 5)
    calm = fit(features, took)
    took[7] *= 8
    moved = fit(features, took)
    assert moved.at(features[0]).expected == pytest.approx(calm.at(features[0]).expected, rel=0.25)
    assert moved.noise.deviation > 2 * calm.noise.deviation


def test_no_cost_is_below_nothing():
    features = [[1.0, 0.0, 10.0], [1.0, 0.0, 20.0], [1.0, 0.0, 30.0]]
    assert (fit(features, [10.0, 6.0, 2.0]).costs >= 0).all()


def test_a_step_without_any_work_takes_no_time():
    assert fit(*worlds(5, 0.1, 6)).at([0, 0, 0]) == (0, 0, 0)


@pytest.mark.parametrize("count", [1, 3, 10, 30])
def test_bands_hold_what_they_promise(count: int):
    """With noise of a fifth, over 300 worlds; the promise is nine in ten."""
    inside = 0
    for seed in range(300):
        features, took = worlds(count + 1, 0.2, seed)
        calibration, found = worlds(4, 0.1, 10_000 + seed)
        band = fit(features[:count], took[:count], fit(calibration, found).widened(0.3)).at(features[count])
        inside += band.low <= took[count] <= band.high
    assert inside / 300 > COVERAGE - 0.05
