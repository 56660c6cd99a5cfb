"""Datasets in their canonical form; `fastmtl.canonical` makes it of a user's file. Torch-free.

Canonical: a Parquet file with the columns row (int64, counts data rows of the user's file from 0, so it is also the
position), text_a, text_b (null for single texts) and label (int64 class index, or float64), in row groups of
GROUP_ROWS, or fewer where texts are long. Nothing in it depends on names or times: the same content, the same digest.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from fastmtl.columns import Columns
from fastmtl.formats import FileFormat
from fastmtl.labels import LabelCount
from fastmtl.plan import Workspace
from fastmtl.summary import Example, Lengths

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

__all__ = [
    "Columns",
    "Dataset",
    "Example",
    "FileFormat",
    "LabelCount",
    "Lengths",
    "Summary",
    "TaskKind",
    "dataset_of",
]

GROUP_ROWS = 8_192
METADATA = b"fastmtl"


class TaskKind(StrEnum):
    """What a label is."""

    CLASSIFICATION = "classification"
    REGRESSION = "regression"


@dataclass(frozen=True)
class Summary:
    """What a file held; `dataclasses.asdict` makes JSON of it."""

    rows: int
    kind: TaskKind
    file_format: FileFormat
    columns: Columns
    """As they were found."""
    labels: tuple[LabelCount, ...]
    """In the order of the class indices; empty for a regression."""
    label_range: tuple[float, float] | None
    """Lowest and highest label of a regression."""
    lengths: Lengths
    duplicates: int
    """Rows whose texts stood in an earlier row."""
    examples: tuple[Example, ...]
    warnings: tuple[str, ...]
    digest: str
    """SHA-256 of the canonical file."""


@dataclass(frozen=True)
class Dataset:
    """A canonical file, opened: its metadata is read, its rows are not."""

    path: Path
    rows: int
    kind: TaskKind
    classes: tuple[str, ...]
    """Names by class index; empty for a regression."""
    pair: bool
    tokens: Path | None = None
    """Folder where tokens of its rows are kept (fastmtl/kept_tokens.py); None where they are not."""

    @staticmethod
    def open(path: Path, tokens: Path | None = None) -> Dataset:
        """Open a file that `convert` wrote."""
        import pyarrow.parquet as pq  # here and below: Arrow is 38 MiB, which a service without work does without

        with pq.ParquetFile(path) as file:
            about = json.loads(file.schema_arrow.metadata[METADATA])
            return Dataset(
                path, file.metadata.num_rows, TaskKind(about["kind"]), tuple(about["classes"]), about["pair"], tokens
            )

    def texts(self, rows: npt.NDArray[np.int64] | None = None) -> tuple[list[str], list[str] | None]:
        """Return text_a and text_b (None for single texts) of the given rows, in the order given; of all if None."""
        table = self._take(rows, ["text_a", "text_b"] if self.pair else ["text_a"])
        return table["text_a"].to_pylist(), table["text_b"].to_pylist() if self.pair else None

    def labels(self, rows: npt.NDArray[np.int64] | None = None) -> npt.NDArray[np.int64] | npt.NDArray[np.float32]:
        """Return labels in the order given: int64 class indices, or float32."""
        values: npt.NDArray[np.int64] = self._take(rows, ["label"])["label"].to_numpy()
        return values.astype(np.float32) if self.kind is TaskKind.REGRESSION else values.astype(np.int64)

    def batches(self, start: int, stop: int, size: int = GROUP_ROWS) -> Iterator[pa.Table]:
        """Yield the rows [start, stop), in order, as tables of at most `size` rows; one row group is held at a time."""
        import pyarrow.parquet as pq

        with pq.ParquetFile(self.path) as file:
            for group, (first, end) in enumerate(pairwise(_starts(file).tolist())):
                if end <= start or stop <= first:
                    continue
                inside = file.read_row_group(group).slice(max(start - first, 0), min(stop, end) - max(start, first))
                for offset in range(0, len(inside), size):
                    yield inside.slice(offset, size)

    def _take(self, rows: npt.NDArray[np.int64] | None, columns: Sequence[str]) -> pa.Table:
        """Read the row groups that the rows stand in, one at a time; raises IndexError for a row that is not there."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        with pq.ParquetFile(self.path) as file:
            if rows is None:
                return file.read(columns=list(columns))
            wanted = np.asarray(rows, dtype=np.int64)
            if wanted.size and not 0 <= wanted.min() <= wanted.max() < self.rows:
                raise IndexError(f"rows from {wanted.min()} to {wanted.max()} are asked for, of {self.rows}")
            starts = _starts(file)
            groups = np.searchsorted(starts, wanted, side="right") - 1
            parts = [file.schema_arrow.empty_table().select(list(columns))]
            for group in np.unique(groups).tolist():
                places = wanted[groups == group] - starts[group]
                parts.append(file.read_row_group(group, columns=list(columns)).take(pa.array(places)))
        table = pa.concat_tables(parts)
        order = np.argsort(groups, kind="stable")
        return table if np.all(order[:-1] < order[1:]) else table.take(pa.array(np.argsort(order)))


def dataset_of(workspace: Workspace, digest: str) -> Dataset:
    """Open one of the datasets that a step is given."""
    return Dataset.open(workspace.datasets[digest], workspace.tokens.get(digest))


def _starts(file: pq.ParquetFile) -> npt.NDArray[np.int64]:
    """Return the first row of every row group, and the number of rows."""
    sizes = [file.metadata.row_group(group).num_rows for group in range(file.metadata.num_row_groups)]
    return np.cumsum([0, *sizes], dtype=np.int64)
