"""Lengths, duplicates and examples of a dataset's rows."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastmtl.summary import Example
from fastmtl.tally import EXAMPLE_CHARS, EXAMPLES, Statistics


def noted(rows):
    statistics = Statistics()
    for number, (text_a, text_b) in enumerate(rows):
        statistics.add(number, text_a, text_b, "1")
    return statistics


@given(st.lists(st.text(min_size=1), min_size=1))
def test_lengths_are_those_of_the_characters(texts):
    lengths = noted((text, None) for text in texts).lengths()
    counted = [len(text) for text in texts]
    assert (lengths.longest, lengths.median) == (max(counted), np.median(counted))
    assert (lengths.mean, lengths.p95) == pytest.approx((np.mean(counted), np.quantile(counted, 0.95)), abs=0.051)


def test_a_pairs_length_is_that_of_both_texts():
    assert noted([("abc", "de")]).lengths().longest == 5


@given(st.lists(st.text(alphabet="ab\x01", max_size=2)))
def test_duplicates_are_the_rows_that_repeat_an_earlier_one(texts):
    assert noted((text, None) for text in texts).duplicates() == len(texts) - len(set(texts))


def test_a_pair_turned_round_is_no_duplicate():
    assert noted([("a", "b"), ("b", "a"), ("ab", ""), ("a", "b")]).duplicates() == 1


def test_examples_are_the_first_rows_cut_short():
    examples = noted([("x" * 1000, None)] * 20).examples(regression=True)
    assert len(examples) == EXAMPLES
    assert examples[0] == Example(0, "x" * (EXAMPLE_CHARS - 1) + "…", None, 1.0)
