"""The pace of a machine, against the same reckoned with the full covariance."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from fastmtl.noise import ASSUMED, COVERAGE, Noise
from fastmtl.pace import KIND_DIFFERS, WALKS, followed, told
from fastmtl.regression import fit

COSTS = np.array([4.0, 0.5, 0.002])


def test_the_pace_is_that_of_the_local_level_model():
    """Levels of a walk have the covariance start + walk · min(i, j); what is seen of them adds the noise of each."""
    draw = np.random.default_rng(3)
    off = np.cumsum(draw.normal(0, 0.1, 30)) + draw.normal(0, 0.2, 30)
    variances = draw.uniform(0.02, 0.09, 30)
    typical, order = np.median(variances), np.arange(30)
    logs, levels, spreads = [], [], []
    for walk in WALKS:
        prior = typical * (1 + walk * np.minimum.outer(order, order))
        seen = prior + np.diag(variances)
        logs.append(stats.multivariate_t.logpdf(off, shape=seen, df=ASSUMED.freedom))
        factor = (ASSUMED.freedom + off @ np.linalg.solve(seen, off)) / (ASSUMED.freedom + 30)
        levels.append(prior @ np.linalg.solve(seen, off))
        spreads.append(factor * (prior - prior @ np.linalg.solve(seen, prior))[-1, -1])
    weights = np.exp(np.array(logs) - max(logs)) / np.exp(np.array(logs) - max(logs)).sum()
    past = weights @ np.array(levels)
    pace = followed(off, variances)
    assert pace.past == pytest.approx(past)
    assert pace.now == pytest.approx(past[-1])
    now = np.array(levels)[:, -1]
    assert pace.variance == pytest.approx(weights @ (np.array(spreads) + (now - past[-1]) ** 2))


def test_the_share_that_a_measurement_had_in_its_pace_is_what_the_pace_moves_with_it():
    off, variances = np.random.default_rng(4).normal(0, 0.2, 12), np.full(12, 0.04)
    one = [followed(off + 1e-6 * np.eye(12)[at], variances).past[at] for at in range(12)]
    moved = (np.array(one) - followed(off, variances).past) / 1e-6
    assert followed(off, variances).own == pytest.approx(
        moved, abs=0.03
    )  # but for the weights of walks, which move too


def test_nothing_measured_tells_nothing():
    machine = told([], [], [], paced=True)
    assert (machine.noise, machine.pace.now, machine.pace.doubt(5)) == (ASSUMED, 0.0, 0.0)


def machine_of(seed: int, kinds: int, each: int, noise: float) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Features, seconds and kinds, in a random order: kinds differ as is assumed, and share their noise."""
    draw = np.random.default_rng(seed)
    names = draw.permutation(np.repeat(np.arange(kinds), each))
    costs = COSTS * np.exp(draw.normal(0, KIND_DIFFERS, (kinds, 3)))
    steps = draw.integers(5, 200, len(names))
    x = np.stack([np.ones(len(names)), steps, steps * draw.uniform(100, 4_000, len(names))], axis=1)
    y = np.einsum("nd,nd->n", x, costs[names]) * np.exp(draw.normal(0, noise, len(names)))
    return x, y, [f"kind {name}" for name in names]


def inside(x: np.ndarray, y: np.ndarray, kinds: list[str], usual: Noise | None = None) -> bool:
    """Whether the last measurement lies in the band that those before it give; `usual` is told by them if not given."""
    machine = told(x[:-1], y[:-1], kinds[:-1], paced=True)
    noise, pace = (usual, None) if usual else (machine.noise, machine.pace)
    usually = y[:-1] / np.exp(machine.pace.past) if pace else y[:-1]
    own = np.array([kind == kinds[-1] for kind in kinds[:-1]])
    line = fit(x[:-1][~own], usually[~own], None, noise).widened(KIND_DIFFERS, noise)
    line = fit(x[:-1][own], usually[own], line, noise) if own.any() else line
    band = line.at(x[-1], pace.doubt(1), math.exp(pace.now)) if pace else line.at(x[-1])
    return band.low <= y[-1] <= band.high


@pytest.mark.parametrize("noise", [0.3, 0.45])
def test_bands_hold_what_they_promise_of_kinds_that_were_measured_a_few_times(noise: float):
    """Of 200 worlds of four kinds, each measured two or three times: 2.6 binomial standard deviations are 0.055.

    With less noise most of the band is what is not known of the kind's costs, and holds more than it promises.
    """
    share = np.mean([inside(*machine_of(seed, 4, 3, noise)) for seed in range(200)])
    assert share == pytest.approx(COVERAGE, abs=0.055)


def test_a_machine_that_is_twice_as_slow_from_some_moment_on_is_followed():
    """Also for kinds of steps that were not measured since."""
    x, y, kinds = machine_of(5, 4, 8, 0.1)
    slow = [at for at in range(20, 32) if kinds[at] in ("kind 0", "kind 1")]
    seen = [*range(20), *slow]
    y[slow] *= 2
    found = [told(x[seen[:n]], y[seen[:n]], [kinds[at] for at in seen[:n]], paced=True).pace for n in (20, 21, 24)]
    before, first, later = (math.exp(pace.now) for pace in found)
    assert before == pytest.approx(1.0, abs=0.1)
    assert before < first < later
    assert later == pytest.approx(2.0, abs=0.35)
    assert found[1].doubt(1) > 1.5 * found[0].doubt(1)  # one slow step may be one slow step


def test_a_machine_that_keeps_its_pace_is_not_chased():
    paces = [told(*machine_of(seed, 4, 8, 0.3), paced=True).pace for seed in range(10)]
    assert max(abs(pace.now) for pace in paces) < 0.3
    assert np.mean([pace.doubt(1) for pace in paces]) < 0.15
