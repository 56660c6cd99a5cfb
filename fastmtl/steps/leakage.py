"""Leakage: find the rows of every dataset of the job that also stand among the rows that its models are measured on.

Reads   the validation dataset, and all others; without one the primary, a part of which will be held out
Writes  leaks.parquet   dataset (digest), row, held_row, similarity: every match, datasets and rows rising

Torch-free.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import repeat
from typing import NamedTuple

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
THREADS = 4
"""At most: most of a search is numpy's, which lets another thread go on, and the rest is not."""


def run(spec: StepSpec, workspace: Workspace) -> Json:
    """Compare every row of every dataset with the held-out ones."""
    held = dataset_of(workspace, spec.params["held"])
    guard = LeakGuard(_rows(held), near=spec.params["near"])
    searched = [digest for digest in spec.datasets if digest != spec.params["held"]]
    datasets = {digest: dataset_of(workspace, digest) for digest in searched}
    parts = [
        _Part(digest, start, min(start + ROWS_AT_ONCE, dataset.rows))
        for digest, dataset in datasets.items()
        for start in range(0, dataset.rows, ROWS_AT_ONCE)
    ]
    total = sum(dataset.rows for dataset in datasets.values())
    done = 0
    found = dict.fromkeys(searched, 0)
    with (
        pq.ParquetWriter(workspace.output / "leaks.parquet", SCHEMA, compression="zstd") as writer,
        ThreadPoolExecutor(min(THREADS, os.cpu_count() or 1)) as pool,
    ):
        searches = pool.map(lambda part: _search(guard, datasets[part.digest], part), parts)
        for part, leaks in zip(parts, searches, strict=True):
            writer.write_table(leaks)
            found[part.digest] += leaks.num_rows
            done += part.stop - part.start
            workspace.progress(done, total, "rows")
    return {"leaks": found}


class _Part(NamedTuple):
    """The rows [start, stop) of a dataset."""

    digest: str
    start: int
    stop: int


def _search(guard: LeakGuard, dataset: Dataset, part: _Part) -> pa.Table:
    """Return the leaks among some rows."""
    leaks = guard.find(_rows(dataset, part.start, part.stop))
    rows = [
        {"dataset": part.digest, "row": part.start + offset, **leak._asdict()}
        for offset, leak in enumerate(leaks)
        if leak
    ]
    return pa.Table.from_pylist(rows, schema=SCHEMA)


def _rows(dataset: Dataset, start: int = 0, stop: int | None = None) -> Iterator[Row]:
    """Yield the texts of the rows [start, stop)."""
    text_a, text_b = dataset.texts(np.arange(start, dataset.rows if stop is None else stop))
    yield from zip(text_a, text_b if text_b is not None else repeat(None, len(text_a)), strict=True)
