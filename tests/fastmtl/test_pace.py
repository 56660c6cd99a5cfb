"""The pace of a machine, against the same reckoned with the full covariance."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from fastmtl import pace as pace_of
from fastmtl.noise import ASSUMED, COVERAGE, Noise
from fastmtl.pace import KIND_DIFFERS, LINES_OFF, WALKS, followed, told
from fastmtl.regression import fit

COSTS = np.array([4.0, 0.5, 0.002])


def test_the_pace_is_what_normal_equations_say_of_lines_steps_of_a_walk_and_noise():
    """Unknown: what a kind's line is off by, and each step of the walk; the noise's variance is 1, times a factor."""
    draw = np.random.default_rng(3)
    n, kinds = 30, draw.integers(4, size=30)
    off = np.cumsum(draw.normal(0, 0.1, n)) + draw.normal(0, 0.2, n)
    walked = np.tril(np.ones((n, n)))[:, 1:]  # the pace before the first step is what others are told from
    design = np.hstack([np.eye(4)[kinds], walked])
    centred = np.hstack([np.zeros((n, 4)), walked - walked.mean(0)])
    logs, past, spreads, own = [], [], [], []
    for walk in WALKS:
        variances = np.array([LINES_OFF] * 4 + [max(walk, 1e-12)] * (n - 1))
        unsure = np.linalg.inv(design.T @ design + np.diag(1 / variances))
        seen = design @ np.diag(variances) @ design.T + np.eye(n)
        scaled = ASSUMED.freedom * ASSUMED.deviation**2 + off @ np.linalg.inv(seen) @ off
        logs.append(stats.multivariate_t.logpdf(off, shape=ASSUMED.deviation**2 * seen, df=ASSUMED.freedom))
        past.append(centred @ unsure @ design.T @ off)
        own.append(np.diag(centred @ unsure @ design.T))
        spreads.append(scaled / (ASSUMED.freedom + n) * centred[-1] @ unsure @ centred[-1])
    weights = np.exp(np.array(logs) - max(logs)) / np.exp(np.array(logs) - max(logs)).sum()
    now = np.array(past)[:, -1]
    pace = followed(off, kinds)
    assert pace.past == pytest.approx(weights @ np.array(past), abs=1e-6)
    assert pace.own == pytest.approx(weights @ np.array(own), abs=1e-6)
    assert pace.now == pytest.approx(weights @ now, abs=1e-6)
    assert pace.variance == pytest.approx(weights @ (np.array(spreads) + (now - weights @ now) ** 2), abs=1e-6)


def test_before_what_is_followed_the_pace_is_the_oldest_followed(monkeypatch: pytest.MonkeyPatch):
    off, kinds = np.random.default_rng(4).normal(0, 0.2, 12), np.arange(12) % 3
    newest = followed(off[4:], kinds[4:])
    monkeypatch.setattr(pace_of, "FOLLOWED", 8)
    found = followed(off, kinds)
    assert (found.now, found.variance) == pytest.approx((newest.now, newest.variance))
    assert found.past[:5].tolist() == [found.past[4]] * 5


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

    With less noise most of the band is what is not known of the kind's costs, and holds more than it promises; with
    more it holds less, as what is assumed before anything is measured still counts.
    """
    share = np.mean([inside(*machine_of(seed, 4, 3, noise)) for seed in range(200)])
    assert share == pytest.approx(COVERAGE, abs=0.055)


def test_a_machine_that_is_twice_as_slow_from_some_moment_on_is_followed():
    """Also for a kind that was not measured since: its line stands for the pace of then, and is foretold at today's."""
    x, y, kinds = machine_of(5, 4, 8, 0.1)
    slow = [at for at in range(20, 32) if kinds[at] in ("kind 0", "kind 1")]
    seen = [*range(20), *slow]
    y[slow] *= 2

    def times(n: int) -> tuple[float, float]:
        """Return how many times as slow the machine is as when it was first measured, and how unsure that is."""
        pace = told(x[seen[:n]], y[seen[:n]], [kinds[at] for at in seen[:n]], paced=True).pace
        return math.exp(pace.now - pace.past[:20].mean()), pace.doubt(1)

    (before, sure), (first, unsure), (later, _) = times(20), times(21), times(28)
    assert before == pytest.approx(1.0, abs=0.1)
    assert 1.1 < first < later
    assert unsure > 2 * sure  # it may have been that step alone
    assert later == pytest.approx(2.0, abs=0.3)


def test_a_machine_that_keeps_its_pace_is_not_chased():
    paces = [told(*machine_of(seed, 4, 8, 0.3), paced=True).pace for seed in range(10)]
    assert max(abs(pace.now) for pace in paces) < 0.15
    assert np.mean([pace.doubt(1) for pace in paces]) < 0.15
