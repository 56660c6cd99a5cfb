"""Report: what was chosen, what every arm reached on the same rows, what that is worth and what it cost.

Reads   the selections of all arms, evaluation and predictions of every repetition, the datasets, and, where asked for,
        the explanations and the map
Writes  report.json   every figure's arithmetic
        report.html   the same for people: one file that needs nothing beside it (fastmtl/report/page.py)
        figures.json  the numbers behind each figure
        figures/      each figure as NAME.svg and NAME.png

Torch-free.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from fastmtl import cost
from fastmtl.arms import PRIMARY_ONLY, SELECTION
from fastmtl.datasets import Dataset
from fastmtl.evaluation import Difference
from fastmtl.plan import Json, StepSpec, Workspace
from fastmtl.report.arms import Results, read_results
from fastmtl.report.best import best_rows
from fastmtl.report.curve import budget_curve, dataset_effects
from fastmtl.report.distributions import distributions
from fastmtl.report.figures import draw
from fastmtl.report.numbers import numbers
from fastmtl.report.page import page
from fastmtl.report.points import points
from fastmtl.report.sections import View
from fastmtl.report.verdict import notes, recommendation, verdict
from fastmtl.report.worries import worries

BASELINES = (PRIMARY_ONLY, "random", "random_balanced")
"""Arms that every other is set against."""


def run(spec: StepSpec, workspace: Workspace) -> Json:
    """Compare every arm with the selection's and with the primary alone."""
    params = spec.params
    results = read_results(params["arms"], workspace.inputs, params["config"]["training_seed"])
    chosen = {each["arm"]: workspace.inputs[each["select"]] for each in reversed(params["arms"]) if each["select"]}
    selection = json.loads((chosen[SELECTION] / "counts.json").read_text())
    compared = [name for name, arm in results.arms.items() if name != SELECTION and arm.without is None]
    differences = {name: results.difference(SELECTION, name) for name in compared if results.arms[name].best is None}
    parts = {name for name, arm in results.arms.items() if arm.best is not None or arm.without is not None}
    gains = {baseline: _over(results, baseline) for baseline in BASELINES if baseline in results.arms}
    report = {
        **{key: params[key] for key in ("primary", "validation", "config", "encoder")},
        "selection": selection,
        "arms": {name: arm.summary() for name, arm in results.arms.items()},
        "differences": _as_json(differences),
        "gains": {baseline: _as_json(found) for baseline, found in gains.items()},
        "verdict": [verdict(results, arm, difference) for arm, difference in differences.items()],
        "recommendation": recommendation(gains.get(PRIMARY_ONLY)),
        "budget_curve": budget_curve(results, params["config"]["budget"]),
        "datasets": dataset_effects(results, selection["counts"]),
        "costs": {name: _cost(chosen[name]) for name in results.arms if name in chosen and name not in parts},
        "trainings": _trainings(params["arms"], workspace.inputs),
        "worries": _worries(spec, workspace),
        "notes": notes(results, selection, params["config"]["finetuning"]["choose_on"]),
    }
    (workspace.output / "report.json").write_text(json.dumps(report, indent=1))
    _write_page(spec, workspace, report, chosen[SELECTION])
    return {
        "metric": results.headline,
        "arms": {name: results.mean(name) for name in results.arms},
        "verdict": report["verdict"],
        "recommendation": report["recommendation"],
    }


def _write_page(spec: StepSpec, workspace: Workspace, report: Json, select: Path) -> None:
    """Draw the figures and write the page; `select` is the folder of the selection's own `select` step."""
    drawn = spec.params.get("map")
    plane = points(workspace.inputs[drawn] / "map.parquet") if drawn else None
    shown = numbers(report, distributions(select / "scores.parquet", list(report["selection"]["counts"])), plane)
    (workspace.output / "figures.json").write_text(json.dumps(shown, indent=1))
    drawings = draw(shown, workspace.output / "figures")
    explained = spec.params.get("explain")
    why = workspace.inputs[explained] if explained else None
    best = best_rows(select, why, workspace.datasets[spec.datasets[0]] if why else None)
    (workspace.output / "report.html").write_text(page(View(report, shown, drawings), best), encoding="utf-8")


def _trainings(entries: Sequence[Json], folders: Mapping[str, Path]) -> Json:
    """Return losses by epoch: `target` by arm, a list a repetition; `methods` a record a training that scores rows.

    They come with the records of costs, which steps of an older version have without losses.
    """
    target: dict[str, list[list[float]]] = {}
    methods: Json = {}
    for entry in sorted(entries, key=lambda each: int(each["repeat"])):
        for fingerprint, each in cost.read(folders[entry["final"]]).items():
            if each["kind"] == "target" and "losses" in each:
                target.setdefault(entry["arm"], []).append(each["losses"])
            elif each["kind"] != "finetune" and "losses" in each:
                methods[fingerprint] = {key: each[key] for key in ("step", "kind", "losses")}
    return {"target": target, "methods": list(methods.values())}


def _worries(spec: StepSpec, workspace: Workspace) -> dict[str, list[str]]:
    """Return what is worth knowing about each dataset, by key; one of which there is nothing to say is not there."""
    members = spec.params.get("members", [])
    found = {each["key"]: worries(Dataset.open(workspace.datasets[each["digest"]])) for each in members}
    return {key: told for key, told in found.items() if told}


def _over(results: Results, baseline: str) -> dict[str, Difference | None]:
    """Return the gain over a baseline of every other arm but the budget curve's and those of leaving one out."""
    arms = [name for name, arm in results.arms.items() if arm.best is None and arm.without is None]
    return {name: results.difference(name, baseline) for name in arms if name not in (baseline, PRIMARY_ONLY)}


def _as_json(differences: Mapping[str, Difference | None]) -> Json:
    return {arm: difference and asdict(difference) for arm, difference in differences.items()}


def _cost(select: Path) -> Json:
    """Return what choosing rows took, all steps before the selection included, and how fast rows were scored."""
    records = cost.read(select).values()
    return {
        **cost.total(records),
        "rows_per_second": cost.rows_per_second(records),
        "steps": sorted(records, key=lambda each: str(each["step"])),
    }
