"""Caps and floors against a walk that keeps to them, and what is refused."""

from __future__ import annotations

import math
from collections import Counter

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st
from pools import PRIMARY, bare, listed, ordered
from pydantic import ValidationError

from fastmtl.config import JobConfig
from fastmtl.errors import InvalidConfig
from fastmtl.plan import TaskRef
from fastmtl.selectors import caps
from fastmtl.selectors.caps import Options

NAN = math.nan
SCORES = st.lists(st.sampled_from([0.0, -0.0, 0.25, 0.5, 1.0, NAN]), max_size=12)


def walked(scores: list[list[float]], budget: int, least: list[int], most: list[int]) -> list[tuple[int, int, float]]:
    """Take what the floors ask for, then whatever the caps let through, one row at a time."""
    rows = ordered(scores)
    taken = [row for d, floor in enumerate(least) for row in [row for row in rows if row[0] == d][:floor]]
    count = Counter(row[0] for row in taken)
    for row in rows:
        if row not in taken and len(taken) < budget and count[row[0]] < most[row[0]]:
            taken.append(row)
            count[row[0]] += 1
    return [row for row in rows if row in taken]


@st.composite
def worlds(draw: st.DrawFn) -> tuple[list[list[float]], int, list[int], list[int]]:
    scores = draw(st.lists(SCORES, min_size=1, max_size=4))
    eligible = [sum(score == score for score in one) for one in scores]
    least = [draw(st.integers(0, count)) for count in eligible]
    most = [draw(st.integers(max(floor, 1), 13)) for floor in least]
    reachable = sum(map(min, eligible, most))
    assume(reachable)
    return scores, draw(st.integers(max(sum(least), 1), reachable)), least, most


@given(worlds())
@example(([[0.5, 0.5, 0.5], [0.5, NAN, 0.5]], 3, [0, 2], [3, 2]))
def test_floors_are_filled_first_then_the_best_of_the_rest_under_the_caps(world):
    scores, budget, least, most = world
    options = Options(
        floors={"abcd"[d]: floor for d, floor in enumerate(least) if floor},
        caps={"abcd"[d]: cap for d, cap in enumerate(most)},
    )
    assert listed(caps.select(bare(scores, options=options), budget)) == walked(scores, budget, least, most)


@given(st.lists(SCORES, min_size=1, max_size=4).filter(lambda scores: ordered(scores)), st.data())
def test_without_bounds_it_is_top(scores, data):
    budget = data.draw(st.integers(1, len(ordered(scores))))
    assert listed(caps.select(bare(scores, options=Options()), budget)) == ordered(scores)[:budget]


@pytest.mark.parametrize(
    ("given", "budget", "expected"),
    [
        ({"caps": {"a": 2}}, 5, [2, 3, 0]),  # without it a 5
        ({"caps": {"*": 2}}, 5, [2, 2, 1]),
        ({"caps": {"a": 1, "*": 3}}, 5, [1, 3, 1]),  # the star does not touch what is named
        ({"caps": {"a": 0.5}}, 5, [3, 2, 0]),  # half of 5, up
        ({"caps": {"a": 0.5, "b": 0.5}}, 5, [3, 2, 0]),  # shares that sum to 1 are enough
        ({"caps": {"a": 0.1}}, 10, [1, 8, 1]),
        ({"caps": {"a": 1.0}}, 5, [5, 0, 0]),
        ({"caps": {"a": 1}}, 5, [1, 4, 0]),
        ({"floors": {"c": 0.5}}, 5, [3, 0, 2]),  # half of 5, down
        ({"floors": {"c": 0.5, "b": 0.5}}, 5, [1, 2, 2]),
        ({"floors": {"*": 1}}, 5, [3, 1, 1]),
        ({"floors": {"c": 2}, "caps": {"c": 2, "a": 2}}, 5, [2, 1, 2]),
        ({"floors": {"c": 1.0}}, 5, [0, 0, 5]),
        ({"caps": {"a": 10**30}}, 5, [5, 0, 0]),
    ],
)
def test_bounds_are_rows_or_shares_by_name_or_for_all_others(given, budget, expected):
    """Every row of a is better than any of b, and every one of b than any of c; 8 rows each."""
    scores = [[3.0] * 8, [2.0] * 8, [1.0] * 8]
    chosen = listed(caps.select(bare(scores, options=Options(**given)), budget))
    assert [sum(row[0] == d for row in chosen) for d in range(3)] == expected


def test_a_share_is_what_is_written_and_not_the_nearest_binary_number():
    scores = [[2.0] * 30, [1.0] * 30]
    chosen = listed(caps.select(bare(scores, options=Options(caps={"a": 0.1})), 30))  # 0.1 * 30 > 3 in binary
    assert sum(row[0] == 0 for row in chosen) == 3


REFUSED = [
    ({"caps": {"aa": 1}}, "caps", "'aa' is not known here. Did you mean 'a'? Known: a, b."),
    ({"floors": {"primary": 1}}, "floors", "'primary' is not known here. Known: a, b."),
    ({"floors": {"a": 3, "b": 3}}, "floors", "the floors sum to 6 rows, more than the budget of 5."),
    ({"floors": {"a": 3}, "caps": {"*": 2}}, "floors", "'a' has a floor of 3 rows above its cap of 2."),
    ({"floors": {"b": 5}}, "floors", "'b' has a floor of 5 rows, but only 4 are eligible."),
    (
        {"caps": {"*": 2}},
        "caps",
        "the caps leave 4 of 8 eligible rows, fewer than the budget of 5; raise a cap or lower the budget.",
    ),
]


@pytest.mark.parametrize(("given", "option", "told"), REFUSED)
def test_bounds_that_contradict_are_refused_when_a_job_is_planned_and_when_rows_are_selected(given, option, told):
    pool = bare([[1.0, 1.0, 1.0, 1.0, NAN], [1.0, 1.0, 1.0, 1.0]], options=Options(**given))
    with pytest.raises(InvalidConfig) as selecting:
        caps.select(pool, 5)
    config = JobConfig(budget=5, selector="caps", options={"caps": given})
    with pytest.raises(InvalidConfig) as planning:
        caps.plan(config, {}, [PRIMARY, *(TaskRef(key, key, 4) for key in "ab")])
    for caught in (selecting, planning):
        assert (caught.value.field, str(caught.value)) == (f"config.options.caps.{option}", told)


def test_bounds_that_can_be_kept_cost_no_step():
    config = JobConfig(budget=5, selector="caps", options={"caps": {"caps": {"a": 0.5}}})
    assert caps.plan(config, {}, [PRIMARY, *(TaskRef(key, key, 4) for key in "ab")]) == []


@pytest.mark.parametrize("amount", [0, -1, 0.0, 1.5, 2.0, True, "3", None, NAN])
def test_what_is_neither_rows_nor_a_share_is_refused(amount):
    with pytest.raises(ValidationError, match=r"a whole number of rows from 1, or a share of the budget"):
        Options(caps={"a": amount})


def test_amounts_keep_their_kind_through_json():
    options = Options(caps={"a": 1, "b": 1.0}, floors={"*": 0.5})
    again = Options.model_validate_json(options.model_dump_json())
    assert again == options and [type(each) for each in again.caps.values()] == [int, float]
