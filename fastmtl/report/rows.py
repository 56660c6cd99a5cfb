"""The best chosen rows on the report's page: what they say, and why they were chosen."""

from __future__ import annotations

from collections.abc import Sequence

from fastmtl.report.best import BestRow, Near
from fastmtl.report.markup import Markup, element
from fastmtl.report.sections import MOST_NAME_CHARS, section
from fastmtl.report.words import count, many, percent, score, short

MOST_CHARS = 600
MOST_NEAR_CHARS = 240
NOBODY = 0.05
"""Of a hundred; so few score higher that it is said as none."""


def rows(best: Sequence[BestRow], budget: int) -> Markup:
    """Make the section."""
    told = (
        f"The {many(len(best), 'row')} of highest rank."
        if len(best) == budget
        else f"The first {count(len(best))} of {many(budget, 'row')}; subset.parquet holds all of them."
    )
    return section("The rows", element("p", told), element("ol", *map(_row, best), class_="rows"))


def _row(row: BestRow) -> Markup:
    where = element(
        "div",
        element("b", f"Rank {count(row.rank)}"),
        element("span", f"row {count(row.row)} of {short(row.dataset, MOST_NAME_CHARS)}"),
        element("span", f"score {score(row.score)}"),
        element("span", f"label {short(row.label, MOST_NAME_CHARS)}"),
        class_="where",
    )
    return element("li", where, *_texts(row.text_a, row.text_b, MOST_CHARS), _why(row))


def _why(row: BestRow) -> Markup | None:
    """Say why; nothing where no explanations were asked for."""
    if row.percentile is None:
        return None
    share = 100 - row.percentile
    better = "No row" if share < NOBODY else f"{percent(share / 100)} of the rows"
    verb = "scores" if share < NOBODY else "score"
    named = short(row.dataset, MOST_NAME_CHARS)
    told = f"{better} of {named} {verb} higher. The primary's rows that say the nearest things:"
    asked = element("summary", f"Why row {count(row.row)} of {named}?")
    return element("details", asked, element("p", told), element("ul", *map(_near, row.nearest)), class_="why")


def _near(near: Near) -> Markup:
    label = short(near.label, MOST_NAME_CHARS)
    told = element("b", f"row {count(near.row)}, similarity {near.similarity:.2f}, {label}")
    return element("li", told, *_texts(near.text_a, near.text_b, MOST_NEAR_CHARS))


def _texts(text_a: str, text_b: str | None, most: int) -> list[Markup]:
    first = element("span", short(text_a, most), class_="text", dir="auto")
    if text_b is None:
        return [first]
    return [first, element("span", short(text_b, most), class_="text second", dir="auto")]
