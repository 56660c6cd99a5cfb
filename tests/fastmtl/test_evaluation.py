"""Splits, metrics and differences against sums written out."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastmtl.datasets import TaskKind
from fastmtl.evaluation import compare, measure, predictions, split


@given(st.integers(1, 300), st.none() | st.floats(0.01, 0.5), st.floats(0, 0.5), st.integers(0, 5), st.integers(0, 5))
def test_a_split_uses_every_row_once_and_always_trains_on_one(rows, holdout, choice, seed, choice_seed):
    parts = split(rows, holdout, choice, seed, choice_seed)
    assert sorted([*parts.train, *parts.choice, *parts.holdout]) == list(range(rows))
    assert len(parts.train) >= 1
    assert (len(parts.holdout) > 0) == (holdout is not None and rows > 1)


def test_a_split_is_the_same_for_the_same_seed_and_another_for_another():
    first, again, other = (split(50, 0.2, 0.1, seed, 1).holdout.tolist() for seed in (1, 1, 2))
    assert (first == again, first == other) == (True, False)


def test_repetitions_choose_the_epoch_on_other_rows_and_are_measured_on_the_same():
    first, second = (split(50, 0.2, 0.2, 1, choice_seed) for choice_seed in (1, 2))
    assert first.holdout.tolist() == second.holdout.tolist()
    assert first.choice.tolist() != second.choice.tolist()


def test_classification_is_measured_by_accuracy_f1_and_matthews():
    labels, predicted = np.array([1, 1, 0, 0, 1.0]), np.array([1, 0, 0, 1, 1.0])
    # right: 3 of 5; TP 2 FP 1 FN 1 TN 1: F1 = 4/6; MCC = (2*1 - 1*1) / sqrt(3*3*2*2)
    assert measure(TaskKind.CLASSIFICATION, labels, predicted) == pytest.approx(
        {"accuracy": 0.6, "f1": 4 / 6, "matthews": 1 / 6}
    )


def test_three_classes_are_measured_by_the_mean_f1():
    labels, predicted = np.array([0, 1, 2.0]), np.array([0, 1, 1.0])
    # F1 of class 0: 1; of 1: 2/3; of 2: 0
    assert measure(TaskKind.CLASSIFICATION, labels, predicted)["f1"] == pytest.approx(5 / 9)


def test_regression_is_measured_by_two_correlations():
    labels, predicted = np.array([1, 2, 3, 4.0]), np.array([1, 2, 3, 10.0])
    found = measure(TaskKind.REGRESSION, labels, predicted)
    assert found == pytest.approx({"pearson": np.corrcoef(labels, predicted)[0, 1], "spearman": 1.0})


def test_a_correlation_with_a_constant_is_not_defined():
    assert measure(TaskKind.REGRESSION, np.ones(3), np.arange(3.0)) == {"pearson": None, "spearman": None}


def test_predictions_are_the_largest_logit_or_the_value():
    assert predictions(TaskKind.CLASSIFICATION, np.array([[0, 2, 1], [3, 0, 0]], np.float32)).tolist() == [1, 0]
    assert predictions(TaskKind.REGRESSION, np.array([[0.5], [2]], np.float32)).tolist() == [0.5, 2]


def test_the_difference_of_two_arms_is_paired_over_rows():
    labels = np.zeros(400)
    first, second = np.zeros(400), np.zeros(400)
    second[:40] = 1  # wrong on a tenth: the difference is 0.1 with a standard error of sqrt(.1*.9/400) = 0.015
    found = compare(TaskKind.CLASSIFICATION, labels, [first], [second], seed=0)
    assert found.value == pytest.approx(0.1)
    assert (found.low, found.high) == pytest.approx((0.1 - 1.96 * 0.015, 0.1 + 1.96 * 0.015), abs=0.006)
    assert (found.error, found.repeats) == (pytest.approx(0.015, abs=0.002), 1)


def test_repetitions_add_the_chance_of_the_seeds_in_quadrature():
    labels = np.zeros(1_000)
    wrong = [np.repeat([1.0, 0.0], [count, 1_000 - count]) for count in (50, 100, 150)]
    found = compare(TaskKind.CLASSIFICATION, labels, [labels] * 3, wrong, seed=0)
    # gains 0.05, 0.10, 0.15: mean 0.1, standard error 0.05 / sqrt(3), Student's t for two degrees of freedom 4.303
    of_seeds = 4.303 * 0.05 / 3**0.5
    # a row's mean gain is 1 for 50 rows, 2/3 and 1/3 for as many: variance (50 + 22.2 + 5.6) / 1000 - 0.01
    of_rows = 1.96 * (0.06778 / 1_000) ** 0.5
    assert found.value == pytest.approx(0.1)
    assert found.high - found.value == pytest.approx((of_seeds**2 + of_rows**2) ** 0.5, rel=0.02)


def test_the_mean_over_repetitions_is_compared_seed_by_seed():
    labels = np.array([0.0, 0, 1, 1])
    hard, easy = np.array([1.0, 1, 0, 0]), labels
    found = compare(TaskKind.CLASSIFICATION, labels, [hard, easy], [hard, easy], seed=0)
    assert (found.value, found.low, found.high, found.repeats) == (0, 0, 0, 2)


def test_equal_arms_differ_by_nothing():
    labels = np.array([0.0, 1, 1, 0])
    found = compare(TaskKind.CLASSIFICATION, labels, [labels], [labels], seed=0)
    assert (found.value, found.low, found.high) == (0, 0, 0)


def test_a_difference_of_undefined_correlations_is_none():
    assert compare(TaskKind.REGRESSION, np.ones(5), [np.arange(5.0)], [np.arange(5.0)], seed=0) is None
