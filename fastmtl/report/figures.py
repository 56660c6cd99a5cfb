"""The figures of a report, each as SVG and PNG, drawn from nothing but its numbers: the same numbers, the same bytes.

Names stand above their lines, so that a figure is readable as narrow as a telephone.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from fastmtl.plan import Json
from fastmtl.report.colours import BAD, CHOSEN, CUT, GOOD, INK, LINE, MUTED, PANEL, POOL, SERIES
from fastmtl.report.markup import plain
from fastmtl.report.words import PERCENT, count, percent, short

MOST_LINES = 30
MOST_HISTOGRAMS = 12
MOST_CURVES = len(SERIES)
"""So many are drawn; the rest stands among the numbers."""
SHADES = 5
"""Of the scores on a map."""
WIDTH = 4.4
LINE_HEIGHT = 0.5
FOOT = 0.75
"""Inches; the foot holds the axis and the legend."""
NAME_CHARS = 38
STYLE: dict[Any, Any] = {
    "axes.edgecolor": LINE,
    "axes.facecolor": PANEL,
    "axes.labelcolor": MUTED,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "figure.facecolor": PANEL,
    "font.family": "DejaVu Sans",
    "font.size": 10,
    "legend.frameon": False,
    "legend.labelcolor": MUTED,
    "savefig.facecolor": PANEL,
    "svg.fonttype": "none",
    "svg.hashsalt": "fastmtl",
    "text.color": INK,
    "text.parse_math": False,  # a dataset may be called $x$
    "xtick.color": MUTED,
    "ytick.color": MUTED,
}


def draw(numbers: Json, folder: Path) -> dict[str, str]:
    """Write every figure as NAME.svg and NAME.png; return the SVG of each by its name, in the order of the numbers."""
    folder.mkdir(parents=True, exist_ok=True)
    drawn = {}
    with _style():
        for name, about in numbers.items():
            figure = DRAWN[name](about)
            buffer = io.BytesIO()
            figure.savefig(buffer, format="svg", metadata=dict.fromkeys(("Creator", "Date", "Format", "Type")))
            figure.savefig(folder / f"{name}.png", dpi=150, metadata={"Software": None})
            (folder / f"{name}.svg").write_bytes(buffer.getvalue())
            drawn[name] = buffer.getvalue().decode()
    return drawn


@contextmanager
def _style() -> Iterator[None]:
    """Draw in this style whatever the machine's own is."""
    with mpl.rc_context(), warnings.catch_warnings():
        mpl.rcdefaults()
        mpl.rcParams.update(STYLE)
        # A name may hold signs that the font has not; the SVG and the table have them all the same.
        warnings.filterwarnings("ignore", message=r"(Glyph \d+|Matplotlib currently does not support)")
        yield


def _shares(about: Json) -> Figure:
    """Two bars a dataset: its share of the selection above its share of the pool."""
    lines = about["lines"][:MOST_LINES]
    figure, axes = _canvas(1.45 * LINE_HEIGHT * len(lines))
    most = max([1e-9, *(max(each["share"], each["random_share"]) for each in lines)])
    for kind, colour, place in (("share", CHOSEN, 0.42), ("random_share", POOL, 0.7)):
        for index, each in enumerate(lines):
            label = {"share": "of the selection", "random_share": "of the pool"}[kind]
            axes.barh(index + place, each[kind], 0.25, color=colour, label=label if index == 0 else None)
            told = percent(each[kind])
            axes.text(each[kind] + 0.01 * most, index + place, told, va="center", fontsize=8.5, color=MUTED)
    _named(axes, [each["dataset"] for each in lines], 0)
    axes.set_xlim(0, 1.18 * most)
    axes.xaxis.set_visible(False)
    axes.spines["bottom"].set_visible(False)
    figure.legend(loc="outside lower left", ncols=2)
    return figure


def _differences(about: Json) -> Figure:
    return _intervals([{**each, "name": f"than {each['arm']}"} for each in about["lines"]])


def _datasets(about: Json) -> Figure:
    lines = about["lines"]
    return _intervals([{**each, "name": f"{_shown(each['dataset'], 22)}: {each['meaning']}"} for each in lines])


def _intervals(lines: list[Json]) -> Figure:
    """Lines around a point, in points of per cent, on one scale with zero in it."""
    lines = lines[:MOST_LINES]
    figure, axes = _canvas(LINE_HEIGHT * len(lines))
    axes.axvline(0, color=MUTED, linewidth=1, linestyle=(0, (3, 3)))
    for index, each in enumerate(lines):
        colour = GOOD if each["low"] > 0 else BAD if each["high"] < 0 else MUTED
        value, low, high = (PERCENT * each[key] for key in ("value", "low", "high"))
        axes.plot([low, high], [index + 0.6] * 2, color=colour, linewidth=2.5, solid_capstyle="round")
        axes.plot([value], [index + 0.6], color=colour, marker="o", markersize=7)
    reach = [PERCENT * each[key] for each in lines for key in ("low", "high")]
    low, high = min([0.0, *reach]), max([0.0, *reach])
    margin = 0.04 * (high - low) or 1.0
    axes.set_xlim(low - margin, high + margin)
    _named(axes, [each["name"] for each in lines], low - margin)
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.set_xlabel("points; line: 95 % interval")
    return figure


def _budget(about: Json) -> Figure:
    """Metric by budget, with the recommended one ringed."""
    figure, axes = _canvas(2.4)
    points = about["points"]
    budgets, means = [each["budget"] for each in points], [PERCENT * each["mean"] for each in points]
    axes.plot(budgets, means, color=CHOSEN, linewidth=2, marker="o", markersize=5)
    place = budgets.index(about["recommended"])
    axes.scatter(
        [budgets[place]],
        [means[place]],
        s=170,
        facecolors="none",
        edgecolors=GOOD,
        linewidths=2,
        zorder=3,
        label="smallest as good as the best",
    )
    axes.grid(axis="y", color=LINE, linewidth=0.8)
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    axes.xaxis.set_major_formatter(lambda value, _: count(round(value)))
    axes.set(xlabel="budget, rows", ylabel=f"{about['metric']}, %")
    figure.legend(loc="outside lower left")
    return figure


def _scores(about: Json) -> Figure:
    """One histogram a dataset under another. Heights are log(1 + rows): few are seen beside many."""
    lines = about["datasets"][:MOST_HISTOGRAMS]
    figure = Figure(figsize=(WIDTH, 0.95 * len(lines) + FOOT), layout="constrained")
    panels = figure.subplots(len(lines), 1, sharex=True, squeeze=False)[:, 0]
    edges, cut = about["edges"], about["cut"]
    for index, (axes, each) in enumerate(zip(panels, lines, strict=True)):
        for key, colour, label in (("rows", POOL, "all rows"), ("chosen", CHOSEN, "chosen")):
            heights = np.log1p(each[key])
            axes.stairs(heights, edges, fill=True, color=colour, linewidth=0, label=label if index == 0 else None)
        if cut is not None:
            axes.axvline(cut, color=CUT, linewidth=1.5, label="the cut" if index == 0 else None)
        axes.set_title(_shown(each["dataset"]), loc="left", fontsize=10, color=INK)
        axes.set_xlim(edges[0], edges[-1])
        axes.set_yticks([])
        axes.spines["left"].set_visible(False)
    panels[-1].xaxis.set_major_locator(MaxNLocator(4))
    panels[-1].set_xlabel("score")
    figure.legend(loc="outside lower left", ncols=3, columnspacing=1.2)
    return figure


def _losses(about: Json) -> Figure:
    """Lines by epoch."""
    figure, axes = _canvas(2.4)
    lines = about["lines"][:MOST_CURVES]
    for each, colour in zip(lines, SERIES, strict=False):
        epochs = range(1, len(each["losses"]) + 1)
        name, losses = _shown(each.get("arm") or each["step"]), each["losses"]
        axes.plot(epochs, losses, color=colour, linewidth=2, marker="o", markersize=4, label=name)
    axes.grid(axis="y", color=LINE, linewidth=0.8)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set(xlabel="epoch", ylabel="loss")
    figure.legend(loc="outside lower left", ncols=2)
    return figure


def _map(about: Json) -> Figure:
    """Draw the same points three times: by dataset, by choice and by score."""
    figure = Figure(figsize=(WIDTH, 3 * 3.2), layout="constrained")
    panels = figure.subplots(3, 1)
    ways = (("by dataset", _by_dataset, 1), ("chosen or not", _by_choice, 2), ("by score", _by_score, 2))
    x, y = np.array(about["x"]), np.array(about["y"])
    for axes, (title, groups, columns) in zip(panels, ways, strict=True):
        for mask, colour, alpha, label in groups(about):
            place = {"color": colour, "alpha": alpha, "label": label}
            axes.plot(x[mask], y[mask], linestyle="none", marker="o", markersize=2.4, markeredgewidth=0, **place)
        axes.set_title(title, loc="left", fontsize=10, color=INK)
        axes.set(xticks=[], yticks=[])
        look = {"fontsize": 8.5, "markerscale": 2.5, "handletextpad": 0.2, "labelspacing": 0.2}
        handles, labels = axes.get_legend_handles_labels()  # what is drawn last, on top, stands first
        axes.legend(handles[::-1], labels[::-1], loc="upper left", bbox_to_anchor=(0, 0), ncols=columns, **look)
    return figure


Group = tuple[npt.NDArray[np.bool_], str, float | None, str | None]
"""Which points, in what colour, how strong, and what stands in the legend."""


def _by_dataset(about: Json) -> list[Group]:
    """Draw the primary's rows last, on top; datasets beyond the colours share one."""
    of = np.array(about["dataset"])
    named = list(zip(about["datasets"], SERIES, strict=False))
    left = len(about["datasets"]) - len(named)
    groups: list[Group] = [(of >= len(named), POOL, None, f"{left} more" if left else None)]
    for index, (name, colour) in reversed(list(enumerate(named))):
        label = f"{_shown(name, 22)} (primary)" if index == 0 else _shown(name, 22)
        groups.append((of == index, colour, None, label))
    return groups


def _by_choice(about: Json) -> list[Group]:
    chosen, own = np.array(about["chosen"]), np.array(about["dataset"]) == 0
    return [
        (~chosen & ~own, POOL, None, "not chosen"),
        (own, SERIES[1], None, "of the primary"),
        (chosen, CHOSEN, None, "chosen"),
    ]


def _by_score(about: Json) -> list[Group]:
    """Shades that hold as many rows each: scores often lie close together."""
    scores = np.array([np.nan if each is None else each for each in about["score"]], dtype=np.float64)
    own = np.array(about["dataset"]) == 0
    known = scores[~np.isnan(scores)]
    bounds = np.quantile(known, np.linspace(0, 1, SHADES + 1)[1:-1]) if len(known) else np.zeros(SHADES - 1)
    shade = np.digitize(scores, bounds)
    groups: list[Group] = [(own, SERIES[1], None, "of the primary")]
    for index in range(SHADES):
        label = "the stronger, the higher" if index == SHADES - 1 else None
        groups.append(((shade == index) & ~np.isnan(scores), CHOSEN, 0.2 + 0.8 * index / (SHADES - 1), label))
    return groups


DRAWN = {
    "shares": _shares,
    "differences": _differences,
    "budget": _budget,
    "datasets": _datasets,
    "scores": _scores,
    "map": _map,
    "method_losses": _losses,
    "target_losses": _losses,
    "losses": _losses,
}
"""What draws a figure, by its name (fastmtl/report/numbers.py)."""


def _canvas(height: float) -> tuple[Figure, Axes]:
    """Return a figure whose axes are about so many inches high."""
    figure = Figure(figsize=(WIDTH, height + FOOT), layout="constrained")
    return figure, figure.subplots()


def _named(axes: Axes, names: list[str], x: float) -> None:
    """Write a name above each line; line i has the height from i to i + 1, the first one on top."""
    for index, name in enumerate(names):
        ground = {"facecolor": PANEL, "edgecolor": "none", "pad": 1}  # the zero line may run behind it
        axes.text(x, index + 0.13, _shown(name), va="center", ha="left", bbox=ground)
    axes.set_ylim(len(names), -0.1)
    axes.yaxis.set_visible(False)
    axes.spines["left"].set_visible(False)


def _shown(name: str, most: int = NAME_CHARS) -> str:
    return short(" ".join(plain(name).split()), most)
