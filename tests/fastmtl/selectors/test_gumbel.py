"""The draw against its law: the probabilities of drawing one row after another, without replacement."""

from __future__ import annotations

import math
from collections import Counter
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pools import bare, listed, ordered

from fastmtl.errors import InvalidConfig
from fastmtl.selectors import gumbel
from fastmtl.selectors.gumbel import Options

NAN = math.nan
SCORES = st.lists(st.lists(st.sampled_from([0.125, 0.25, 0.5, 1.0, NAN]), max_size=12), min_size=1, max_size=4)
DRAWS = 10_000
CHI_SQUARE_11 = 31.26
"""The 0.999 quantile of the chi-square distribution with 11 degrees of freedom."""


def rows(scores: list[list[float]], budget: int, seed: int = 0, **options) -> list[tuple[int, int, float]]:
    return listed(gumbel.select(bare(scores, seed=seed, options=Options(**options)), budget))


@pytest.mark.parametrize(
    ("scores", "options", "weights"),
    [
        ([[0.0, 1.0, NAN], [-1.0, 0.5]], {}, {(0, 0): 1, (0, 1): math.e, (1, 0): 1 / math.e, (1, 1): math.e**0.5}),
        # exp(0.25 / 0.25), exp(0.5 / 0.25) ...
        (
            [[0.25, 0.5], [NAN, 0.0, 0.25]],
            {"temperature": 0.25},
            {(0, 0): math.e, (0, 1): math.e**2, (1, 1): 1, (1, 2): math.e},
        ),
        # 0.25 ** (1 / 2) ...
        (
            [[0.25, 1.0], [0.0625, 0.5625]],
            {"temperature": 2, "log": True},
            {(0, 0): 0.5, (0, 1): 1, (1, 0): 0.25, (1, 1): 0.75},
        ),
    ],
)
def test_two_of_four_rows_are_drawn_in_order_as_often_as_one_after_another_in_proportion(scores, options, weights):
    """Golden: P(first i, then j) = w_i / W · w_j / (W - w_i) for the twelve orders."""
    drawn = Counter(tuple(row[:2] for row in rows(scores, 2, seed, **options)) for seed in range(DRAWS))
    total = sum(weights.values())
    expected = {
        (i, j): DRAWS * weights[i] / total * weights[j] / (total - weights[i]) for i, j in permutations(weights, 2)
    }
    assert set(drawn) <= set(expected)
    assert sum((drawn[pair] - mean) ** 2 / mean for pair, mean in expected.items()) < CHI_SQUARE_11


@given(SCORES.filter(ordered), st.integers(0, 2**32 - 1), st.booleans(), st.data())
def test_near_temperature_zero_it_is_top_but_for_rows_of_equal_score(scores, seed, log, data):
    budget = data.draw(st.integers(1, len(ordered(scores))))
    drawn = rows(scores, budget, seed, temperature=1e-9, log=log)
    assert [row[2] for row in drawn] == [row[2] for row in ordered(scores)[:budget]]


@given(SCORES.filter(ordered), st.integers(0, 2**32 - 1), st.data())
def test_a_draw_is_the_beginning_of_a_longer_one_of_eligible_rows_each_once(scores, seed, data):
    everything = rows(scores, len(ordered(scores)), seed)
    budget = data.draw(st.integers(1, len(everything)))
    assert sorted(everything) == sorted(ordered(scores))
    assert rows(scores, budget, seed) == everything[:budget]


def test_the_same_seed_draws_the_same_rows_and_another_draws_others():
    scores = [[0.5] * 50, [0.5] * 50]
    assert rows(scores, 10, 1) == rows(scores, 10, 1) != rows(scores, 10, 2)


def test_a_row_that_is_not_eligible_changes_nothing_for_the_others():
    scores = [[0.5] * 50, [0.5] * 50]
    before = rows(scores, 100, 1)
    scores[0][7] = NAN
    assert rows(scores, 99, 1) == [row for row in before if row[:2] != (0, 7)]


def test_the_order_of_the_datasets_changes_nothing():
    pool = bare([[0.5] * 20, [0.5] * 30], seed=3, options=Options())
    turned = bare([[0.5] * 30, [0.5] * 20], seed=3, options=Options(), auxiliary=pool.auxiliary[::-1])
    there, back = listed(gumbel.select(pool, 50)), listed(gumbel.select(turned, 50))
    assert there == [(1 - dataset, row, score) for dataset, row, score in back]


@pytest.mark.parametrize("scores", [[3.4e38, -3.4e38, 0.0], [math.inf, -math.inf, 0.0]])
@pytest.mark.parametrize("temperature", [5e-324, 1e6])
def test_the_largest_scores_and_the_least_temperatures_overflow_nothing(scores, temperature):
    assert [row[1] for row in rows([scores], 3, temperature=temperature)] == [0, 2, 1]


def test_scores_that_have_no_logarithm_are_refused():
    with pytest.raises(InvalidConfig) as caught:
        rows([[0.5, 0.0, NAN], [-0.25]], 1, log=True)
    assert (caught.value.field, str(caught.value)) == (
        "config.options.gumbel.log",
        "log is true, but 2 of 3 eligible rows have a score of 0 or less, the lowest -0.25: set it to false, or choose "
        "a method whose scores are probabilities above 0.",
    )


def test_scores_are_those_that_were_given():
    assert sorted(rows([[0.5, 0.25]], 2, log=True)) == [(0, 0, 0.5), (0, 1, np.float32(0.25))]
