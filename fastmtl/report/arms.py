"""What every arm reached, over its repetitions.

Letters: R repetitions · n rows that are measured on.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq

from fastmtl.datasets import TaskKind
from fastmtl.evaluation import Difference, compare
from fastmtl.plan import Json

Floats = npt.NDArray[np.float64]


@dataclass
class ArmResult:
    """One arm: what its repetitions predicted, in the order of their seeds."""

    name: str
    best: int | None
    """Of a point of the budget curve, the budget."""
    without: str | None
    """Of a leave-one-out arm, the dataset whose rows it lacks."""
    evaluations: list[Json] = field(default_factory=list)
    """[R] what `finetune` wrote of each."""
    predictions: list[Floats] = field(default_factory=list)
    """[R] of [n]; classes are numbers, the same in every arm."""

    def summary(self) -> Json:
        """Return mean and standard deviation (None of one repetition) of every metric, and each repetition's."""
        first = self.evaluations[0]
        values = {name: [each["metrics"][name] for each in self.evaluations] for name in first["metrics"]}
        shown = ("seed", "metrics", "epoch", "epochs", "losses", "machine")
        return {
            **{key: first[key] for key in ("headline", "measured_on", "rows", "classes")},
            "metrics": {name: _mean(found) for name, found in values.items()},
            "spread": {name: _deviation(found) for name, found in values.items()},
            "repeats": [{key: each[key] for key in shown} for each in self.evaluations],
        }


@dataclass(frozen=True)
class Results:
    """All arms of a job on the same n rows."""

    arms: Mapping[str, ArmResult]
    kind: TaskKind
    labels: Floats
    """[n]"""
    seed: int

    @property
    def headline(self) -> str:
        """The metric that arms are judged by; higher is better."""
        name: str = next(iter(self.arms.values())).evaluations[0]["headline"]
        return name

    def mean(self, arm: str) -> float | None:
        """Return an arm's headline metric, the mean over its repetitions; None where one is not defined."""
        return _mean([each["metrics"][self.headline] for each in self.arms[arm].evaluations])

    def difference(self, first: str, second: str) -> Difference | None:
        """Return how much better the first arm is than the second."""
        ours, theirs = (self.arms[arm].predictions for arm in (first, second))
        return compare(self.kind, self.labels, ours, theirs, self.seed)


def read_results(entries: Sequence[Json], folders: Mapping[str, Path], seed: int) -> Results:
    """Read all repetitions of all arms. `entries` are the report step's, `folders` those of its inputs."""
    arms: dict[str, ArmResult] = {}
    labels: Floats | None = None
    for entry in sorted(entries, key=lambda each: int(each["repeat"])):
        arm = arms.setdefault(entry["arm"], ArmResult(entry["arm"], entry["best"], entry["without"]))
        folder = folders[entry["final"]]
        evaluation = json.loads((folder / "evaluation.json").read_text())
        label, predicted = _read(folder, evaluation["classes"])
        # A regression's labels went through the head's units, and those are of each training's own rows: last bits.
        labels = label if labels is None else labels
        assert np.allclose(labels, label, atol=1e-5 * max(1.0, np.ptp(label))), "arms are measured on the same rows"
        arm.evaluations.append(evaluation)
        arm.predictions.append(predicted)
    assert labels is not None
    classes = next(iter(arms.values())).evaluations[0]["classes"]
    return Results(arms, TaskKind.CLASSIFICATION if classes else TaskKind.REGRESSION, labels, seed)


def _read(folder: Path, classes: Sequence[str]) -> tuple[Floats, Floats]:
    """Return labels and predictions [n]; the names of classes become numbers, the same in every arm."""
    table = pq.read_table(folder / "predictions.parquet")
    if not classes:
        return table["label"].to_numpy(), table["predicted"].to_numpy()
    codes = {name: float(index) for index, name in enumerate(classes)}
    label, predicted = (
        np.array([codes[str(name)] for name in table[side].to_pylist()]) for side in ("label", "predicted")
    )
    return label, predicted


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if len(known) == len(values) else None


def _deviation(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.std(known, ddof=1)) if len(known) == len(values) > 1 else None
