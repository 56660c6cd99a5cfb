"""Chosen rows with their texts, as the step that selects writes them."""

from __future__ import annotations

import io

import pyarrow as pa
import pyarrow.parquet as pq

from fastmtl.steps.select import SUBSET


def subset(*keys: str, texts: tuple[str, str | None] = ("a cat", None)) -> pa.Table:
    """Two rows of each dataset, rows 3 and 7, whose ranks rise over all."""
    ranks = range(1, 2 * len(keys) + 1)
    columns = {
        "dataset": [key for key in keys for _ in range(2)],
        "row": [3, 7] * len(keys),
        "rank": list(ranks),
        "score": [1 / rank for rank in ranks],
        "text_a": [texts[0]] * len(ranks),
        "text_b": [texts[1]] * len(ranks),
        "label": ["yes", "no"] * len(keys),
    }
    return pa.table(columns, schema=SUBSET)


def parquet(table: pa.Table) -> bytes:
    """Return a table as a file's bytes."""
    sink = io.BytesIO()
    pq.write_table(table, sink)
    return sink.getvalue()
