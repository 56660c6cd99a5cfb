"""The parts of the report's page: each a heading, a sentence that says what is seen, a figure and its numbers."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fastmtl.arms import SELECTION
from fastmtl.plan import Json
from fastmtl.report.figures import MOST_HISTOGRAMS, MOST_LINES
from fastmtl.report.inline import inlined
from fastmtl.report.markup import Child, Column, Markup, element, joined, table
from fastmtl.report.words import capital, count, duration, figure, many, percent, points, score, short, size

MOST_TABLE_LINES = 60
MOST_NAME_CHARS = 60
"""Of a dataset's name in a sentence; tables have the whole."""
TWICE = 2
MOST_TOLD_CHARS = 400
"""Of what is said of a figure to who cannot see it; the tables have the rest."""
MEASURED_ON = {"validation": "validation dataset", "holdout": "primary that were held out"}

Columns = Sequence[Column[Json]]


@dataclass(frozen=True)
class View:
    """What a page is made of."""

    report: Json
    """report.json"""
    numbers: Json
    """figures.json: what each figure shows."""
    drawings: Mapping[str, str]
    """The SVG of each figure."""


def section(title: str, *children: Child) -> Markup:
    """Make a part of the page."""
    return element("section", element("h2", title), *children)


def verdict(view: View) -> Markup:
    """Say whether it helped, in the report's own words."""
    told = view.report["verdict"]
    if not told:
        asked = element("code", "primary_only")
        words = "No arm was compared, so nothing tells whether the rows help. Ask again with the arm "
        return section("Did it help?", element("p", words, asked, " to find out."))
    recommended = view.report["recommendation"]
    lead = element("p", recommended, class_="lead") if recommended else None
    return section("Did it help?", lead, element("ul", *(element("li", capital(each)) for each in told)))


def shares(view: View) -> Markup:
    """Show from where the rows came: each dataset's share of the selection beside its share of the pool."""
    lines = view.numbers["shares"]["lines"]
    first = lines[0]
    times = first["share"] / first["random_share"] if first["random_share"] else 0
    more = f", {times:.1f} times its share of the pool" if times >= TWICE else ""
    none = [short(each["dataset"], MOST_NAME_CHARS) for each in lines if each["selected"] == 0][:MOST_LINES]
    rest = f" Nothing was chosen from {', '.join(none)}." if none else ""
    told = f"Most come from {short(first['dataset'], MOST_NAME_CHARS)}: {percent(first['share'])}{more}.{rest}"
    columns: Columns = (
        Column("Dataset", lambda each: each["dataset"]),
        Column("Chosen", lambda each: f"{count(each['selected'])} ({percent(each['share'])})", "number"),
        Column(
            "Could be chosen", lambda each: f"{count(each['eligible'])} ({percent(each['random_share'])})", "number"
        ),
        Column("Rows", lambda each: count(each["rows"]), "number"),
        Column("Seen in training", lambda each: count(each["seen"]), "number"),
        Column("Leaks", lambda each: count(each["leaked"]), "number"),
    )
    budget = sum(each["selected"] for each in lines)
    return section(
        f"From where the {many(budget, 'row')} came",
        element("p", told),
        drawn(view, "shares", told, min(len(lines), MOST_LINES), len(lines)),
        numbers_table("Chosen rows by dataset, and what could be chosen", columns, lines),
    )


def arms(view: View) -> Markup | None:
    """Show what each arm reached, and how sure the differences are; nothing where no arm was compared."""
    whole = [{"arm": name, **each} for name, each in view.report["arms"].items() if not _is_part(name)]
    if len(whole) < TWICE:
        return None
    first = whole[0]
    told = (
        f"Measured by {first['headline']} on {many(first['rows']['measured'], 'row')} of the "
        f"{MEASURED_ON[first['measured_on']]}. A line is the 95 % interval of how much better the selection is; where "
        "it crosses zero, no difference is shown."
    )
    lines = view.numbers.get("differences", {"lines": []})["lines"]
    said = "; ".join(f"than {each['arm']} {_interval(each)}" for each in lines)
    return section(
        "The selection beside other arms",
        element("p", told),
        drawn(
            view,
            "differences",
            said,
            min(len(lines), MOST_LINES),
            len(lines),
            numbers_table("How much better the selection is, in points", _interval_columns("Than", "arm"), lines),
        ),
        numbers_table("What each arm reached, in per cent", _arm_columns(first["headline"]), whole),
        _gains(view),
    )


def curve(view: View) -> Markup | None:
    """Show what fewer of the best rows reach; nothing where no curve was asked for."""
    found = view.numbers.get("budget")
    if found is None:
        return None
    enough = (
        f"{count(found['recommended'])} rows are enough: the smallest budget within one standard error of the best."
    )
    told = enough if found["recommended"] else "The primary alone does as well as any budget that was tried."
    columns: Columns = (
        Column("Budget", lambda each: count(each["budget"]), "number"),
        Column(f"{found['metric']}, %", lambda each: figure(each["mean"]), "number"),
        Column("Behind the best", lambda each: figure(each["behind_best"], each["error"]), "number"),
    )
    beside = numbers_table(found["title"], columns, found["points"])
    return section("Would fewer rows do?", element("p", told), drawn(view, "budget", told, 1, 1, beside))


def effects(view: View) -> Markup | None:
    """Show which datasets helped or hurt; nothing where none was left out."""
    found = view.numbers.get("datasets")
    if found is None:
        return None
    lines = found["lines"]
    told = (
        "Trained once more without the chosen rows of each dataset. Above zero the selection is better with them: "
        "they helped."
    )
    columns: Columns = (
        Column("Dataset", lambda each: each["dataset"]),
        Column("Chosen rows", lambda each: count(each["selected"]), "number"),
        Column("Worth, in points", _interval, "number"),
        Column("Meaning", lambda each: each["meaning"]),
    )
    said = "; ".join(f"{each['dataset']} {_interval(each)}, {each['meaning']}" for each in lines)
    beside = numbers_table("What each dataset's rows are worth", columns, lines)
    shown = drawn(view, "datasets", said, min(len(lines), MOST_LINES), len(lines), beside)
    return section("Which datasets helped", element("p", told), shown)


def scores(view: View) -> Markup:
    """Show how each dataset's rows score, and where the cut lies."""
    found = view.numbers["scores"]
    cut, lines = found["cut"], found["datasets"]
    lowest = "" if cut is None else f" The cut is the lowest score that was chosen, {score(cut)}."
    told = (
        f"Higher is more like the primary, in the eyes of the method.{lowest} Heights are logarithmic, so that few "
        "rows are seen beside many."
    )
    columns: Columns = (
        Column("Dataset", lambda each: each["dataset"]),
        Column("Rows with a score", lambda each: count(sum(each["rows"])), "number"),
        Column("Chosen", lambda each: count(sum(each["chosen"])), "number"),
    )
    bars: Columns = (
        Column("Score", lambda each: each["range"]),
        Column("Rows", lambda each: count(each["rows"]), "number"),
        Column("Chosen", lambda each: count(each["chosen"]), "number"),
    )
    shown = lines[:MOST_HISTOGRAMS]
    tables = [numbers_table(f"{each['dataset']} by score", bars, _bars(found["edges"], each)) for each in shown]
    beside = joined(
        numbers_table("Rows by dataset", columns, lines),
        element("details", element("summary", "The numbers of every bar"), *tables, class_="long"),
    )
    return section(
        "How the rows score",
        element("p", told),
        drawn(view, "scores", told, len(shown), len(lines), beside),
    )


def notes(view: View) -> Markup | None:
    """Say what to know before trusting the figures; nothing where there is nothing to say."""
    told = [*view.report["notes"], *_seen(view.report), *_worries(view.report)]
    if not told:
        return None
    return section("What to know before trusting it", element("ul", *(element("li", each) for each in told)))


def costs(view: View) -> Markup | None:
    """Show what choosing rows took."""
    lines = [{"arm": arm, **each} for arm, each in view.report["costs"].items()]
    if not lines:
        return None
    columns: Columns = (
        Column("Arm", lambda each: each["arm"]),
        Column("Time", lambda each: duration(each["seconds"]), "number"),
        Column("Rows scored in a second", lambda each: _rate(each["rows_per_second"]), "number"),
        Column("Rows through the encoder", lambda each: count(each["passes"]), "number"),
        Column("Memory at its peak", lambda each: size(each["bytes"]), "number"),
        Column("Of the GPU", lambda each: size(each["device_bytes"]) if each["device_bytes"] else "none", "number"),
    )
    told = "All steps up to the choice, without the trainings that tell what it is worth."
    return section(
        "What choosing took", element("p", told), numbers_table("What choosing rows took, by arm", columns, lines)
    )


def _gains(view: View) -> Markup | None:
    """Show the gains of every arm over each baseline, folded away."""
    lines = [
        {"baseline": baseline, "arm": arm, **each}
        for baseline, found in view.report["gains"].items()
        for arm, each in found.items()
        if each
    ]
    if not lines:
        return None
    columns: Columns = (
        Column("Over", lambda each: each["baseline"]),
        *_interval_columns("Arm", "arm"),
        Column("Seeds", lambda each: count(each["repeats"]), "number"),
    )
    gains = numbers_table("Gain of every arm over each baseline, in points", columns, lines)
    return element("details", element("summary", "Gains over each baseline"), gains)


def _arm_columns(headline: str) -> Columns:
    def others(each: Json) -> str:
        return ", ".join(f"{name} {figure(value)}" for name, value in each["metrics"].items() if name != headline)

    return (
        Column("Arm", lambda each: each["arm"]),
        Column(headline, lambda each: figure(each["metrics"][headline], each["spread"][headline]), "number"),
        Column("Others", others),
        Column("Repeats", lambda each: count(len(each["repeats"])), "number"),
    )


def _interval_columns(name: str, key: str) -> Columns:
    return (
        Column(name, lambda each: each[key]),
        Column("Points", lambda each: points(each["value"]), "number"),
        Column("95 % interval", lambda each: f"{points(each['low'])} to {points(each['high'])}", "number"),
    )


def _interval(each: Json) -> str:
    return f"{points(each['value'])} ({points(each['low'])} to {points(each['high'])})"


def _bars(edges: Sequence[float], each: Json) -> list[Json]:
    """Return the bars of a histogram that hold a row."""
    digits = min(10, max(1, math.ceil(-math.log10(edges[-1] - edges[0])) + 2))
    return [
        {"range": f"{low:.{digits}f} to {high:.{digits}f}", "rows": rows, "chosen": chosen}
        for low, high, rows, chosen in zip(edges, edges[1:], each["rows"], each["chosen"], strict=False)
        if rows
    ]


def drawn(view: View, name: str, told: str, shown: int, there: int, beside: Markup | None = None) -> Markup | None:
    """Show a figure, in words for who cannot see it, with its numbers beside it; where none was drawn, those alone."""
    if name not in view.drawings:
        return beside
    title = view.numbers[name]["title"]
    drawing = inlined(view.drawings[name], name, short(f"{title}. {told}", MOST_TOLD_CHARS))
    left = f"{count(there - shown)} more stand among the numbers." if there > shown else None
    caption = element("figcaption", title)
    parts = [caption, drawing, element("p", left, class_="muted") if left else None]
    return element("div", element("figure", *parts), element("div", beside) if beside else None, class_="beside")


def numbers_table(caption: str, columns: Columns, lines: Sequence[Json]) -> Markup:
    """Make a table of as many lines as anybody reads."""
    left = len(lines) - MOST_TABLE_LINES
    more = f"{count(left)} more stand in figures.json or report.json." if left > 0 else None
    made = table(caption, columns, lines[:MOST_TABLE_LINES])
    return joined(made, element("p", more, class_="muted") if more else None)


def _worries(report: Json) -> list[str]:
    """Return what is worth knowing about each dataset, as many lines as anybody reads."""
    told = [f"{short(key, MOST_NAME_CHARS)}: {each}" for key, found in report["worries"].items() for each in found]
    left = len(told) - MOST_TABLE_LINES
    return [*told[:MOST_TABLE_LINES], *([f"{count(left)} more such notes stand in report.json."] if left > 0 else [])]


def _seen(report: Json) -> list[str]:
    rows = sum(each["seen"] for each in report["selection"]["counts"].values())
    if rows == 0:
        return []
    could = (
        "could be chosen all the same, as was asked for"
        if report["config"]["seen_rows"] == "include"
        else "could not be chosen"
    )
    return [f"{many(rows, 'row')} trained the method that scores, so their scores are biased; they {could}."]


def _rate(rows: float | None) -> str:
    return "not measured" if rows is None else count(round(rows))


def _is_part(arm: str) -> bool:
    """Whether an arm is a point of the budget curve or lacks a dataset: they have sections of their own."""
    return arm != SELECTION and arm.startswith(("best ", "without "))
