"""A made-up report with all its parts, or without those that were not asked for, and its page."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from fastmtl.config import JobConfig
from fastmtl.plan import Json
from fastmtl.report.best import BestRow, Near
from fastmtl.report.distributions import BARS, Distributions
from fastmtl.report.figures import draw
from fastmtl.report.numbers import numbers
from fastmtl.report.page import page
from fastmtl.report.sections import View

OPTIONAL = {"arms": ("primary_only", "random"), "budget_curve": None, "datasets": None}
BEST = (
    BestRow(1, "shops", 4, 0.95, "refund the order", "ten days late", "yes", 99.5, (Near(7, 0.5, "late", None, "no"),)),
    BestRow(2, "animals", 0, 0.9, "the cat runs", None, "cat", 80.0, (Near(3, 0.25, "a dog", None, "yes"),)),
)

POINTS: Json = {
    **{"of": 4_000, "datasets": ["mine", "animals", "shops"], "dataset": [0, 0, 1, 1, 2], "row": [1, 2, 0, 5, 4]},
    **{"x": [0.5, 1.0, -3.25, -3.0, 2.0], "y": [0.0, 0.25, 1.0, 1.5, -2.0]},
    **{"score": [None, None, 0.9, 0.2, 0.95], "chosen": [False, False, True, False, True]},
}
"""Of a map: two rows of the primary, one chosen row of either dataset, and one that was not."""


def counted(selected: int, rows: int, **more: int) -> Json:
    """What `select` counts of a dataset."""
    fixed = {"rows": rows, "seen": 0, "leaked": 0, "eligible": rows, "selected": selected}
    return {**fixed, "share": selected / 40, "random_share": rows / 400, **more}


def difference(value: float, low: float, high: float) -> Json:
    return {"value": value, "low": low, "high": high, "error": 0.01, "repeats": 2}


def arm(mean: float) -> Json:
    """What an arm reached in two repetitions."""
    repeats = [
        {"seed": seed, "losses": [0.75, 0.25 + seed / 2], "machine": {"name": "a processor"}} for seed in range(2)
    ]
    return {
        **{"headline": "accuracy", "measured_on": "validation", "classes": ["no", "yes"]},
        "rows": {"train": 36, "choice": 4, "measured": 30},
        **{"metrics": {"accuracy": mean, "f1": None}, "spread": {"accuracy": 0.01, "f1": None}, "repeats": repeats},
    }


def report(**changes: Any) -> Json:
    """A report with everything in it."""
    cost = {"seconds": 75.0, "passes": 880, "bytes": 3 * 2**20, "device_bytes": 0, "rows_per_second": 2552.6}
    whole: Json = {
        **{"primary": "mine", "validation": "held", "encoder": {}},
        "config": JobConfig(budget=40).model_dump(mode="json"),
        "selection": {
            "digest": "d" * 64,
            "counts": {"animals": counted(10, 100, seen=20), "shops": counted(30, 300, leaked=2)},
        },
        "arms": {"selection": arm(0.75), "primary_only": arm(0.7), "random": arm(0.8), "best 20": arm(0.74)},
        "differences": {"primary_only": difference(0.05, 0.012, 0.088), "random": difference(-0.05, -0.1, 0.0)},
        "gains": {"primary_only": {"selection": difference(0.05, 0.012, 0.088), "random": None}},
        "verdict": ["selected rows helped by 5.0 points."],
        "recommendation": "Train with the selected rows.",
        "budget_curve": {
            "points": [
                {"arm": "best 20", "budget": 20, "mean": 0.74, "behind_best": 0.01, "error": 0.02},
                {"arm": "selection", "budget": 40, "mean": 0.75, "behind_best": 0.0, "error": 0.0},
            ],
            **{"best": 40, "recommended": 20},
        },
        "datasets": {"animals": {**difference(0.02, 0.01, 0.03), "selected": 10, "meaning": "helped"}},
        "costs": {"selection": {**cost, "steps": []}},
        "trainings": {
            "target": {"selection": [[0.9, 0.5], [0.7, 0.3]], "primary_only": [[0.8, 0.4]], "best 20": [[0.9, 0.6]]},
            "methods": [{"step": "discriminator", "kind": "discriminator", "losses": [2.5, 1.25]}],
        },
        "worries": {"shops": ["3 rows say what an earlier row says already."]},
        "notes": ["Two seeds tell little of the chance in training."],
    }
    return {**whole, **changes}


def bare_report() -> Json:
    """A report of a job that asked for the selection and nothing else."""
    nothing: Json = {"differences": {}, "gains": {}, "verdict": [], "notes": [], "costs": {}, "worries": {}}
    nothing["trainings"] = {"target": {}, "methods": []}
    counts = {"animals": counted(40, 400)}
    return report(
        **{**nothing, "recommendation": None, "budget_curve": None, "datasets": None},
        arms={"selection": arm(0.75)},
        selection={"digest": "d" * 64, "counts": counts},
    )


def spread(about: Json) -> Distributions:
    """Scores from 0 to 1: the chosen ones in the last bar."""
    counts = about["selection"]["counts"]
    bars = {
        key: ([each["rows"] - each["selected"], *[0] * (BARS - 2), each["selected"]], each["selected"])
        for key, each in counts.items()
    }
    edges = [index / BARS for index in range(BARS + 1)]
    return Distributions(
        edges, 0.98, {key: (rows, [0] * (BARS - 1) + [chosen]) for key, (rows, chosen) in bars.items()}
    )


def written(about: Json, folder: Path, best: tuple[BestRow, ...] = BEST, points: Json | None = None) -> str:
    """The page of a report; its figures go into the folder."""
    shown = numbers(about, spread(about), points)
    return page(View(about, shown, draw(shown, folder)), best)


class Read(HTMLParser):
    """What a browser finds in a page."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.texts: list[str] = []
        self.headings: list[str] = []
        self.tables: dict[str, list[list[str]]] = {}
        """Cells by caption, line by line, the head first."""
        self._open: list[str] = []
        self._caption = ""
        self.feed(html)

    @property
    def text(self) -> str:
        """All of it, the style sheet left out."""
        return " ".join(self.texts)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]
        if tag == "tr":
            self.tables[self._caption].append([])
        elif tag in ("td", "th"):
            self.tables[self._caption][-1].append("")
        if tag != "meta":
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag, "every element is closed where it was opened"

    def handle_data(self, data: str) -> None:
        if "style" in self._open or not self._open:
            return
        self.texts.append(data)
        if self._open[-1] in ("h1", "h2"):
            self.headings.append(data)
        elif self._open[-1] == "caption":
            self._caption = data
            self.tables[data] = []
        elif "td" in self._open or "th" in self._open:
            self.tables[self._caption][-1][-1] += data
