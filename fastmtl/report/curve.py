"""The budget curve, and which datasets helped: what the arms between the primary alone and the selection say."""

from __future__ import annotations

from fastmtl.arms import PRIMARY_ONLY, SELECTION
from fastmtl.plan import Json
from fastmtl.report.arms import Results


def budget_curve(results: Results, budget: int) -> Json | None:
    """Return the points of nested budgets and the smallest that is as good as the best.

    As good: behind the best by no more than one standard error of their paired difference. The primary alone is the
    point of budget 0 where it was trained. None for a single point, and where differences are not defined.
    """
    arms = {PRIMARY_ONLY: 0} if PRIMARY_ONLY in results.arms else {}
    arms |= {name: arm.best for name, arm in results.arms.items() if arm.best is not None}
    if not any(arms.values()):
        return None
    arms[SELECTION] = budget
    means = {name: results.mean(name) for name in arms}
    if any(mean is None for mean in means.values()):
        return None
    best = max(arms, key=lambda name: (means[name], -arms[name]))
    points: list[Json] = []
    for name in sorted(arms, key=arms.__getitem__):
        behind = results.difference(best, name)
        if behind is None:
            return None
        points.append(
            {
                "arm": name,
                "budget": arms[name],
                "mean": means[name],
                "behind_best": behind.value,
                "error": behind.error,
            }
        )
    recommended = next(each["budget"] for each in points if each["behind_best"] <= each["error"])
    return {"points": points, "best": arms[best], "recommended": recommended}


def dataset_effects(results: Results, counts: Json) -> Json | None:
    """Return, for each auxiliary that was left out once, what its chosen rows were worth; None where none was.

    `value` is the selection's metric less that without the dataset: above zero its rows helped.
    """
    effects = {}
    for name, arm in results.arms.items():
        if arm.without is None:
            continue
        difference = results.difference(SELECTION, name)
        if difference is None:
            continue
        selected = counts[arm.without]["selected"]
        helped, hurt = difference.low > 0, difference.high < 0
        effects[arm.without] = {
            "selected": selected,
            "value": difference.value,
            "low": difference.low,
            "high": difference.high,
            "meaning": ("helped" if helped else "hurt" if hurt else "no effect shown") if selected else "not chosen",
        }
    return effects or None
