"""Distinct rows against a comparison of every row with every taken one."""

from __future__ import annotations

import math
import random
import string
from pathlib import Path

import numpy as np
import pytest
from pools import PRIMARY, listed, ordered, write_dataset

from fastmtl.errors import InvalidConfig
from fastmtl.plan import TaskRef
from fastmtl.selectors import Pool, near_duplicates
from fastmtl.selectors.near_duplicates import MISSED, ROWS_AT_ONCE, Options, bands

Texts = list[tuple[str, ...]]


def made(folder: Path, tables: list[Texts], scores: list[list[float]], similarity: float = 0.8) -> Pool:
    tasks = [
        write_dataset(folder, "abc"[i], [(*texts, "xy"[row % 2]) for row, texts in enumerate(rows)])
        for i, rows in enumerate(tables)
    ]
    files = {task.digest: folder / task.key for task in tasks}
    arrays = [np.array(one, dtype=np.float32) for one in scores]
    return Pool(arrays, PRIMARY, tasks, files, options=Options(similarity=similarity))


def alike(one: tuple[str, ...], other: tuple[str, ...]) -> float:
    """Share of 5-character shingles in common, of pairs that of the less alike texts, in the better order."""

    def share(a: str, b: str) -> float:
        first, second = ({text[i : i + 5] for i in range(max(1, len(text) - 4))} for text in (a, b))
        return len(first & second) / len(first | second)

    if len(one) != len(other):
        return 0.0
    orders = [zip(one, other, strict=True), zip(one, other[::-1], strict=True)]
    return max(min(share(a, b) for a, b in pairs) for pairs in orders)


def compared(tables: list[Texts], scores: list[list[float]], similarity: float) -> list[tuple[int, int, float]]:
    taken: list[tuple[int, int, float]] = []
    for row in ordered(scores):
        texts = tables[row[0]][row[1]]
        if all(alike(texts, tables[dataset][other]) < similarity for dataset, other, _ in taken):
            taken.append(row)
    return taken


def sentence(draw: random.Random) -> str:
    return " ".join("".join(draw.choices(string.ascii_lowercase, k=draw.randint(2, 8))) for _ in range(12))


def changed(text: str, letters: int, draw: random.Random) -> str:
    places = draw.sample(range(len(text)), letters)
    return "".join("0" if i in places else letter for i, letter in enumerate(text))


@pytest.fixture(scope="module")
def tables() -> list[Texts]:
    """A dataset of single texts and one of pairs: 12 texts each, copies of them with 0 to 7 letters changed."""
    draw = random.Random(4)
    singles, firsts, seconds = ([sentence(draw) for _ in range(12)] for _ in range(3))
    one: Texts = [(changed(text, letters, draw),) for letters in range(8) for text in singles]
    two: Texts = [
        (changed(a, letters, draw), changed(b, letters // 2, draw))[:: draw.choice([1, -1])]
        for letters in range(8)
        for a, b in zip(firsts, seconds, strict=True)
    ]
    return [one, two, [(b, a) for a, b in two[:5]] + [(singles[0], firsts[0])]]


@pytest.mark.parametrize("similarity", [0.5, 0.6, 0.7, 0.8, 0.9, 1.0])
def test_a_row_is_passed_over_exactly_if_it_overlaps_enough_with_a_better_one_that_was_taken(
    tmp_path, tables, similarity
):
    draw = random.Random(5)
    scores = [[draw.choice([0.25, 0.5, 0.75, 1.0, math.nan]) for _ in rows] for rows in tables]
    expected = compared(tables, scores, similarity)
    chosen = near_duplicates.select(made(tmp_path, tables, scores, similarity), len(expected))
    assert listed(chosen) == expected
    assert len(expected) < len(ordered(scores))


def test_case_and_punctuation_make_no_row_another_and_a_pair_is_no_single(tmp_path):
    tables = [
        [("The cat sat!",), ("a dog ran",), ("THE CAT, SAT",)],
        [("the cat sat", "a dog ran"), ("A dog ran", "the cat sat")],
    ]
    pool = made(tmp_path, tables, [[0.5, 0.75, 0.75], [0.25, 0.125]], similarity=1.0)
    assert listed(near_duplicates.select(pool, 3)) == [(0, 1, 0.75), (0, 2, 0.75), (1, 0, 0.25)]


@pytest.mark.parametrize(
    ("similarity", "advice"), [(0.8, "raise the similarity or lower the budget"), (1, "lower the budget")]
)
def test_a_pool_that_runs_out_says_how_many_distinct_rows_there_are(tmp_path, similarity, advice):
    pool = made(tmp_path, [[("a cat",), ("A cat.",), ("a dog",)]], [[0.5, 0.5, 0.5]], similarity)
    with pytest.raises(InvalidConfig) as caught:
        near_duplicates.select(pool, 3)
    assert (caught.value.field, str(caught.value)) == (
        "config.options.near_duplicates.similarity",
        f"2 of 3 eligible rows are distinct at a similarity of {similarity}, and that is fewer than the budget of 3: "
        f"{advice}.",
    )


def test_texts_are_read_in_blocks_and_no_further_than_needed(tmp_path):
    """The last row of the first block and the first of the next are distinct; b's file is not there to be opened."""
    texts: Texts = [("same words again",)] * (ROWS_AT_ONCE + 2)
    texts[ROWS_AT_ONCE - 1], texts[ROWS_AT_ONCE] = ("a cat sat here",), ("the dog ran off",)
    scores = np.arange(len(texts), 0, -1, dtype=np.float32)
    task = write_dataset(tmp_path, "a", [(*row, "x") for row in texts[:-1]] + [(*texts[-1], "y")])
    missing = TaskRef("b", "b", ROWS_AT_ONCE)
    pool = Pool(
        [scores, np.zeros(ROWS_AT_ONCE, dtype=np.float32)],
        PRIMARY,
        [task, missing],
        {task.digest: tmp_path / "a", "b": tmp_path / "missing"},
        options=Options(),
    )
    assert near_duplicates.select(pool, 2).rows.tolist() == [0, ROWS_AT_ONCE - 1]
    pool = Pool(pool.scores[:1], PRIMARY, [task], pool.datasets, options=Options())
    assert near_duplicates.select(pool, 3).rows.tolist() == [0, ROWS_AT_ONCE - 1, ROWS_AT_ONCE]


@pytest.mark.parametrize("similarity", [0.5, 0.55, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95, 1.0])
def test_bands_miss_almost_none_that_overlap_enough(similarity):
    number, length = bands(similarity, 125)
    assert 2 <= number and number * length <= 125
    assert (1 - similarity**length) ** number <= MISSED


def test_bands_for_the_leak_guards_threshold_are_the_leak_guards():
    assert bands(0.8, 125) == (25, 5)
