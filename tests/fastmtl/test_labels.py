"""Labels: classes or numbers, and what is no label."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastmtl.errors import InvalidDataset
from fastmtl.labels import FEW_CLASSES, Labels, Meaning


def learnt(values, regression=False, max_labels=1000):
    labels = Labels(regression, max_labels)
    for value in values:
        assert labels.add(value)[1] is None
    return labels


@pytest.mark.parametrize("same", [["1", "1.0", 1, 1.0, " 1 "], [True, "true"]])
def test_the_same_label_written_in_several_ways_is_one(same):
    assert len(learnt(same).counts()) == 1


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (None, "the label is missing"),
        ("  ", "the label is missing"),
        (math.nan, "the label is nan, and a finite number or a class is needed"),
        ("inf", "the label is inf, and a finite number or a class is needed"),
        ([1], "the label is a list, and a text or a number is needed"),
    ],
)
def test_what_is_no_label_is_told(value, told):
    assert Labels(False, 1000).add(value) == (None, told)


def test_a_text_in_a_regression_is_told():
    assert Labels(True, 1000).add("high") == (None, "the label 'high' is not a number, and this is a regression")


@pytest.mark.parametrize(
    ("values", "regression"),
    [
        (["yes", "no"], False),
        (["0", "1"], False),
        (["0.5", "1.5"], True),
        (list(range(FEW_CLASSES)), False),
        (list(range(FEW_CLASSES + 1)), True),
        (["1", "2.5", "none"], False),
    ],
)
def test_the_kind_is_inferred_from_the_labels(values, regression):
    assert learnt(values).settle(None)[0] is regression


def test_a_guess_that_may_be_wrong_is_told_with_how_to_change_it():
    (warning,) = learnt(range(30)).settle(None)[1]
    assert warning.startswith("the labels are 30 different integers, taken for classes; kind=regression")


def test_a_regression_with_one_value_is_warned_of():
    assert learnt(["2.5", 2.5], regression=True).settle(True) == (
        True,
        ("every label is 2.5: there is nothing to learn from them",),
    )


def test_one_class_only_is_refused():
    with pytest.raises(InvalidDataset, match="one class only, 'yes': a classification needs at least 2"):
        learnt(["yes", "yes"]).settle(None)


def test_too_many_classes_are_refused_and_not_remembered():
    labels = learnt([f"text {number}" for number in range(500)], max_labels=10)
    assert len(labels.counts()) == 11
    with pytest.raises(InvalidDataset, match="more than 10 different labels"):
        labels.settle(None)


def test_classes_that_are_numbers_are_ordered_as_numbers():
    assert learnt(["10", "9", "-1"]).classes() == ("-1", "9", "10")


@given(st.lists(st.sampled_from(["a", "b", "c", "1", "2.5"]), min_size=1))
def test_counts_add_up_to_the_rows_in_the_order_of_the_classes(values):
    labels = learnt(values)
    assert sum(count.rows for count in labels.counts()) == len(values)
    assert tuple(count.label for count in labels.counts()) == labels.classes()


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1))
def test_the_range_of_a_regression_is_that_of_its_labels(values):
    assert learnt(values, regression=True).range() == (min(values), max(values))


@pytest.mark.parametrize(("values", "told"), [(["1,5", "2"], 1), (["1,5", "high"], 0), (["1.5", "2"], 0)])
def test_numbers_with_a_comma_are_taken_for_classes_and_the_user_is_told(values: list[str], told: int):
    labels = Labels(False, 1000)
    for value in values:
        labels.add(value)
    _, warnings = labels.settle(None)
    assert [each for each in warnings if "write 1.5, not 1,5" in each] == list(warnings)
    assert len(warnings) == told


@pytest.mark.parametrize(
    ("values", "meaning"),
    [
        (["b", "a"], Meaning(False, ("a", "b"))),
        (["10", "9"], Meaning(False, ("9", "10"))),
        (["0.5"], Meaning(True, ())),
        (list(range(FEW_CLASSES + 1)), Meaning(True, ())),
    ],
)
def test_what_labels_mean_so_far_is_what_they_mean_if_they_are_all(values, meaning):
    assert learnt(values).meaning(None) == meaning


@given(st.lists(st.sampled_from(["a", "b", "1", "2.5", *map(str, range(60))]), min_size=2))
def test_a_meaning_that_was_left_does_not_come_again(values):
    labels, seen = Labels(False, 1000), []
    for value in values:
        labels.add(value)
        if labels.meaning(None) not in seen[-1:]:
            seen.append(labels.meaning(None))
    assert len(set(seen)) == len(seen)
