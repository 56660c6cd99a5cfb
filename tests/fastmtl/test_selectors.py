"""The `top` selector against an independent sort: exactly K, unique, ties by (dataset, row), NaN never."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fastmtl.selectors import SELECTORS
from fastmtl.selectors.top import top

Pool = list[list[float]]
NAN = math.nan
FEW = st.sampled_from([0.0, -0.0, 0.25, 0.5, 1.0, NAN])  # many ties
MANY = st.floats(width=32, allow_nan=True, allow_infinity=True)
POOLS = st.lists(st.lists(FEW | MANY, max_size=40), min_size=1, max_size=6)
BATCH_EDGES = [0, 1, 31, 32, 33, 63, 64, 65, 127, 128, 129]


def independent(pool: Pool, budget: int) -> list[tuple[int, int, float]]:
    rows = [(-score, d, r) for d, one in enumerate(pool) for r, score in enumerate(one) if score == score]
    return [(dataset, row, -negative) for negative, dataset, row in sorted(rows)[:budget]]


def chosen(pool: Pool, budget: int) -> list[tuple[int, int, float]]:
    selection = top([np.array(scores, dtype=np.float32) for scores in pool], budget)
    return list(zip(*(column.tolist() for column in selection), strict=True))


def eligible(pool: Pool) -> int:
    return sum(not math.isnan(score) for scores in pool for score in scores)


@st.composite
def pools_and_budgets(draw: st.DrawFn) -> tuple[Pool, int]:
    pool = draw(POOLS.filter(eligible))
    return pool, draw(st.integers(1, eligible(pool)))


@given(pools_and_budgets())
@example(([[0.5, 0.5], [0.5]], 2))
@example(([[], [NAN, 0.5], []], 1))
@example(([[0.0], [-0.0]], 1))
@example(([[-math.inf, math.inf], [NAN]], 2))
def test_top_chooses_what_an_independent_sort_chooses(world: tuple[Pool, int]):
    assert chosen(*world) == independent(*world)


@given(pools_and_budgets())
def test_top_chooses_exactly_as_many_unique_rows_none_of_them_nan_scores_falling(world: tuple[Pool, int]):
    pool, budget = world
    rows = chosen(pool, budget)
    scores = [score for _, _, score in rows]
    assert (len(rows), len({row[:2] for row in rows})) == (budget, budget)
    assert scores == sorted(scores, reverse=True) and not any(map(math.isnan, scores))


@given(pools_and_budgets())
def test_a_chosen_row_carries_the_score_that_stands_at_its_place(world: tuple[Pool, int]):
    assert all(world[0][dataset][row] == score for dataset, row, score in chosen(*world))


@given(pools_and_budgets())
def test_no_row_that_was_left_out_is_better_than_one_that_was_chosen(world: tuple[Pool, int]):
    pool, budget = world
    rows = chosen(pool, budget)
    taken = {row[:2] for row in rows}
    left = [s for d, scores in enumerate(pool) for r, s in enumerate(scores) if (d, r) not in taken and s == s]
    assert all(score <= rows[-1][2] for score in left)


@given(pools_and_budgets())
def test_a_smaller_budget_chooses_the_beginning_of_what_a_larger_one_does(world: tuple[Pool, int]):
    pool, budget = world
    assert chosen(pool, budget) == chosen(pool, eligible(pool))[:budget]


@pytest.mark.parametrize("rows", BATCH_EDGES[1:])
@pytest.mark.parametrize("others", BATCH_EDGES)
def test_sizes_around_multiples_of_a_batch_shift_no_row(rows: int, others: int):
    # Two datasets, every score its own; the second dataset's best row is its last one.
    pool = [[-1 - row for row in range(others)], [row / 1024 for row in range(rows)]]
    assert chosen(pool, 1) == [(1, rows - 1, (rows - 1) / 1024)]
    assert chosen(pool, rows + others) == independent(pool, rows + others)


def test_of_equal_scores_the_first_by_dataset_and_row_are_chosen_even_across_datasets():
    pool = [[0.5] * 600, [0.9], [0.5] * 600]
    assert chosen(pool, 700) == [(1, 0, np.float32(0.9)), *((0, row, 0.5) for row in range(600))] + [
        (2, row, 0.5) for row in range(99)
    ]


def test_the_columns_of_a_selection_have_their_types():
    selection = top([np.array([0.5, 0.25], dtype=np.float32)], 1)
    assert [column.dtype for column in selection] == [np.int32, np.int64, np.float32]


def test_the_scores_that_are_given_are_left_as_they_were():
    scores = np.array([0.1, np.nan, 0.3], dtype=np.float32)
    before = scores.copy()
    top([scores], 2)
    np.testing.assert_array_equal(scores, before)


def test_the_selectors_that_there_are():
    assert dict(SELECTORS) == {"top": top}
