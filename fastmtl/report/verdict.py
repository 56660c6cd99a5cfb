"""The plain sentences of a report: did the selected rows help, which arm to use, what to know before trusting it."""

from __future__ import annotations

from collections.abc import Mapping

from fastmtl import cascade
from fastmtl.arms import PRIMARY_ONLY, SELECTION, described
from fastmtl.evaluation import Difference
from fastmtl.plan import Json
from fastmtl.report.arms import Results

PERCENT = 100
FEW_REPEATS = 3
"""With fewer, the spread over seeds is hardly known: t for two repetitions is 12.7."""


def verdict(results: Results, arm: str, difference: Difference | None) -> str:
    """Say in one sentence what the selection was worth against another arm."""
    rows = len(results.labels)
    ours, theirs = results.mean(SELECTION), results.mean(arm)
    if difference is None or ours is None or theirs is None:
        return f"{results.headline} is not defined on the {rows} rows, so nothing can be said of {described(arm)}."
    figures = f"{results.headline} {_percent(ours)} against {_percent(theirs)} with {described(arm)}"
    if difference.low > 0:
        told = f"selected rows helped by {_points(difference.value)}"
    elif difference.high < 0:
        told = f"selected rows hurt by {_points(-difference.value)}"
    elif arm == PRIMARY_ONLY:
        told = "no gain shown; primary only is as good"
    else:
        told = f"no difference shown to {described(arm)}"
    return f"{told} ({interval(difference)}): {figures}."


def interval(difference: Difference) -> str:
    """`+1.9 points, 95 % interval 0.4 to 3.3, 5 seeds`."""
    seeds = f"{difference.repeats} seed{'s' if difference.repeats > 1 else ''}"
    value, low, high = (PERCENT * each for each in (difference.value, difference.low, difference.high))
    return f"{value:+.1f} points, 95 % interval {low:.1f} to {high:.1f}, {seeds}"


def recommendation(gains: Mapping[str, Difference | None] | None) -> str | None:
    """Say which arm to train, from the gains over the primary alone; None where that was not trained.

    Only an arm whose interval lies above zero is recommended; of several, the best mean.
    """
    if not gains:
        return None
    shown = {arm: gain for arm, gain in gains.items() if gain is not None and gain.low > 0}
    if not shown:
        tried = ", ".join(described(arm) for arm in gains)
        return f"Use no auxiliary data here: no gain over the primary alone was shown with {tried}."
    best = max(shown, key=lambda arm: (shown[arm].value, arm == SELECTION))
    told = f"Train with {described(best)}: {interval(shown[best])} over the primary alone."
    if len(gains) > 1:
        told += f" It is the best of {len(gains)} arms on the rows they were compared on, so its gain is flattered."
    return told


def notes(results: Results, selection: Json, choose_on: str) -> list[str]:
    """Say what a reader must know before trusting the figures; `choose_on` is FinetuningConfig's."""
    first = results.arms[SELECTION]
    evaluation, repeats = first.evaluations[0], len(first.evaluations)
    found = []
    if repeats == 1:
        found.append(
            "One seed a run: the interval tells of the chance in the rows that were measured, not of the chance in "
            "training. Ask for repeats before deciding."
        )
    elif repeats < FEW_REPEATS:
        found.append("Two seeds tell little of the chance in training: the interval is wide for that reason.")
    if choose_on == "measured":
        found.append(
            "The epoch was chosen on the very rows that are measured, as the published code does: every metric is "
            "flattered."
        )
    held = "validation dataset" if evaluation["measured_on"] == "validation" else "primary"
    leaked = sum(count["leaked"] for count in selection["counts"].values())
    if leaked:
        found.append(
            f"{leaked:,} auxiliary rows also stand, exactly or nearly, in the {held} and could not be chosen; "
            "leaks.parquet lists them."
        )
    if selection["primary_leaks"]:
        found.append(
            f"{selection['primary_leaks']:,} of the primary's own rows also stand, exactly or nearly, in the "
            "validation dataset. They train every arm, so every metric is flattered by them; leaks.parquet lists them."
        )
    if evaluation["measured_on"] == "holdout":
        found.append(
            "No validation dataset was given: a part of the primary was held out of the target model and of "
            "fine-tuning, but the method that chose the rows may have learnt from it."
        )
    if "cascade" in selection:
        found += cascade.sentences(selection["cascade"])
    return found


def _percent(value: float) -> str:
    return f"{PERCENT * value:.1f}"


def _points(value: float) -> str:
    return f"{PERCENT * value:.1f} points"
