"""What figures.json holds: the numbers that are drawn, and those alone."""

from __future__ import annotations

import json

import pytest
from reported import POINTS, bare_report, report, spread

from fastmtl.report.numbers import numbers


def test_every_figure_holds_what_the_report_holds():
    about = report()
    found = numbers(about, spread(about), POINTS)
    curves = ["method_losses", "target_losses", "losses"]
    assert list(found) == ["shares", "differences", "budget", "datasets", "scores", "map", *curves]
    assert {each["dataset"]: each["share"] for each in found["shares"]["lines"]} == {"shops": 0.75, "animals": 0.25}
    assert found["differences"]["lines"][0] == {"arm": "primary_only", **about["differences"]["primary_only"]}
    assert (found["budget"]["points"], found["budget"]["recommended"]) == (about["budget_curve"]["points"], 20)
    assert found["datasets"]["lines"] == [{"dataset": "animals", **about["datasets"]["animals"]}]
    assert {key: each for key, each in found["map"].items() if key != "title"} == POINTS
    assert json.loads(json.dumps(found)) == found


def test_figures_that_nobody_asked_for_are_not_there():
    assert list(numbers(bare_report(), spread(bare_report()))) == ["shares", "scores", "losses"]


def test_losses_are_means_over_repetitions_of_arms_that_are_no_parts():
    lines = numbers(report(), spread(report()))["losses"]["lines"]
    assert lines == [{"arm": arm, "losses": [0.75, 0.5]} for arm in ("selection", "primary_only", "random")]


def test_losses_of_the_target_are_means_over_repetitions_too():
    found = numbers(report(), spread(report()))["target_losses"]
    means = {each["arm"]: [round(loss, 6) for loss in each["losses"]] for each in found["lines"]}
    assert means == {"selection": [0.8, 0.4], "primary_only": [0.8, 0.4]}  # (0.9 + 0.7) / 2, (0.5 + 0.3) / 2


@pytest.mark.parametrize(
    ("kinds", "title"),
    [
        (["discriminator"], "Loss of TD-MTDNN by epoch"),
        (["discriminator", "warm_up"], "Loss by epoch of what scores the rows"),
    ],
)
def test_every_training_that_scores_has_its_line(kinds, title):
    methods = [{"step": f"{kind} step", "kind": kind, "losses": [1.0]} for kind in kinds]
    found = numbers(report(trainings={"target": {}, "methods": methods}), spread(report()))
    lines = [{"step": f"{kind} step", "losses": [1.0]} for kind in kinds]
    assert found["method_losses"] == {"title": title, "lines": lines}


@pytest.mark.parametrize("difference", [None])
def test_a_difference_that_is_not_defined_is_not_drawn(difference):
    assert "differences" not in numbers(report(differences={"random": difference}), spread(report()))


def test_datasets_of_which_most_was_chosen_come_first_and_every_bar_is_there():
    about = report()
    scores = numbers(about, spread(about))["scores"]
    assert [each["dataset"] for each in scores["datasets"]] == ["shops", "animals"]
    assert [sum(each["rows"]) for each in scores["datasets"]] == [300, 100]
    assert {len(each["rows"]) + 1 for each in scores["datasets"]} == {len(scores["edges"])}
