"""The best of the chosen rows, with what they say and why they were chosen, as far as that was asked for."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from fastmtl.datasets import Dataset, TaskKind

SHOWN = 20
NEAREST = 3
"""So many of the primary's rows are shown of those that are nearest to a row."""


class Near(NamedTuple):
    """A row of the primary that says nearly the same."""

    row: int
    similarity: float
    text_a: str
    text_b: str | None
    label: str


class BestRow(NamedTuple):
    """A chosen row."""

    rank: int
    dataset: str
    row: int
    score: float
    text_a: str
    text_b: str | None
    label: str
    percentile: float | None
    """Share, in per cent, of its dataset's rows that score no higher; None where no explanations were asked for."""
    nearest: Sequence[Near]


def best_rows(select: Path, explain: Path | None, primary: Path | None) -> list[BestRow]:
    """Return the SHOWN chosen rows of highest rank.

    `select` and `explain` are the folders of these steps, `primary` is the primary's canonical file. A row group is
    held at a time.
    """
    subset = _first(select / "subset.parquet")
    if explain is None or primary is None:
        return [BestRow(**each, percentile=None, nearest=()) for each in subset]
    with pq.ParquetFile(explain / "explanations.parquet") as file:  # in order of rank
        why = next(file.iter_batches(SHOWN, columns=["percentile", "nearest_rows", "similarities"])).to_pylist()
    near = _primary_rows(primary, [row for each in why for row in each["nearest_rows"][:NEAREST]])
    found = []
    for row, reason in zip(subset, why, strict=True):
        pairs = zip(reason["nearest_rows"][:NEAREST], reason["similarities"], strict=False)
        nearest = [Near(number, similarity, *near[number]) for number, similarity in pairs]
        found.append(BestRow(**row, percentile=reason["percentile"], nearest=nearest))
    return found


def _first(path: Path) -> list[dict[str, Any]]:
    """Return the first rows of a subset by rank; the file has them by dataset."""
    with pq.ParquetFile(path) as file:
        parts = [file.schema_arrow.empty_table()]
        for group in range(file.num_row_groups):
            wanted = pc.less_equal(file.read_row_group(group, columns=["rank"])["rank"], SHOWN)
            if pc.any(wanted).as_py():
                parts.append(file.read_row_group(group).filter(wanted))
    rows: list[dict[str, Any]] = pa.concat_tables(parts).sort_by("rank").to_pylist()
    return rows


def _primary_rows(path: Path, rows: Sequence[int]) -> dict[int, tuple[str, str | None, str]]:
    """Return text_a, text_b and label of rows of the primary, by row."""
    wanted = np.unique(np.asarray(rows, dtype=np.int64))
    dataset = Dataset.open(path)
    text_a, text_b = dataset.texts(wanted)
    labels = dataset.labels(wanted).tolist()
    regression = dataset.kind == TaskKind.REGRESSION
    named = [f"{each:.7g}" if regression else dataset.classes[int(each)] for each in labels]
    second: Sequence[str | None] = text_b or [None] * len(text_a)
    return dict(zip(wanted.tolist(), zip(text_a, second, named, strict=True), strict=True))
