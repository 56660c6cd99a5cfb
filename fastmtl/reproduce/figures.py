"""The figures, each as PNG and SVG: metric by budget, metric by time, and TD-MTDNN's space."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import openTSNE
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from fastmtl.reproduce.glue import TASKS
from fastmtl.reproduce.network import Features, task_features
from fastmtl.reproduce.protocol import FULL, PRIMARY_ONLY
from fastmtl.reproduce.runs import Space
from fastmtl.reproduce.table import METRICS, PERCENT, Row

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#8C6D1F")
"""Okabe and Ito's, which the colour-blind tell apart; the last in place of their yellow, too pale on white."""
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
GREY = "#595959"
PERPLEXITY = 30
STYLE: dict[Any, Any] = {
    "axes.spines.top": False,
    "axes.spines.right": False,
    "font.size": 10,
    "svg.hashsalt": "fastmtl",
}
PANEL_INCHES = 4.2


def draw(rows: Sequence[Row], space: Space | None, seed: int, folder: Path) -> list[Path]:
    """Draw the rows, protocol by protocol, and where there is a TD-MTDNN its space; return the PNG files.

    `seed` draws the rows shown of each task and their arrangement.
    """
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    with mpl.rc_context(STYLE):
        for protocol in dict.fromkeys(row.protocol for row in rows):
            mine = [row for row in rows if row.protocol == protocol]
            name = protocol.replace(" ", "-")
            files.append(_save(_panels(mine, _by_budget, protocol), folder / f"budget-{name}"))
            files.append(_save(_panels(mine, _by_time, protocol), folder / f"time-{name}"))
        if space is not None:
            files.append(_save(_arranged(task_features(space, seed), seed), folder / "tsne"))
    return files


def _panels(rows: Sequence[Row], draw_one: Callable[[Axes, list[Row], dict[str, int]], None], protocol: str) -> Canvas:
    """Draw one panel a primary, with one legend for all."""
    primaries = list(dict.fromkeys(row.primary for row in rows))
    places = {arm: place for place, arm in enumerate(dict.fromkeys(row.arm for row in rows if row.budget))}
    canvas = Canvas(figsize=(PANEL_INCHES * max(len(primaries), 1.4), 3.9), layout="constrained")
    panels = canvas.subplots(1, len(primaries), squeeze=False)[0]
    for axes, primary in zip(panels, primaries, strict=True):
        draw_one(axes, [row for row in rows if row.primary == primary and row.judged_by.mean is not None], places)
        axes.set_title(TASKS[primary].name)
        axes.set_ylabel(f"validation {METRICS[primary][0].replace('pearson', 'Pearson')}, %")
        axes.grid(axis="y", color="#E5E5E5", linewidth=0.8)
        axes.set_axisbelow(True)
    named = {label: line for axes in panels for line, label in zip(*axes.get_legend_handles_labels(), strict=True)}
    canvas.legend(named.values(), named.keys(), loc="outside lower center", ncols=min(len(named), 6), frameon=False)
    if protocol != "ours":
        canvas.suptitle(f"Protocol {protocol}", fontsize=10, color=GREY)
    return canvas


def _by_budget(axes: Axes, rows: list[Row], places: dict[str, int]) -> None:
    """Metric by budget: mean and, as a band, one standard deviation; the two ends are horizontal lines."""
    for row in rows:
        if row.budget is None:
            dashes = "--" if row.arm == PRIMARY_ONLY else ":"
            axes.axhline(_mean(row), color=GREY, linestyle=dashes, linewidth=1.4, label=row.arm)
    for arm, points in _lines(rows):
        budgets, means, spreads = np.array([(each.budget, _mean(each), _sd(each)) for each in points], dtype=float).T
        colour = COLOURS[places[arm] % len(COLOURS)]
        axes.fill_between(budgets, means - spreads, means + spreads, color=colour, alpha=0.15, linewidth=0)
        axes.plot(budgets, means, color=colour, marker=_marker(places[arm]), markersize=5, linewidth=1.6, label=arm)
    budgets_there = sorted({row.budget for row in rows if row.budget})
    axes.set_xscale("log")
    axes.set_xticks(budgets_there, [f"{budget:,}" for budget in budgets_there], rotation=45, ha="right")
    axes.minorticks_off()
    axes.set_xlabel("budget, auxiliary rows\n(band: one standard deviation over seeds)")


def _by_time(axes: Axes, rows: list[Row], places: dict[str, int]) -> None:
    """Metric by seconds as a part of full MT-DNN's; along a line the budget grows, and so do the points."""
    timed = [row for row in rows if row.relative_time is not None]
    for row in timed:
        if row.budget is None:
            marker = "*" if row.arm == FULL else "h"
            axes.scatter(
                [row.relative_time or 0.0], [_mean(row)], s=110, marker=marker, color=GREY, label=row.arm, zorder=3
            )
    for arm, points in _lines(timed):
        colour = COLOURS[places[arm] % len(COLOURS)]
        times, means = [p.relative_time or 0.0 for p in points], [_mean(p) for p in points]
        sizes = np.linspace(18, 80, len(points))
        axes.plot(times, means, color=colour, linewidth=1, alpha=0.5)
        axes.scatter(times, means, s=sizes, color=colour, marker=_marker(places[arm]), label=arm)
    axes.axvline(1, color="#BBBBBB", linewidth=0.8, zorder=0)
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel(f"seconds, as a part of {FULL}'s\n(larger points: larger budgets)")


def _arranged(features: Features, seed: int) -> Canvas:
    """Arrange the features in the plane by t-SNE, coloured by task."""
    perplexity = min(PERPLEXITY, (len(features.tasks) - 1) / 3)
    place = np.asarray(
        openTSNE.TSNE(perplexity=perplexity, random_state=seed, n_jobs=1).fit(features.vectors)
    )  # [n, 2]
    whose = np.array(features.tasks)
    canvas = Canvas(figsize=(6.4, 5.2), layout="constrained")
    axes = canvas.subplots()
    for number, task in enumerate(dict.fromkeys(features.tasks)):
        mine = place[whose == task]
        colour = COLOURS[number % len(COLOURS)]
        axes.scatter(
            mine[:, 0], mine[:, 1], s=14, color=colour, marker=_marker(number), lw=0, alpha=0.75, label=TASKS[task].name
        )
    axes.set(xticks=[], yticks=[], xlabel="t-SNE, first axis", ylabel="t-SNE, second axis")
    axes.set_title(f"TD-MTDNN's features of {len(features.tasks):,} rows, by task", fontsize=10)
    canvas.legend(loc="outside right center", frameon=False, markerscale=1.8)
    return canvas


def _lines(rows: Sequence[Row]) -> list[tuple[str, list[Row]]]:
    """Return the rows with a budget by arm, budgets rising."""
    with_budget = [row for row in rows if row.budget is not None]
    return [(arm, list(points)) for arm, points in itertools.groupby(with_budget, key=lambda row: row.arm)]


def _mean(row: Row) -> float:
    return PERCENT * (row.judged_by.mean or 0.0)


def _sd(row: Row) -> float:
    return PERCENT * (row.judged_by.sd or 0.0)


def _marker(place: int) -> str:
    return MARKERS[place % len(MARKERS)]


def _save(canvas: Canvas, path: Path) -> Path:
    """Write both forms, each whole or not at all; the same rows are the same bytes."""
    for suffix, metadata in ((".png", {"Software": None}), (".svg", {"Date": None})):
        partial = path.with_name(f".{path.name}{suffix}")
        canvas.savefig(partial, dpi=150, metadata=metadata)
        os.replace(partial, path.with_suffix(suffix))
    return path.with_suffix(".png")
