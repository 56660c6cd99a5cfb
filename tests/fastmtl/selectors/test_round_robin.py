"""Turns against a loop over all candidates, with many equal vectors and with lists that are used up."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import cycle, islice
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pools import listed, ordered, write_embeddings

from fastmtl import embeddings
from fastmtl.config import JobConfig
from fastmtl.plan import TaskRef
from fastmtl.selectors import Pool, round_robin
from fastmtl.selectors.round_robin import LISTED, Options, take_turns

Vector = Sequence[int]
VECTORS = st.lists(st.tuples(*[st.integers(-2, 2)] * 2), min_size=1, max_size=14)


def looped(candidates: Sequence[Vector], primary: Sequence[Vector], budget: int) -> list[int]:
    """For every turn, look at all candidates that are left."""
    left, taken = list(range(len(candidates))), []
    for row in islice(cycle(primary), budget):
        best = max(left, key=lambda place: (sum(a * b for a, b in zip(row, candidates[place], strict=True)), -place))
        left.remove(best)
        taken.append(best)
    return taken


def turns(candidates: Sequence[Vector], primary: Sequence[Vector], budget: int, listed: int = LISTED) -> list[int]:
    rows = np.array(primary, dtype=np.float32)
    found = take_turns(np.array(candidates, dtype=np.float32), len(rows), rows.__getitem__, budget, listed)
    return found.tolist()


@given(VECTORS, VECTORS, st.sampled_from([1, 2, 3, LISTED]), st.data())
@example([(1, 0)] * 4, [(1, 0)] * 3, 2, None)
def test_each_primary_row_in_turn_takes_the_nearest_candidate_that_is_left(candidates, primary, listed, data):
    budget = data.draw(st.integers(1, len(candidates))) if data else len(candidates)
    assert turns(candidates, primary, budget, listed) == looped(candidates, primary, budget)


def test_lists_that_are_used_up_are_made_again():
    """All primary rows want the same candidates: each list of 128 is empty after as many turns."""
    generator = np.random.default_rng(0)
    candidates = generator.integers(-2, 3, size=(700, 3)).tolist()
    primary = [*([[2, 1, 0]] * 30), *generator.integers(-2, 3, size=(10, 3)).tolist()]
    assert turns(candidates, primary, 650) == looped(candidates, primary, 650)


@pytest.mark.parametrize("listed", [5, 20, LISTED])
def test_equal_vectors_are_equally_near_wherever_they_stand(listed):
    """Float32 products of equal vectors differ by their place; the first must be taken first all the same."""
    generator = np.random.default_rng(1)
    vector = generator.normal(size=37)
    candidates = np.tile((vector / np.linalg.norm(vector)).astype(np.float32), (303, 1))
    primary = generator.normal(size=(20, 37)).astype(np.float32)
    primary /= np.linalg.norm(primary, axis=1, keepdims=True)
    assert take_turns(candidates, 20, primary.__getitem__, 303, listed).tolist() == list(range(303))


def world(folder: Path, scores: list[list[float]], vectors: list[list[Vector]], depth: int) -> Pool:
    """A pool of the vectors; the first list is the primary's, and the last dataset's are in two parts."""
    tasks = [TaskRef("pab"[i], f"{i}", len(each)) for i, each in enumerate(vectors)]
    folders = [
        written
        for task, each in zip(tasks, vectors, strict=True)
        for written in write_embeddings(folder, task, np.array(each), cut=2 if task.key == "b" else 0)
    ]
    arrays = [np.array(one, dtype=np.float32) for one in scores]
    return Pool(arrays, tasks[0], tasks[1:], inputs=folders[::-1], options=Options(depth=depth))


PRIMARY = [(1, 0), (0, 1)]
VECTORS_A = [(1, 0), (2, 0), (0, 2), (-1, -1)]
VECTORS_B = [(2, 0), (0, 1), (3, 3)]


def test_only_the_best_by_score_are_candidates_and_the_rank_is_the_order_of_taking(tmp_path):
    scores = [[0.5, 0.75, math.nan, 0.25], [1.0, 0.5, 0.125]]
    pool = world(tmp_path, scores, [PRIMARY, VECTORS_A, VECTORS_B], depth=2)
    # Of the best four, a0 a1 b0 b1: the first row takes a1 of two equally near, the second b1.
    assert listed(round_robin.select(pool, 2)) == [(0, 1, 0.75), (1, 1, 0.5)]


def test_at_depth_one_the_rows_are_those_of_top(tmp_path):
    scores = [[0.5, 0.75, math.nan, 0.25], [1.0, 0.5, 0.125]]
    pool = world(tmp_path, scores, [PRIMARY, VECTORS_A, VECTORS_B], depth=1)
    assert sorted(listed(round_robin.select(pool, 5))) == sorted(ordered(scores)[:5])


@pytest.mark.parametrize("budget", [1, 2, 3, 6])
def test_a_pool_smaller_than_the_depth_is_all_candidates(tmp_path, budget):
    scores = [[0.5, 0.75, math.nan, 0.25], [1.0, 0.5, 0.125]]
    pool = world(tmp_path, scores, [PRIMARY, VECTORS_A, VECTORS_B], depth=100)
    places = sorted(row[:2] for row in ordered(scores))
    vectors = [[VECTORS_A, VECTORS_B][dataset][row] for dataset, row in places]
    expected = [places[place] for place in looped(vectors, PRIMARY, budget)]
    assert [row[:2] for row in listed(round_robin.select(pool, budget))] == expected


def test_it_plans_the_embeddings_of_all_tasks():
    tasks = [TaskRef("p", "0", 3), TaskRef("a", "1", 4)]
    assert round_robin.plan(JobConfig(), {}, tasks) == embeddings.plan(JobConfig(), {}, tasks)
