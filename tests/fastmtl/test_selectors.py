"""Selectors: which there are, what all of them keep to, and `top` against an independent sort."""

from __future__ import annotations

import hashlib
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pools import listed, ordered, write_dataset, write_embeddings

from fastmtl import selectors
from fastmtl.config import JobConfig
from fastmtl.datasets import TaskKind
from fastmtl.plan import TaskRef
from fastmtl.selectors import Pool, ranked
from fastmtl.selectors.top import top

Scores = list[list[float]]
NAN = math.nan
FEW = st.sampled_from([0.0, -0.0, 0.25, 0.5, 1.0, NAN])  # many ties
MANY = st.floats(width=32, allow_nan=True, allow_infinity=True)
POOLS = st.lists(st.lists(FEW | MANY, max_size=40), min_size=1, max_size=6)
BATCH_EDGES = [0, 1, 31, 32, 33, 63, 64, 65, 127, 128, 129]


def chosen(pool: Scores, budget: int) -> list[tuple[int, int, float]]:
    return listed(top([np.array(scores, dtype=np.float32) for scores in pool], budget))


def eligible(pool: Scores) -> int:
    return sum(not math.isnan(score) for scores in pool for score in scores)


@st.composite
def pools_and_budgets(draw: st.DrawFn) -> tuple[Scores, int]:
    pool = draw(POOLS.filter(eligible))
    return pool, draw(st.integers(1, eligible(pool)))


@given(pools_and_budgets())
@example(([[0.5, 0.5], [0.5]], 2))
@example(([[], [NAN, 0.5], []], 1))
@example(([[0.0], [-0.0]], 1))
@example(([[-math.inf, math.inf], [NAN]], 2))
def test_top_chooses_what_an_independent_sort_chooses(world: tuple[Scores, int]):
    assert chosen(*world) == ordered(world[0])[: world[1]]


@given(pools_and_budgets())
def test_top_chooses_exactly_as_many_unique_rows_none_of_them_nan_scores_falling(world: tuple[Scores, int]):
    pool, budget = world
    rows = chosen(pool, budget)
    scores = [score for _, _, score in rows]
    assert (len(rows), len({row[:2] for row in rows})) == (budget, budget)
    assert scores == sorted(scores, reverse=True) and not any(map(math.isnan, scores))


@given(pools_and_budgets())
def test_a_chosen_row_carries_the_score_that_stands_at_its_place(world: tuple[Scores, int]):
    assert all(world[0][dataset][row] == score for dataset, row, score in chosen(*world))


@given(pools_and_budgets())
def test_no_row_that_was_left_out_is_better_than_one_that_was_chosen(world: tuple[Scores, int]):
    pool, budget = world
    rows = chosen(pool, budget)
    taken = {row[:2] for row in rows}
    left = [s for d, scores in enumerate(pool) for r, s in enumerate(scores) if (d, r) not in taken and s == s]
    assert all(score <= rows[-1][2] for score in left)


@given(pools_and_budgets())
def test_a_smaller_budget_chooses_the_beginning_of_what_a_larger_one_does(world: tuple[Scores, int]):
    pool, budget = world
    assert chosen(pool, budget) == chosen(pool, eligible(pool))[:budget]


@pytest.mark.parametrize("rows", BATCH_EDGES[1:])
@pytest.mark.parametrize("others", BATCH_EDGES)
def test_sizes_around_multiples_of_a_batch_shift_no_row(rows: int, others: int):
    # Two datasets, every score its own; the second dataset's best row is its last one.
    pool = [[-1 - row for row in range(others)], [row / 1024 for row in range(rows)]]
    assert chosen(pool, 1) == [(1, rows - 1, (rows - 1) / 1024)]
    assert chosen(pool, rows + others) == ordered(pool)


def test_of_equal_scores_the_first_by_dataset_and_row_are_chosen_even_across_datasets():
    pool = [[0.5] * 600, [0.9], [0.5] * 600]
    assert chosen(pool, 700) == [(1, 0, np.float32(0.9)), *((0, row, 0.5) for row in range(600))] + [
        (2, row, 0.5) for row in range(99)
    ]


def test_the_scores_that_are_given_are_left_as_they_were():
    scores = np.array([0.1, np.nan, 0.3], dtype=np.float32)
    before = scores.copy()
    top([scores], 2)
    np.testing.assert_array_equal(scores, before)


def test_ranked_is_top_of_everything_and_other_keys_change_the_order_but_not_the_scores():
    scores = [np.array([0.5, np.nan, 0.5], dtype=np.float32), np.array([0.25, 0.5], dtype=np.float32)]
    order = ranked(scores)
    assert listed(order.take(np.arange(4))) == listed(top(scores, 4))
    keys = [np.array([0, 9, 1], dtype=np.float32), np.array([2, 0], dtype=np.float32)]
    assert listed(ranked(scores, keys).take(np.array([0, 1, 3]))) == [(1, 0, 0.25), (0, 2, 0.5), (1, 1, 0.5)]


BY_SCORE = {"caps", "label_balance", "near_duplicates", "top"}
"""Selectors whose rows are in order of score."""
BY_PREFIX = {"gumbel", "near_duplicates", "top"}
"""Selectors of which a smaller budget is the beginning of a larger one."""


def test_the_selectors_that_there_are():
    assert selectors.names() == ["caps", "gumbel", "label_balance", "near_duplicates", "round_robin", "top"]
    assert {name for name in selectors.names() if selectors.get(name).seeded} == {"gumbel"}


@pytest.mark.parametrize("name", selectors.names())
def test_a_selector_says_in_a_sentence_what_it_does_and_describes_its_options(name):
    selector = selectors.get(name)
    assert selector.summary.endswith(".") and len(selector.summary) <= 120
    assert all(field.description for field in selector.Options.model_fields.values())


def test_only_round_robin_needs_steps_of_its_own():
    tasks = [TaskRef("primary", "0", 3), TaskRef("a", "1", 2000)]
    planned = {name: selectors.get(name).plan(JobConfig(), {}, tasks) for name in selectors.names()}
    assert {name for name, steps in planned.items() if steps} == {"round_robin"}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Pool:
    """Three datasets - of classes, of pairs, of numbers - of texts that are all unlike, with embeddings; no scores."""
    folder = tmp_path_factory.mktemp("world")

    def text(key: str, row: int) -> str:
        return hashlib.sha256(f"{key} {row}".encode()).hexdigest()

    primary = write_dataset(folder, "primary", [(text("p", row), "xy"[row % 2]) for row in range(4)])
    auxiliary = [
        write_dataset(folder, "a", [(text("a", row), "xyz"[row % 3]) for row in range(10)]),
        write_dataset(folder, "b", [(text("b", row), text("c", row), "xxxy"[row % 4]) for row in range(10)]),
        write_dataset(folder, "c", [(text("d", row), str(row / 4)) for row in range(10)], TaskKind.REGRESSION),
    ]
    generator = np.random.default_rng(0)
    folders = []
    for task in (primary, *auxiliary):
        vectors = generator.normal(size=(task.rows, 8))
        folders += write_embeddings(folder, task, vectors / np.linalg.norm(vectors, axis=1, keepdims=True))
    files = {task.digest: folder / task.key for task in auxiliary}
    return Pool([], primary, auxiliary, files, folders, seed=3)


def by(name: str, world: Pool, scores: Scores, budget: int) -> list[tuple[int, int, float]]:
    selector = selectors.get(name)
    arrays = [np.array(one, dtype=np.float32) for one in scores]
    inputs = world.inputs if name == "round_robin" else ()
    seed = world.seed if selector.seeded else None
    pool = replace(world, scores=arrays, inputs=inputs, seed=seed, options=selector.Options())
    return listed(selector.select(pool, budget))


@pytest.mark.parametrize("name", selectors.names())
@given(
    scores=st.lists(st.lists(FEW, min_size=10, max_size=10), min_size=3, max_size=3).filter(eligible), data=st.data()
)
@settings(max_examples=30)
def test_every_selector_chooses_exactly_as_many_eligible_rows_each_once_and_the_same_again(name, world, scores, data):
    budget = data.draw(st.integers(1, eligible(scores)))
    rows = by(name, world, scores, budget)
    assert len(rows) == len(set(rows)) == budget and set(rows) <= set(ordered(scores))
    assert by(name, world, scores, budget) == rows
    if name in BY_SCORE:
        assert rows == [row for row in ordered(scores) if row in rows]
    if name in BY_PREFIX:
        assert rows == by(name, world, scores, eligible(scores))[:budget]


@pytest.mark.parametrize("name", selectors.names())
def test_every_selector_can_choose_the_whole_pool(name, world):
    scores = [[0.5] * 10, [NAN, *[0.25] * 9], [0.75] * 10]
    assert sorted(by(name, world, scores, 29)) == sorted(ordered(scores))
