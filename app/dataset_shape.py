"""A dataset looked at: how its rows are spread, and what one of them says. A row group is read at a time."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from app.errors import NotFound
from app.job_files import Member, texts_of
from app.schemas_datasets import DatasetOut
from app.schemas_looks import Bars, DatasetRow, DatasetShape
from app.storage import Stored
from fastmtl.datasets import Dataset

BARS = 24


def shape_of(described: DatasetOut, file: Stored) -> DatasetShape:
    """Return the histograms of a dataset; the last bar of the lengths holds the longer rows too."""
    lengths = _length_edges(described)
    labels = np.linspace(*described.label_range, BARS + 1) if described.label_range else None
    counted = np.zeros(len(lengths) - 1, dtype=np.int64)
    labelled = np.zeros(BARS, dtype=np.int64)
    with file.local() as path:
        for table in Dataset.open(path).batches(0, described.rows):
            counted += np.histogram(np.minimum(_characters(table), lengths[-1]), lengths)[0]
            if labels is not None:
                labelled += np.histogram(table["label"].to_numpy(), labels)[0]
    return DatasetShape(
        lengths=Bars(edges=lengths.tolist(), rows=counted.tolist()),
        labels=None if labels is None else Bars(edges=labels.tolist(), rows=labelled.tolist()),
    )


def row_of(described: DatasetOut, file: Stored, row: int) -> DatasetRow:
    """Return what a row says. Raises NotFound where the dataset has no such row."""
    if row >= described.rows:
        raise NotFound(f"the dataset has {described.rows:,} rows, counted from 0, and no row {row:,}")
    member = Member(described.name, described.id, described.rows, file)
    return DatasetRow(row=row, **texts_of(member, [row])[row]._asdict())


def _characters(table: pa.Table) -> npt.NDArray[np.int64]:
    """Return the characters of every row, both texts together; [rows]."""
    first = pc.utf8_length(table["text_a"]).to_numpy()
    second = pc.fill_null(pc.utf8_length(table["text_b"]), 0).to_numpy()
    total: npt.NDArray[np.int64] = first.astype(np.int64) + second
    return total


def _length_edges(described: DatasetOut) -> npt.NDArray[np.float64]:
    """Return bounds of bars of one width, so that the usual lengths fill them and a few long rows do not."""
    most = min(described.lengths.longest, math.ceil(2 * described.lengths.p95))
    width = max(1, math.ceil((most + 1) / BARS))
    return np.arange(0, BARS + 1, dtype=np.float64) * width
