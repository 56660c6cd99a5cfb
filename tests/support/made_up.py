"""Made-up results of arms on the same rows, for what a report says of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from fastmtl.datasets import TaskKind
from fastmtl.evaluation import Difference, headline, measure
from fastmtl.plan import Json
from fastmtl.report.arms import ArmResult, Results


def arm(name: str, kind: TaskKind, labels: np.ndarray, predicted: Sequence[np.ndarray], measured_on: str) -> ArmResult:
    """An arm whose repetitions predicted this; its name says whether it is a part of the selection."""
    best = int(name.removeprefix("best ")) if name.startswith("best ") else None
    without = name.removeprefix("without ") if name.startswith("without ") else None
    result = ArmResult(name, best, without)
    for repeat, each in enumerate(predicted):
        evaluation: Json = {
            "seed": repeat,
            "metrics": measure(kind, labels, each),
            "headline": headline(kind),
            "measured_on": measured_on,
            "rows": {"train": 1, "choice": 0, "measured": len(labels)},
            "classes": ["no", "yes"],
            "epoch": 1,
            "epochs": [],
            "losses": [0.5],
            "machine": {"name": "cpu"},
        }
        result.evaluations.append(evaluation)
        result.predictions.append(each)
    return result


def results(wrong: Mapping[str, Sequence[int]], rows: int = 100, measured_on: str = "validation") -> Results:
    """Arms by how many of the rows, the first ones, each repetition gets wrong."""
    labels = np.zeros(rows)
    predicted = {name: [np.repeat([1.0, 0.0], [n, rows - n]) for n in counts] for name, counts in wrong.items()}
    return predictions(TaskKind.CLASSIFICATION, labels, predicted, measured_on)


def predictions(
    kind: TaskKind, labels: np.ndarray, predicted: Mapping[str, Sequence[np.ndarray]], measured_on: str = "validation"
) -> Results:
    """Arms by what each repetition predicted."""
    return Results(
        {name: arm(name, kind, labels, each, measured_on) for name, each in predicted.items()}, kind, labels, 0
    )


def difference(value: float, low: float, high: float, error: float = 0.01, repeats: int = 3) -> Difference:
    """A difference of two arms, in shares."""
    return Difference(value, low, high, error, repeats)
