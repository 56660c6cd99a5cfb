"""The map on the report's page: where rows lie beside one another."""

from __future__ import annotations

from fastmtl.report.markup import Column, Markup, element
from fastmtl.report.sections import Columns, View, drawn, numbers_table, section
from fastmtl.report.words import count, many


def plane(view: View) -> Markup | None:
    """Make the section; nothing where no map was asked for."""
    found = view.numbers.get("map")
    if found is None:
        return None
    told = "Rows that say like things lie near one another; how far groups are from each other means little."
    shown = len(found["x"])
    if shown < found["of"]:
        told += f" Of {many(found['of'], 'point')} {count(shown)} are drawn; map.parquet holds all."
    chosen = [at for at, taken in zip(found["dataset"], found["chosen"], strict=True) if taken]
    lines = [
        {"dataset": key, "points": found["dataset"].count(index), "chosen": chosen.count(index)}
        for index, key in enumerate(found["datasets"])
    ]
    columns: Columns = (
        Column("Dataset", lambda each: each["dataset"]),
        Column("Points", lambda each: count(each["points"]), "number"),
        Column("Chosen", lambda each: count(each["chosen"]), "number"),
    )
    said = f"{many(shown, 'row')} of {many(len(lines), 'dataset')}, coloured by dataset, by choice and by score"
    beside = numbers_table("Points that are drawn, by dataset", columns, lines)
    return section("Where the rows lie", element("p", told), drawn(view, "map", said, 1, 1, beside))
