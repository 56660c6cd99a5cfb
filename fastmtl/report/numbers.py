"""The numbers behind each figure of a report: what is drawn, and what anybody needs to draw it again (figures.json)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fastmtl.plan import Json
from fastmtl.report.distributions import Distributions


def numbers(report: Json, spread: Distributions) -> Json:
    """Return what each figure shows, by the figure's name; one that would show nothing is not there.

    Figures: shares, differences, budget, datasets, scores, losses. Each has a `title`; shares and metrics are from 0
    to 1.
    """
    found = {
        "shares": _shares(report["selection"]["counts"]),
        "differences": _differences(report),
        "budget": _budget(report),
        "datasets": _datasets(report),
        "scores": _scores(spread),
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


def _losses(report: Json) -> Json | None:
    """Return the loss of fine-tuning by epoch, the mean over repetitions, of every arm that is no part."""
    whole = {arm: each for arm, each in report["arms"].items() if not arm.startswith(("best ", "without "))}
    lines = [
        {"arm": arm, "losses": _mean([repeat["losses"] for repeat in each["repeats"]])} for arm, each in whole.items()
    ]
    lines = [each for each in lines if each["losses"]]
    return {"title": "Loss of fine-tuning by epoch", "lines": lines} if lines else None


def _mean(curves: Sequence[Sequence[float]]) -> list[float]:
    epochs = min(len(each) for each in curves)
    values: list[float] = np.mean([each[:epochs] for each in curves], axis=0).tolist()
    return values
