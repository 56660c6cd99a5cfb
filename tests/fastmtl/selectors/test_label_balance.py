"""Even classes against a water level, on datasets with classes and with numbers."""

from __future__ import annotations

import math
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pools import PRIMARY, listed, ordered, write_dataset

from fastmtl.datasets import Dataset, TaskKind
from fastmtl.plan import TaskRef
from fastmtl.selectors import Pool, label_balance
from fastmtl.selectors.label_balance import Options

CLASSES = ["x", "x", "x", "x", "x", "x", "y", "y", "y", "z"]
NUMBERS = [0, 5, 1, 1.5, 2, 2.5, 3, 3.5, 4, 4.9]
BINS = [0, 4, 1, 1, 2, 2, 3, 3, 4, 4]  # of width 1 from 0 to 5
SCORE = st.sampled_from([0.0, 0.25, 0.5, 1.0, math.nan])
SCORES = st.lists(st.lists(SCORE, min_size=10, max_size=10), min_size=2, max_size=2)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[TaskRef], dict[str, Path]]:
    folder = tmp_path_factory.mktemp("labels")
    tasks = [
        write_dataset(folder, "classes", [(f"text {i}", label) for i, label in enumerate(CLASSES)]),
        write_dataset(folder, "numbers", [(f"t {i}", str(x)) for i, x in enumerate(NUMBERS)], TaskKind.REGRESSION),
    ]
    return tasks, {task.digest: folder / task.key for task in tasks}


def select(files: tuple[list[TaskRef], dict[str, Path]], scores: list[list[float]], budget: int, bins: int = 5):
    arrays = [np.array(one, dtype=np.float32) for one in scores]
    pool = Pool(arrays, PRIMARY, files[0], files[1], options=Options(bins=bins))
    return listed(label_balance.select(pool, budget))


def filled(rows: list[tuple[int, int, float]], labels: list, quota: int) -> list[tuple[int, int, float]]:
    """The highest level at which no more than `quota` rows stand; the rest goes to the best of the next level."""
    of = {label: [row for row in rows if labels[row[1]] == label] for label in set(labels)}
    level = max(n for n in range(quota + 1) if sum(min(n, len(each)) for each in of.values()) <= quota)
    below = [row for each in of.values() for row in each[:level]]
    following = [each[level] for each in of.values() if len(each) > level]
    return below + [row for row in rows if row in following][: quota - len(below)]


@given(scores=SCORES.filter(ordered), data=st.data())
def test_the_classes_of_a_dataset_share_what_top_gives_it_as_water_finds_its_level(files, scores, data):
    rows = ordered(scores)
    budget = data.draw(st.integers(1, len(rows)))
    quotas = Counter(row[0] for row in rows[:budget])
    shares = [filled([row for row in rows if row[0] == d], [CLASSES, BINS][d], quotas[d]) for d in (0, 1)]
    assert select(files, scores, budget) == [row for row in rows if row in shares[0] + shares[1]]


def test_six_of_ten_rows_are_three_two_and_all_one_there_is(files):
    """Top would take the first six, all of them x; y has three rows, z one; the sixth place is x's by its score."""
    falling = [1 - i / 16 for i in range(10)]
    chosen = select(files, [falling, [math.nan] * 10], 6)
    assert [(row, CLASSES[row]) for _, row, _ in chosen] == [
        *((0, "x"), (1, "x"), (2, "x")),
        *((6, "y"), (7, "y")),
        (9, "z"),
    ]


def test_numbers_are_cut_into_bins_of_equal_width_and_the_highest_is_in_the_last(files):
    numbers = Dataset.open(files[1][files[0][1].digest])
    assert label_balance.classes(numbers, 5).tolist() == BINS
    assert label_balance.classes(numbers, 2).tolist() == [0, 1, 0, 0, 0, 1, 1, 1, 1, 1]  # the border of 2.5 is above
    assert label_balance.classes(numbers, 1).tolist() == [0] * 10


def test_numbers_that_are_all_equal_are_one_class(tmp_path):
    write_dataset(tmp_path, "same", [("a", "2"), ("b", "2")], TaskKind.REGRESSION)
    assert label_balance.classes(Dataset.open(tmp_path / "same"), 5).tolist() == [0, 0]
