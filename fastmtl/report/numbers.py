"""The numbers behind each figure of a report: what is drawn, and what anybody needs to draw it again (figures.json)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fastmtl.plan import Json
from fastmtl.report.distributions import Distributions


def numbers(report: Json, spread: Distributions, points: Json | None = None) -> Json:
    """Return what each figure shows, by the figure's name; one that would show nothing is not there.

    Figures: shares, differences, budget, datasets, scores, map, method_losses, target_losses, losses. Each has a
    `title`; shares and metrics are from 0 to 1. `points` are those of a map (fastmtl/report/points.py).
    """
    found = {
        "shares": _shares(report["selection"]["counts"]),
        "differences": _differences(report),
        "budget": _budget(report),
        "datasets": _datasets(report),
        "scores": _scores(spread),
        "map": {"title": "Where the rows lie", **points} if points else None,
        "method_losses": _method_losses(report),
        "target_losses": _target_losses(report),
        "losses": _losses(report),
    }
    return {name: each for name, each in found.items() if each is not None}


def _shares(counts: Json) -> Json:
    lines = [{"dataset": key, **each} for key, each in counts.items()]
    return {"title": "Shares by dataset", "lines": sorted(lines, key=lambda each: -each["share"])}


def _differences(report: Json) -> Json | None:
    """Say by how much the selection is better than each other arm."""
    lines = [{"arm": arm, **each} for arm, each in report["differences"].items() if each]
    return {"title": "How much better the selection is", "lines": lines} if lines else None


def _budget(report: Json) -> Json | None:
    curve = report["budget_curve"]
    if not curve:
        return None
    metric = report["arms"]["selection"]["headline"]
    return {"title": f"{metric} by budget", "metric": metric, **curve}


def _datasets(report: Json) -> Json | None:
    lines = [{"dataset": key, **each} for key, each in (report["datasets"] or {}).items()]
    return {"title": "Worth of each dataset's rows", "lines": lines} if lines else None


def _scores(spread: Distributions) -> Json:
    """Return bars by dataset, those of which most was chosen first."""
    ordered = sorted(spread.datasets.items(), key=lambda item: -sum(item[1][1]))
    lines = [{"dataset": key, "rows": rows, "chosen": chosen} for key, (rows, chosen) in ordered]
    return {"title": "Rows by score", "edges": spread.edges, "cut": spread.cut, "datasets": lines}


def _method_losses(report: Json) -> Json | None:
    """Return the loss by epoch of every training that scores rows."""
    lines = [{key: each[key] for key in ("step", "losses")} for each in report["trainings"]["methods"]]
    kinds = {each["kind"] for each in report["trainings"]["methods"]}
    title = "Loss of TD-MTDNN by epoch" if kinds == {"discriminator"} else "Loss by epoch of what scores the rows"
    return {"title": title, "lines": lines} if lines else None


def _target_losses(report: Json) -> Json | None:
    """Return the loss of TO-MTDNN by epoch, the mean over repetitions, of every arm that is no part."""
    found = {arm: each for arm, each in report["trainings"]["target"].items() if not _is_part(arm)}
    lines = [{"arm": arm, "losses": _mean(each)} for arm, each in found.items()]
    return {"title": "Loss of TO-MTDNN by epoch", "lines": lines} if lines else None


def _losses(report: Json) -> Json | None:
    """Return the loss of fine-tuning by epoch, the mean over repetitions, of every arm that is no part."""
    whole = {arm: each for arm, each in report["arms"].items() if not _is_part(arm)}
    lines = [
        {"arm": arm, "losses": _mean([repeat["losses"] for repeat in each["repeats"]])} for arm, each in whole.items()
    ]
    lines = [each for each in lines if each["losses"]]
    return {"title": "Loss of fine-tuning by epoch", "lines": lines} if lines else None


def _is_part(arm: str) -> bool:
    """Whether an arm is a point of the budget curve or lacks a dataset."""
    return arm.startswith(("best ", "without "))


def _mean(curves: Sequence[Sequence[float]]) -> list[float]:
    epochs = min(len(each) for each in curves)
    values: list[float] = np.mean([each[:epochs] for each in curves], axis=0).tolist()
    return values
