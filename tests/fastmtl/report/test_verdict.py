"""The sentences of a report, word by word."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from made_up import difference, predictions, results

from fastmtl.datasets import TaskKind
from fastmtl.plan import Json
from fastmtl.report.verdict import interval, notes, recommendation, verdict

CLEAN: Json = {"counts": {"mnli": {"leaked": 0}, "qnli": {"leaked": 0}}, "primary_leaks": 0}
WORLD = results({"selection": [140], "primary_only": [159], "random": [150]}, rows=1_000)


@pytest.mark.parametrize(
    ("arm", "found", "sentence"),
    [
        (
            "primary_only",
            difference(0.019, 0.004, 0.033, repeats=5),
            "selected rows helped by 1.9 points (+1.9 points, 95 % interval 0.4 to 3.3, 5 seeds): "
            "accuracy 86.0 against 84.1 with no auxiliary rows.",
        ),
        (
            "primary_only",
            difference(-0.019, -0.033, -0.004),
            "selected rows hurt by 1.9 points (-1.9 points, 95 % interval -3.3 to -0.4, 3 seeds): "
            "accuracy 86.0 against 84.1 with no auxiliary rows.",
        ),
        (
            "primary_only",
            difference(0.019, -0.001, 0.039, repeats=1),
            "no gain shown; primary only is as good (+1.9 points, 95 % interval -0.1 to 3.9, 1 seed): "
            "accuracy 86.0 against 84.1 with no auxiliary rows.",
        ),
        (
            "random",
            difference(0.01, -0.01, 0.03),
            "no difference shown to rows chosen by random (+1.0 points, 95 % interval -1.0 to 3.0, 3 seeds): "
            "accuracy 86.0 against 85.0 with rows chosen by random.",
        ),
        (
            "random",
            difference(0.01, 0.001, 0.02),
            "selected rows helped by 1.0 points (+1.0 points, 95 % interval 0.1 to 2.0, 3 seeds): "
            "accuracy 86.0 against 85.0 with rows chosen by random.",
        ),
        ("random", None, "accuracy is not defined on the 1000 rows, so nothing can be said of rows chosen by random."),
    ],
    ids=["helped", "hurt", "no gain", "no difference", "helped against random", "not defined"],
)
def test_what_the_selection_was_worth_is_said_in_one_sentence(arm, found, sentence):
    assert verdict(WORLD, arm, found) == sentence


def test_an_interval_that_touches_zero_shows_nothing():
    told = [verdict(WORLD, "primary_only", difference(0.0, *ends)) for ends in ((0.0, 0.1), (-0.1, 0.0), (0.0, 0.0))]
    assert all(each.startswith("no gain shown; primary only is as good") for each in told)


def test_nothing_is_said_of_a_correlation_that_is_not_defined():
    labels = np.arange(4.0)
    found = predictions(TaskKind.REGRESSION, labels, {"selection": [labels], "primary_only": [np.ones(4)]})
    told = verdict(found, "primary_only", found.difference("selection", "primary_only"))
    assert told == "pearson is not defined on the 4 rows, so nothing can be said of no auxiliary rows."


def test_the_interval_is_in_points_and_names_its_seeds():
    told = [interval(difference(0.0186, 0.0044, 0.0327, repeats=repeats)) for repeats in (1, 2)]
    assert told == [
        "+1.9 points, 95 % interval 0.4 to 3.3, 1 seed",
        "+1.9 points, 95 % interval 0.4 to 3.3, 2 seeds",
    ]


HELPED, HELPED_MORE, UNSHOWN = difference(0.02, 0.01, 0.03), difference(0.05, 0.01, 0.09), difference(0.5, -0.1, 1.1)
TOLD = "points, 95 % interval {} to {}, 3 seeds over the primary alone."


@pytest.mark.parametrize(
    ("gains", "sentence"),
    [
        (None, None),
        ({}, None),
        ({"selection": HELPED}, "Train with the selected rows: +2.0 " + TOLD.format("1.0", "3.0")),
        (
            {"selection": UNSHOWN, "bm25": None},
            "Use no auxiliary data here: no gain over the primary alone was shown with the selected rows, rows chosen "
            "by bm25.",
        ),
        (
            {"selection": UNSHOWN, "random": HELPED, "bm25": HELPED_MORE},
            "Train with rows chosen by bm25: +5.0 "
            + TOLD.format("1.0", "9.0")
            + " It is the best of 3 arms on the rows they were compared on, so its gain is flattered.",
        ),
        (
            {"full": HELPED, "selection": HELPED},  # of equal ones the selection, which is what was asked for
            "Train with the selected rows: +2.0 "
            + TOLD.format("1.0", "3.0")
            + " It is the best of 2 arms on the rows they were compared on, so its gain is flattered.",
        ),
    ],
    ids=["not trained", "no other arm", "the selection", "none", "best of several", "equal"],
)
def test_only_an_arm_whose_interval_lies_above_zero_is_recommended(gains: Any, sentence: str | None):
    assert recommendation(gains) == sentence


ONE_SEED = (
    "One seed a run: the interval tells of the chance in the rows that were measured, not of the chance in training. "
    "Ask for repeats before deciding."
)
TWO_SEEDS = "Two seeds tell little of the chance in training: the interval is wide for that reason."
HELD_OUT = (
    "No validation dataset was given: a part of the primary was held out of the target model and of fine-tuning, but "
    "the method that chose the rows may have learnt from it."
)


@pytest.mark.parametrize(
    ("wrong", "measured_on", "told"),
    [
        ([1], "validation", [ONE_SEED]),
        ([1, 2], "validation", [TWO_SEEDS]),
        ([1, 2, 3], "validation", []),
        ([1], "holdout", [ONE_SEED, HELD_OUT]),
        ([1, 2, 3], "holdout", [HELD_OUT]),
    ],
)
def test_a_report_says_how_far_its_figures_can_be_trusted(wrong, measured_on, told):
    assert notes(results({"selection": wrong}, measured_on=measured_on), CLEAN, "primary") == told


def test_a_report_says_what_a_cascade_may_have_missed():
    told = {"budget": 10, "sample": 50, "slice": 150, "of": 1_000, "sought": 4, "held": 3, "recall": 0.75}
    selection = {**CLEAN, "cascade": {**told, "interval": [0.301, 0.954], "unscored": 1}}
    first, second = notes(results({"selection": [1, 2, 3]}), selection, "primary")
    assert first.startswith(
        "A cascade scored 200 of 1,000 rows in full (20 %); it is expected to hold 75 % (30 to 95 %)"
    )
    assert second.startswith("1 of the chosen rows were never scored in full")


def test_figures_whose_epoch_was_chosen_on_the_measured_rows_are_called_flattered():
    (told,) = notes(results({"selection": [1, 2, 3]}), CLEAN, "measured")
    assert told.endswith("every metric is flattered.")


@pytest.mark.parametrize(("measured_on", "held"), [("validation", "validation dataset"), ("holdout", "primary")])
def test_a_report_counts_the_leaks(measured_on, held):
    leaking = {"counts": {"mnli": {"leaked": 1_200}, "qnli": {"leaked": 34}}, "primary_leaks": 5}
    told = notes(results({"selection": [1, 2, 3]}, measured_on=measured_on), leaking, "primary")
    assert told[:2] == [
        f"1,234 auxiliary rows also stand, exactly or nearly, in the {held} and could not be chosen; "
        "leaks.parquet lists them.",
        "5 of the primary's own rows also stand, exactly or nearly, in the validation dataset. They train every arm, "
        "so every metric is flattered by them; leaks.parquet lists them.",
    ]
