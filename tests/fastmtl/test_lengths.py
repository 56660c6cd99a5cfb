"""Lengths in tokens, told from a summary in characters."""

from __future__ import annotations

import random

import numpy as np
import pytest

from fastmtl.lengths import POINTS, RowLengths, in_tokens, mixed, mostly_cut, per_character
from fastmtl.summary import Lengths
from fastmtl.tally import Statistics


def summary(characters: list[int]) -> Lengths:
    statistics = Statistics()
    for row, count in enumerate(characters):
        statistics.add(row, "x" * count, None, "a")
    return statistics.lengths()


def drawn(seed: int = 0, middle: float = 4.6, spread: float = 0.6) -> list[int]:
    """1,000 lengths, most of them near e^middle, some much longer: as texts are."""
    draw = random.Random(seed)
    return [max(5, round(draw.lognormvariate(middle, spread))) for _ in range(1_000)]


@pytest.mark.parametrize("max_length", [16, 32, 64, 512])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_mean_is_near_that_of_the_rows_themselves_wherever_they_are_cut(max_length: int, seed: int):
    characters = drawn(seed)
    true = np.minimum(max_length, 2 + 0.25 * np.array(characters))
    told = in_tokens(1_000, summary(characters), pair=False, per_character=0.25, max_length=max_length, doubt=0)
    assert told.mean == pytest.approx(true.mean(), rel=0.05)
    assert told.square == pytest.approx(np.square(true).mean(), rel=0.15)


def test_rows_that_are_all_alike_have_that_length_and_a_pair_one_mark_more():
    alike = summary([40] * 10)
    told = [in_tokens(10, alike, pair=pair, per_character=0.25, max_length=99, doubt=0).mean for pair in (False, True)]
    assert told == pytest.approx([12, 13], rel=0.01)  # 2 marks + 40 / 4, and 3 marks
    assert told[1] == told[0] + 1


def test_one_row_of_a_single_letter_and_one_far_longer_than_all_others_are_lengths_too():
    for characters in ([1], [10] * 99 + [1_000_000]):
        told = in_tokens(1, summary(characters), pair=False, per_character=0.25, max_length=128, doubt=0)
        assert len(told.tokens) == POINTS
        assert 2 < told.mean <= 128


@pytest.mark.parametrize("rate", [0.1, 0.25, 0.9])
def test_the_rate_is_found_again_from_the_mean_that_it_gives(rate: float):
    lengths = summary(drawn())
    mean = in_tokens(1, lengths, pair=True, per_character=rate, max_length=200, doubt=0).mean
    assert per_character(lengths, pair=True, mean_tokens=mean, max_length=200) == pytest.approx(rate, rel=0.01)


def test_rows_that_are_nearly_all_cut_say_little_of_longer_ones():
    assert (mostly_cut(31, 32), mostly_cut(20, 32)) == (True, False)


def test_rows_of_two_datasets_are_mixed_as_they_are_drawn():
    short, long = (RowLengths(100, (length,) * 4, 4 * length, 0.1) for length in (10.0, 30.0))
    both = mixed([(short, 300), (long, 100)])
    assert (both.rows, both.mean, both.characters) == (400, pytest.approx(15, rel=0.02), 60)  # 3/4 of 10, 1/4 of 30
    assert mixed([(short, 0)]).tokens == ()


def test_rows_of_another_mean_are_spread_alike():
    assert RowLengths(5, (1.0, 3.0), 8.0, 0.1).scaled(7, 6.0) == RowLengths(7, (3.0, 9.0), 24.0, 0.1)
