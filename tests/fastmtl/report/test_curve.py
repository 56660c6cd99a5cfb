"""The budget curve's recommendation and the effects of datasets, from made-up results."""

from __future__ import annotations

import numpy as np
import pytest
from made_up import predictions, results

from fastmtl.datasets import TaskKind
from fastmtl.report.curve import budget_curve, dataset_effects

# Wrong rows of 1,000, one repetition. Two arms get the same first rows wrong, so their difference is
# d = (a - b) / 1000 with a standard error of sqrt(d (1 - d) / 1000): 0.0030 of 9 rows, 0.0032 of 10, 0.0055 of 31.
CURVES = [
    ({"primary_only": [131], "best 10": [109], "best 50": [100], "selection": [100]}, 50),  # equal means: the smaller
    ({"primary_only": [131], "best 10": [110], "best 50": [109], "selection": [100]}, 100),  # 9 rows: 3 errors behind
    ({"primary_only": [100], "best 10": [110], "best 50": [110], "selection": [110]}, 0),  # nothing is best
    ({"primary_only": [110], "best 10": [100], "best 50": [110], "selection": [120]}, 10),
    ({"best 10": [100], "best 50": [100], "selection": [100]}, 10),
]


@pytest.mark.parametrize(("wrong", "recommended"), CURVES)
def test_the_smallest_budget_that_is_as_good_as_the_best_is_recommended(wrong, recommended):
    assert budget_curve(results(wrong, rows=1_000), 100)["recommended"] == recommended


@pytest.mark.parametrize(
    ("wrong", "recommended"),
    [
        # Behind by 10, 0 and 20 rows: mean 0.010, error of the seeds 0.010 / sqrt(3) = 0.0058, of the rows 0.0023
        ({"best 10": [110, 100, 120], "selection": [100, 100, 100]}, 100),
        # Behind by 30, 0 and 0 rows: mean 0.010, error of the seeds 0.0173 / sqrt(3) = 0.010, with the rows' more
        ({"best 10": [130, 100, 100], "selection": [100, 100, 100]}, 10),
    ],
)
def test_seeds_that_disagree_make_a_smaller_budget_as_good(wrong, recommended):
    assert budget_curve(results(wrong, rows=1_000), 100)["recommended"] == recommended


def test_a_point_stands_for_every_budget_from_none_to_the_whole():
    world = results({"selection": [100], "primary_only": [131], "best 50": [109], "best 10": [110]}, rows=1_000)
    found = budget_curve(world, 100)
    assert [(each["arm"], each["budget"]) for each in found["points"]] == [
        ("primary_only", 0),
        ("best 10", 10),
        ("best 50", 50),
        ("selection", 100),
    ]
    assert [each["mean"] for each in found["points"]] == pytest.approx([0.869, 0.890, 0.891, 0.900])
    assert [each["behind_best"] for each in found["points"]] == pytest.approx([0.031, 0.010, 0.009, 0])
    # sqrt(d (1 - d) / 1000), within the bootstrap's own noise
    assert [each["error"] for each in found["points"]] == pytest.approx([0.00548, 0.00315, 0.00299, 0], rel=0.06)
    assert (found["best"], found["recommended"]) == (100, 100)


def test_where_one_row_alone_is_measured_no_budget_is_recommended():
    assert budget_curve(results({"selection": [0], "best 10": [1], "primary_only": [1]}, rows=1), 100) is None


def test_other_arms_are_no_points_of_the_curve():
    world = results({"selection": [1], "random": [1], "full": [1], "without mnli": [1], "best 10": [1]})
    assert [each["arm"] for each in budget_curve(world, 100)["points"]] == ["best 10", "selection"]


def test_a_single_budget_makes_no_curve():
    assert budget_curve(results({"selection": [1], "primary_only": [2]}), 100) is None


def test_a_metric_that_is_not_defined_makes_no_curve():
    labels = np.arange(4.0)
    world = predictions(TaskKind.REGRESSION, labels, {"selection": [labels], "best 10": [np.ones(4)]})
    assert budget_curve(world, 100) is None


# 1,000 rows, three seeds without spread. The selection gets 100 wrong.
EFFECTS = [
    ([131, 131, 131], 60, "helped", 0.031),
    ([69, 69, 69], 60, "hurt", -0.031),
    ([101, 100, 100], 60, "no effect shown", 1 / 3000),
    ([131, 131, 131], 0, "not chosen", 0.031),  # no row was left out: what differs is not the dataset's
]


@pytest.mark.parametrize(("wrong", "selected", "meaning", "value"), EFFECTS, ids=[row[2] for row in EFFECTS])
def test_a_dataset_helped_if_the_selection_is_better_than_without_it(wrong, selected, meaning, value):
    world = results({"selection": [100] * 3, "primary_only": [140] * 3, "without mnli": wrong}, rows=1_000)
    (found,) = dataset_effects(world, {"mnli": {"selected": selected}, "qnli": {"selected": 1}}).items()
    assert (found[0], found[1]["meaning"], found[1]["selected"]) == ("mnli", meaning, selected)
    assert found[1]["value"] == pytest.approx(value)
    assert found[1]["low"] <= found[1]["value"] <= found[1]["high"]


def test_where_no_dataset_was_left_out_nothing_is_said_of_them():
    assert dataset_effects(results({"selection": [1], "primary_only": [2]}), {}) is None


def test_nothing_is_said_of_a_dataset_without_which_the_metric_is_not_defined():
    labels = np.arange(4.0)
    world = predictions(TaskKind.REGRESSION, labels, {"selection": [labels], "without mnli": [np.ones(4)]})
    assert dataset_effects(world, {"mnli": {"selected": 3}}) is None
