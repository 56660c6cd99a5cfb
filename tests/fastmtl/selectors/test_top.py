"""The best N of one pool, gone through a part at a time."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastmtl.selectors import top as module
from fastmtl.selectors.top import top

NAN = float("nan")


def scores(*datasets):
    return [np.array(each, dtype=np.float32) for each in datasets]


def chosen(selection):
    return list(zip(selection.datasets.tolist(), selection.rows.tolist(), selection.scores.tolist(), strict=True))


def test_the_best_of_all_datasets_come_first_and_equal_ones_by_dataset_and_row():
    found = top(scores([1, 3, 3], [3, NAN, 2]), 4)
    assert chosen(found) == [(0, 1, 3.0), (0, 2, 3.0), (1, 0, 3.0), (1, 2, 2.0)]


@given(
    st.lists(st.lists(st.sampled_from([NAN, 0.0, -0.0, 1.0, 2.0, 2.5, -np.inf, np.inf]), max_size=9), max_size=4),
    st.integers(1, 5),
    st.data(),
)
def test_whatever_the_parts_the_rows_are_those_of_a_stable_sort_of_the_whole(datasets, part_rows, data):
    pool = [
        (dataset, row, score)
        for dataset, each in enumerate(datasets)
        for row, score in enumerate(each)
        if not np.isnan(score)
    ]
    if not pool:
        return
    budget = data.draw(st.integers(1, len(pool)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "PART_ROWS", part_rows)
        found = chosen(top(scores(*datasets), budget))
    assert found == sorted(pool, key=lambda row: -row[2])[:budget]


def test_datasets_are_asked_for_one_after_another():
    alive = []

    def one_at_a_time():
        for number in range(3):
            alive.append(number)
            yield np.full(4, number, dtype=np.float32)
            alive.remove(number)
            assert not alive

    assert chosen(top(one_at_a_time(), 2)) == [(2, 0, 2.0), (2, 1, 2.0)]


def test_more_than_is_eligible_is_a_mistake_of_the_caller():
    with pytest.raises(AssertionError, match="checks the budget"):
        top(scores([1, NAN]), 2)
