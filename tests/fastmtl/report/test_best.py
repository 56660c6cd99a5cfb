"""The best chosen rows: the first by rank, with their texts and, where asked for, why."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pools import write_dataset

from fastmtl.report.best import NEAREST, SHOWN, BestRow, Near, best_rows

RANKS = [*range(30, 0, -1)]
"""Of the rows of the subset, which has them by dataset."""


@pytest.fixture
def select(tmp_path: Path) -> Path:
    """Thirty chosen rows, in row groups of four."""
    table = {
        **{"dataset": ["other"] * 30, "row": np.arange(30), "rank": RANKS, "score": np.linspace(0, 1, 30, dtype="f4")},
        **{"text_a": [f"a {row}" for row in range(30)], "text_b": pa.nulls(30, pa.string()), "label": ["yes"] * 30},
    }
    pq.write_table(pa.table(table), tmp_path / "subset.parquet", 4)
    return tmp_path


def explain(folder: Path) -> Path:
    """Every row is nearest to rows 2, 0, 1 and 3 of the primary."""
    why = {"rank": sorted(RANKS), "percentile": [100.0 - rank for rank in range(30)]}
    why |= {"nearest_rows": [[2, 0, 1, 3]] * 30, "similarities": [[0.5, 0.25, 0.125, 0.0]] * 30}
    pq.write_table(pa.table(why), folder / "explanations.parquet")
    return folder


def test_the_first_rows_by_rank_are_shown_best_first(select):
    found = best_rows(select, None, None)
    assert [(each.rank, each.row, each.text_a) for each in found] == [
        (n + 1, 29 - n, f"a {29 - n}") for n in range(SHOWN)
    ]
    assert {(each.percentile, len(each.nearest)) for each in found} == {(None, 0)}


def test_a_row_names_the_primarys_rows_nearest_to_it_with_what_they_say(select):
    write_dataset(select, "primary", [("zero", "no"), ("one", "yes"), ("two", "no"), ("three", "yes")])
    first, *rest = best_rows(select, explain(select), select / "primary")
    near = (Near(2, 0.5, "two", None, "no"), Near(0, 0.25, "zero", None, "no"), Near(1, 0.125, "one", None, "yes"))
    assert first == BestRow(1, "other", 29, 1.0, "a 29", None, "yes", 100.0, list(near))
    assert {len(each.nearest) for each in rest} == {NEAREST}


def test_pairs_and_numbers_of_the_primary_are_shown_as_they_were_given(select):
    write_dataset(select, "primary", [(f"a{n}", f"b{n}", str(n + 0.3)) for n in range(4)])
    first = best_rows(select, explain(select), select / "primary")[0]
    assert [(each.text_a, each.text_b, each.label) for each in first.nearest] == [
        ("a2", "b2", "2.3"),
        ("a0", "b0", "0.3"),
        ("a1", "b1", "1.3"),
    ]


def test_fewer_rows_than_are_shown_are_all_there(tmp_path):
    table = {
        "dataset": ["other"],
        "row": [3],
        "rank": [1],
        "score": [0.5],
        "text_a": ["a"],
        "text_b": ["b"],
        "label": ["c"],
    }
    pq.write_table(pa.table(table), tmp_path / "subset.parquet")
    assert best_rows(tmp_path, None, None) == [BestRow(1, "other", 3, 0.5, "a", "b", "c", None, ())]
