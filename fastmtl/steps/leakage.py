"""Leakage: find the rows of every dataset of the job that also stand among the rows that its models are measured on.

Reads   the validation dataset, and all others; without one the primary, a part of which will be held out
Writes  leaks.parquet   dataset (digest), row, held_row, similarity: every match, datasets and rows rising

Torch-free.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import repeat

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from fastmtl.datasets import Dataset, dataset_of
from fastmtl.leakage import LeakGuard, Row
from fastmtl.plan import Json, StepSpec, Workspace

SCHEMA = pa.schema(
    [
        pa.field("dataset", pa.string()),
        pa.field("row", pa.int64()),
        pa.field("held_row", pa.int64()),
        pa.field("similarity", pa.float32()),
    ]
)
ROWS_AT_ONCE = 8_192


def run(spec: StepSpec, workspace: Workspace) -> Json:
    """Compare every row of every dataset with the held-out ones."""
    held = dataset_of(workspace, spec.params["held"])
    guard = LeakGuard(_rows(held), near=spec.params["near"])
    searched = [digest for digest in spec.datasets if digest != spec.params["held"]]
    datasets = {digest: dataset_of(workspace, digest) for digest in searched}
    total = sum(dataset.rows for dataset in datasets.values())
    done = 0
    found: dict[str, int] = {}
    with pq.ParquetWriter(workspace.output / "leaks.parquet", SCHEMA, compression="zstd") as writer:
        for digest, dataset in datasets.items():
            found[digest] = 0
            for start in range(0, dataset.rows, ROWS_AT_ONCE):
                stop = min(start + ROWS_AT_ONCE, dataset.rows)
                part = _search(guard, digest, dataset, start, stop)
                writer.write_table(part)
                found[digest] += part.num_rows
                done += stop - start
                workspace.progress(done, total, "rows")
    return {"leaks": found}


def _search(guard: LeakGuard, digest: str, dataset: Dataset, start: int, stop: int) -> pa.Table:
    """Return the leaks among the rows [start, stop)."""
    leaks = guard.find(_rows(dataset, start, stop))
    rows = [{"dataset": digest, "row": start + offset, **leak._asdict()} for offset, leak in enumerate(leaks) if leak]
    return pa.Table.from_pylist(rows, schema=SCHEMA)


def _rows(dataset: Dataset, start: int = 0, stop: int | None = None) -> Iterator[Row]:
    """Yield the texts of the rows [start, stop)."""
    text_a, text_b = dataset.texts(np.arange(start, dataset.rows if stop is None else stop))
    yield from zip(text_a, text_b if text_b is not None else repeat(None, len(text_a)), strict=True)
