"""What a cascade tells of itself: which rows it puts where, what it expects to hold, and in what words."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fastmtl import cascade
from fastmtl.cascade import Told

TOLD = Told(1_000, 3_800, 15_000, 160_000, 30, 29, 29 / 30, (0.833, 0.994))


def floats(*values: float) -> np.ndarray:
    return np.array(values, dtype=np.float32)


@pytest.mark.parametrize(
    ("sampled", "held", "scored", "sought", "found"),
    [
        # the best 2 of 9, 8, 5, 4 end at 8
        ([9, 4], [True, False], [9, 8, 5, 4], 1, 1),
        ([9, 4], [False, True], [9, 8, 5, 4], 1, 0),  # 4 would be held, but is not sought
        ([8, 9], [True, False], [9, 8, 5, 4], 2, 1),  # the worst of the best is sought itself
        ([5, 4], [True, True], [9, 8, 5, 4], 0, 0),
        ([8, 8, 8], [True, False, True], [9, 8, 8, 8], 3, 2),  # equal ones are all sought
    ],
)
def test_the_rows_of_the_sample_that_are_as_good_as_the_best_are_sought(sampled, held, scored, sought, found):
    told = cascade.told(2, 40, 100, floats(*sampled), np.array(held), floats(*scored))
    assert (told.sought, told.held, told.recall) == (sought, found, found / sought if sought else None)
    assert (told.budget, told.sample, told.slice, told.of) == (2, len(sampled), 40, 100)


@pytest.mark.parametrize(
    ("successes", "trials", "low", "high"),
    [
        (0, 0, 0.0, 1.0),
        (24, 24, 0.862, 1.0),  # 24 / (24 + 1.96²)
        (0, 24, 0.0, 0.138),
        (5, 10, 0.2366, 0.7634),
        (97, 100, 0.9155, 0.9897),
    ],
)
def test_the_interval_is_wilsons(successes, trials, low, high):
    assert cascade.interval(successes, trials) == pytest.approx((low, high), abs=1e-4)


def test_rows_that_were_only_guessed_stand_below_any_probability_in_the_order_of_the_guesses():
    # of 5: the best has 4 below it, so -1 + 4/5; of the two equal ones the first is better
    assert cascade.below(floats(-3, 8, 8, 0, -9)).tolist() == pytest.approx([-0.8, -0.2, -0.4, -0.6, -1.0])
    assert cascade.below(floats(7)).tolist() == [-1]


def test_a_slice_holds_the_candidates_with_the_highest_guesses_and_of_equal_ones_the_first():
    candidates = np.array([True, False, True, True, True])
    assert cascade.best(floats(1, 9, 5, 1, 1), candidates, 3).tolist() == [0, 2, 3]


def test_what_was_told_is_read_again_from_the_first_folder_that_tells(tmp_path: Path):
    folders = [tmp_path / name for name in "abc"]
    for folder in folders:
        folder.mkdir()
    assert cascade.read(folders) is None
    cascade.write(folders[1], TOLD)
    assert cascade.read(folders) == TOLD


def test_it_says_what_it_scored_and_what_that_is_expected_to_hold():
    assert cascade.sentences(cascade.counted(TOLD, floats(0.9, 0.0))) == [
        "A cascade scored 18,800 of 160,000 rows in full (12 %); it is expected to hold 97 % (83 to 99 %) of the 1,000 "
        "rows that scoring everything would put first, by the 30 such rows of a random sample of 3,800."
    ]


def test_it_says_when_the_sample_is_too_small_to_tell():
    none = Told(10, 50, 100, 1_000, 0, 0, None, (0.0, 1.0))
    assert cascade.sentences(cascade.counted(none, floats(0.9))) == [
        "A cascade scored 150 of 1,000 rows in full (15 %); none of the 50 rows of its random sample belongs to the "
        "best 10, so it cannot be said how many of these it holds. Make sample_rows larger."
    ]


def test_it_says_how_many_chosen_rows_were_only_guessed():
    told = cascade.counted(TOLD, floats(0.9, -0.01, -1.0))
    assert told["unscored"] == 2
    assert cascade.sentences(told)[1] == (
        "2 of the chosen rows were never scored in full: they stand where the cascade's cheap guess put them. Make "
        "slice_times larger, or score every row."
    )
