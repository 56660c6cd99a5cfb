"""The balanced baseline: as many rows of every dataset as there are, drawn by the seed."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastmtl.config import JobConfig
from fastmtl.methods import ScoreRequest, get, random_balanced
from fastmtl.plan import TaskRef
from fastmtl.selectors.top import top

PRIMARY = TaskRef("primary", "p", 3)


def scored(sizes: list[int], seed: int = 0) -> list[np.ndarray]:
    tasks = [TaskRef(f"task {index}", f"{index}", rows) for index, rows in enumerate(sizes)]
    return [each.scores for each in random_balanced.score(ScoreRequest(PRIMARY, tasks, seed=seed))]


def counts(sizes: list[int], budget: int, seed: int = 0) -> list[int]:
    return np.bincount(top(scored(sizes, seed), budget).datasets, minlength=len(sizes)).tolist()


@pytest.mark.parametrize(
    ("sizes", "budget", "taken"),
    [
        ([10, 1_000], 8, [4, 4]),
        ([2, 10, 1_000], 12, [2, 5, 5]),  # the first has no more; the others share what it leaves
        ([3, 3], 6, [3, 3]),
        ([0, 5], 3, [0, 3]),
    ],
)
def test_every_dataset_gives_as_many_rows_as_the_others_as_long_as_it_has_them(sizes, budget, taken):
    assert counts(sizes, budget) == taken


@given(st.lists(st.integers(1, 40), min_size=1, max_size=5), st.data())
def test_datasets_that_have_rows_left_differ_by_one_at_most(sizes, data):
    budget = data.draw(st.integers(1, sum(sizes)))
    taken = counts(sizes, budget, seed=data.draw(st.integers(0, 99)))
    left = [count for count, size in zip(taken, sizes, strict=True) if count < size]
    assert sum(taken) == budget
    assert all(max(taken) - count <= 1 for count in left)


def test_the_k_th_drawn_row_of_a_dataset_scores_between_two_fractions():
    falling = np.sort(scored([50])[0])[::-1]
    places = np.arange(50)
    assert np.all((falling >= np.float32(1 / (places + 2))) & (falling <= np.float32(1 / (places + 1))))


def test_rows_are_drawn_by_the_seed_and_no_row_is_preferred():
    first, again, other = (top(scored([6, 200], seed), 20).rows.tolist() for seed in (1, 1, 2))
    assert (first == again, first == other) == (True, False)
    drawn = [int(np.argmax(scored([5], seed)[0])) for seed in range(500)]
    assert np.bincount(drawn).min() > 60  # 100 expected, standard deviation 9


def test_it_needs_no_steps_and_has_seen_no_row():
    method = get("random_balanced")
    (found,) = method.score(ScoreRequest(PRIMARY, [TaskRef("a", "a", 4)], seed=0))
    assert (method.seeded, method.plan(JobConfig(), {}, [PRIMARY]), method.rows_seen(JobConfig())) == (True, [], 0)
    assert found.seen.tolist() == [False] * 4
