"""Report: what was chosen, what every arm reached on the same rows, and what that is worth.

Reads   the selection's counts, and evaluation and predictions of every arm
Writes  report.json

Torch-free.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq

from fastmtl.datasets import TaskKind
from fastmtl.evaluation import Difference, compare
from fastmtl.plan import Json, StepSpec, Workspace, folders

SELECTION = "selection"
NAMES = {"primary_only": "without auxiliary rows", "random": "with randomly drawn rows"}
PERCENT = 100


def run(spec: StepSpec, workspace: Workspace) -> Json:
    """Compare every arm with the selection's."""
    select, *finals = folders(workspace, spec)
    arms = dict(zip(spec.params["arms"], finals, strict=True))
    evaluations = {arm: json.loads((folder / "evaluation.json").read_text()) for arm, folder in arms.items()}
    classes = evaluations[SELECTION]["classes"]
    kind = TaskKind.CLASSIFICATION if classes else TaskKind.REGRESSION
    labels, chosen = _read(arms[SELECTION], classes)
    seed = spec.params["config"]["training_seed"]
    selection = json.loads((select / "counts.json").read_text())
    differences = {
        arm: compare(kind, labels, chosen, _read(folder, classes)[1], seed)
        for arm, folder in arms.items()
        if arm != SELECTION
    }
    report = {
        **{key: spec.params[key] for key in ("primary", "validation", "config", "encoder")},
        "selection": selection,
        "arms": evaluations,
        "differences": {arm: difference and asdict(difference) for arm, difference in differences.items()},
        "verdict": [verdict(arm, evaluations, difference) for arm, difference in differences.items()],
        "notes": _notes(evaluations[SELECTION], selection),
    }
    (workspace.output / "report.json").write_text(json.dumps(report, indent=1))
    headline = evaluations[SELECTION]["headline"]
    return {
        "metric": headline,
        "arms": {arm: evaluation["metrics"][headline] for arm, evaluation in evaluations.items()},
        "verdict": report["verdict"],
    }


def verdict(arm: str, evaluations: Json, difference: Difference | None) -> str:
    """Say in one sentence what the selection was worth against an arm."""
    chosen = evaluations[SELECTION]
    metric, rows = chosen["headline"], chosen["rows"]["measured"]
    ours, theirs = chosen["metrics"][metric], evaluations[arm]["metrics"][metric]
    if difference is None or ours is None or theirs is None:
        return f"{metric} is not defined on the {rows} {chosen['measured_on']} rows, so nothing can be said of {arm}."
    told = f"{metric} {_percent(ours)} with the selected rows, {_percent(theirs)} {NAMES[arm]}"
    interval = f"95 % interval over the {rows} {chosen['measured_on']} rows {_signed(difference.low)} to "
    interval += _signed(difference.high)
    if difference.low > 0:
        meaning = "the selected rows helped in this run"
    elif difference.high < 0:
        meaning = "the selected rows hurt in this run"
    else:
        meaning = "no difference shown by this run"
    return f"{told}: {_signed(difference.value)} points ({interval}); {meaning}."


def _read(folder: Path, classes: Sequence[str]) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return labels and predictions [n]; the names of classes become numbers, the same in every arm."""
    table = pq.read_table(folder / "predictions.parquet")
    if not classes:
        return table["label"].to_numpy(), table["predicted"].to_numpy()
    codes = {name: float(index) for index, name in enumerate(classes)}
    label, predicted = (
        np.array([codes[str(name)] for name in table[side].to_pylist()]) for side in ("label", "predicted")
    )
    return label, predicted


def _notes(evaluation: Json, selection: Json) -> list[str]:
    """Say what a reader must know before trusting the figures."""
    notes = [
        "One seed a run: the interval tells of the chance in the rows that were measured, not of the chance in "
        "training. Repeat with other values of training_seed before deciding."
    ]
    held = "validation dataset" if evaluation["measured_on"] == "validation" else "primary"
    leaked = sum(count["leaked"] for count in selection["counts"].values())
    if leaked:
        notes.append(
            f"{leaked:,} auxiliary rows also stand, exactly or nearly, in the {held} and could not be chosen; "
            "leaks.parquet lists them."
        )
    if selection["primary_leaks"]:
        notes.append(
            f"{selection['primary_leaks']:,} of the primary's own rows also stand, exactly or nearly, in the "
            "validation dataset. They train every arm, so every metric is flattered by them; leaks.parquet lists them."
        )
    if evaluation["measured_on"] == "holdout":
        notes.append(
            "No validation dataset was given: a part of the primary was held out of the target model and of "
            "fine-tuning, but could be among the rows that trained the discriminator."
        )
    return notes


def _percent(value: float) -> str:
    return f"{PERCENT * value:.1f}"


def _signed(value: float) -> str:
    return f"{PERCENT * value:+.1f}"
