"""What every arm reached: mean, spread and each repetition, and the files that this is read from."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from made_up import predictions, results

from fastmtl.datasets import TaskKind
from fastmtl.evaluation import compare
from fastmtl.plan import Json
from fastmtl.report.arms import read_results


def finished(folder: Path, seed: int, labels: list, predicted: list, classes: list[str]) -> Path:
    """What a `finetune` step leaves of a repetition."""
    folder.mkdir()
    pq.write_table(
        pa.table({"row": list(range(len(labels))), "label": labels, "predicted": predicted}),
        folder / "predictions.parquet",
    )
    name = "accuracy" if classes else "pearson"
    evaluation = {"seed": seed, "headline": name, "classes": classes, "metrics": {name: seed / 10}}
    (folder / "evaluation.json").write_text(json.dumps(evaluation))
    return folder


def entry(arm: str, repeat: int, best: int | None = None, without: str | None = None) -> Json:
    return {"arm": arm, "repeat": repeat, "best": best, "without": without, "final": f"{arm} {repeat}", "select": None}


def test_an_arm_is_told_of_by_mean_spread_and_every_repetition():
    found = results({"selection": [10, 20, 30]}).arms["selection"].summary()
    assert found["metrics"]["accuracy"] == pytest.approx((0.9 + 0.8 + 0.7) / 3)
    assert found["spread"]["accuracy"] == pytest.approx(0.1)  # sqrt((0.1² + 0 + 0.1²) / 2)
    told = [(each["seed"], each["metrics"]["accuracy"]) for each in found["repeats"]]
    assert told == [(0, 0.9), (1, 0.8), (2, 0.7)]
    assert (found["headline"], found["measured_on"], found["rows"]["measured"]) == ("accuracy", "validation", 100)


def test_one_repetition_has_no_spread():
    assert results({"selection": [10]}).arms["selection"].summary()["spread"] == {
        "accuracy": None,
        "f1": None,
        "matthews": None,
    }


def test_a_metric_that_one_repetition_lacks_has_neither_mean_nor_spread():
    labels = np.arange(4.0)
    found = predictions(TaskKind.REGRESSION, labels, {"selection": [labels, labels, np.ones(4)]})
    summary = found.arms["selection"].summary()
    assert (summary["metrics"]["pearson"], summary["spread"]["pearson"], found.mean("selection")) == (None, None, None)
    assert [each["metrics"]["pearson"] for each in summary["repeats"]] == [pytest.approx(1), pytest.approx(1), None]


def test_a_difference_pairs_the_repetitions_of_two_arms():
    found = results({"selection": [10, 20], "primary_only": [20, 30]})
    arms = found.arms
    expected = compare(
        found.kind, found.labels, arms["selection"].predictions, arms["primary_only"].predictions, found.seed
    )
    assert found.difference("selection", "primary_only") == expected
    assert (expected.value, expected.repeats) == (pytest.approx(0.1), 2)
    assert found.difference("primary_only", "selection").value == pytest.approx(-0.1)


def test_repetitions_are_read_in_the_order_of_their_numbers_whatever_the_order_of_the_entries(tmp_path):
    entries = [entry("selection", 1), entry("best 3", 0, best=3), entry("selection", 0), entry("best 3", 1, best=3)]
    said = {"selection 0": "no", "selection 1": "yes", "best 3 0": "yes", "best 3 1": "no"}
    folders = {
        name: finished(tmp_path / name, int(name[-1]), ["yes", "no"], [word, "no"], ["no", "yes"])
        for name, word in said.items()
    }
    found = read_results(entries, folders, seed=4)
    assert {name: [each.tolist() for each in arm.predictions] for name, arm in found.arms.items()} == {
        "best 3": [[1, 0], [0, 0]],
        "selection": [[0, 0], [1, 0]],
    }
    assert [each["seed"] for each in found.arms["selection"].evaluations] == [0, 1]
    assert (found.arms["best 3"].best, found.kind, found.labels.tolist()) == (3, TaskKind.CLASSIFICATION, [1, 0])
    assert (found.seed, found.headline, found.mean("selection")) == (4, "accuracy", pytest.approx(0.05))


def test_numbers_are_read_as_they_are(tmp_path):
    folder = finished(tmp_path / "a", 0, [0.5, 4.0], [1.0, 3.5], [])
    found = read_results([entry("selection", 0, without=None)], {"selection 0": folder}, seed=0)
    assert (found.kind, found.labels.tolist()) == (TaskKind.REGRESSION, [0.5, 4.0])
    assert found.arms["selection"].predictions[0].tolist() == [1.0, 3.5]
