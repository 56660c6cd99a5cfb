"""Datasets in their canonical form, and how a user's file becomes one. Torch-free.

Canonical: a Parquet file with the columns row (int64, counts data rows of the user's file from 0, so it is also the
position), text_a, text_b (null for single texts) and label (int64 class index, or float64), in row groups of
GROUP_ROWS, or fewer where texts are long. Nothing in it depends on names or times: the same content, the same digest.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import chain, pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from fastmtl.artifacts import sha256
from fastmtl.columns import Columns, resolve
from fastmtl.errors import InvalidDataset, Problem
from fastmtl.formats import FileFormat, sniff
from fastmtl.labels import LabelCount, Labels
from fastmtl.readers import Limits, RawRow, Table, not_storable, open_table
from fastmtl.summary import Example, Lengths, Statistics

__all__ = [
    "Columns",
    "Dataset",
    "Example",
    "FileFormat",
    "LabelCount",
    "Lengths",
    "Limits",
    "Summary",
    "TaskKind",
    "convert",
]

GROUP_ROWS = 8_192
GROUP_CHARS = 2**23
"""A row group ends, too, with the row that reaches so many characters: it is held in memory."""
MAX_PROBLEMS = 20
FLOAT32_MAX = float(np.finfo(np.float32).max)
METADATA = b"fastmtl"
RAW_SCHEMA = pa.schema([("row", pa.int64()), ("text_a", pa.string()), ("text_b", pa.string()), ("label", pa.string())])


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

    @staticmethod
    def open(path: Path) -> Dataset:
        """Open a file that `convert` wrote."""
        with pq.ParquetFile(path) as file:
            about = json.loads(file.schema_arrow.metadata[METADATA])
            return Dataset(
                path, file.metadata.num_rows, TaskKind(about["kind"]), tuple(about["classes"]), about["pair"]
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
        with pq.ParquetFile(self.path) as file:
            for group, (first, end) in enumerate(pairwise(_starts(file).tolist())):
                if end <= start or stop <= first:
                    continue
                inside = file.read_row_group(group).slice(max(start - first, 0), min(stop, end) - max(start, first))
                for offset in range(0, len(inside), size):
                    yield inside.slice(offset, size)

    def _take(self, rows: npt.NDArray[np.int64] | None, columns: Sequence[str]) -> pa.Table:
        """Read the row groups that the rows stand in, one at a time; raises IndexError for a row that is not there."""
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


def _starts(file: pq.ParquetFile) -> npt.NDArray[np.int64]:
    """Return the first row of every row group, and the number of rows."""
    sizes = [file.metadata.row_group(group).num_rows for group in range(file.metadata.num_row_groups)]
    return np.cumsum([0, *sizes], dtype=np.int64)


def convert(
    source: Path,
    target: Path,
    *,
    file_format: FileFormat | None = None,
    columns: Columns | None = None,
    kind: TaskKind | None = None,
    limits: Limits | None = None,
) -> Summary:
    """Read a user's file in bounded memory and write the canonical form to `target`.

    What is None is inferred. Raises InvalidDataset with up to 20 problems; nothing is then left behind.
    """
    limits = limits or Limits()
    found = sniff(source, file_format)
    table = open_table(source, found, limits)
    given = columns or Columns()
    settled, rows = _pair_or_single(given, resolve(given, table.columns), table)
    labels, statistics = Labels(kind is TaskKind.REGRESSION, limits.max_labels), Statistics(settled.text_b is not None)
    raw, partial = target.with_name(target.name + ".raw"), target.with_name(target.name + ".part")
    try:
        _write_raw(raw, _checked(rows, settled, labels, statistics, limits))
        regression, warnings = labels.settle(None if kind is None else kind is TaskKind.REGRESSION)
        classes = () if regression else labels.classes()
        if regression:
            _check_range(*labels.range(), settled)
        _write_canonical(raw, partial, classes, regression=regression, pair=settled.text_b is not None)
        os.replace(partial, target)
    finally:
        raw.unlink(missing_ok=True)
        partial.unlink(missing_ok=True)
    return Summary(
        rows=statistics.rows,
        kind=TaskKind.REGRESSION if regression else TaskKind.CLASSIFICATION,
        file_format=found,
        columns=settled,
        labels=() if regression else labels.counts(),
        label_range=labels.range() if regression else None,
        lengths=statistics.lengths(),
        duplicates=statistics.duplicates(),
        examples=statistics.examples(regression),
        warnings=warnings,
        digest=sha256(target),
    )


def _pair_or_single(given: Columns, found: Columns, table: Table) -> tuple[Columns, Iterator[RawRow]]:
    """Take an inferred second text that is empty in the first row for a column that is not used.

    A later row that does fill it is then a problem.
    """
    rows = table.rows([name for name in (found.text_a, found.text_b, found.label) if name is not None])
    first = next(rows, None)
    if first is None:
        return found, rows
    rows = chain([first], rows)
    name = found.text_b
    if name is None or given.text_b or first.problem or first.cells.get(name):
        return found, rows
    return Columns(found.text_a, None, found.label), (_without(raw, name) for raw in rows)


def _without(raw: RawRow, name: str) -> RawRow:
    if raw.problem or not raw.cells.get(name):
        return raw
    return raw._replace(problem=f"column {name!r} is filled here, but empty in row 0: all rows are pairs, or none is")


def _checked(
    rows: Iterator[RawRow], columns: Columns, labels: Labels, statistics: Statistics, limits: Limits
) -> Iterator[tuple[int, str, str | None, str]]:
    """Yield (row, text_a, text_b, label) of every row; raises InvalidDataset with all that is wrong, up to a number."""
    problems: list[Problem] = []
    try:
        for raw in rows:
            if raw.row >= limits.max_rows:
                raise InvalidDataset([Problem(f"more than {limits.max_rows:,} rows", row=raw.row, line=raw.line)])
            good, wrong = _check_row(raw, columns, labels, limits)
            problems += wrong
            if len(problems) >= MAX_PROBLEMS:
                break
            if good and not problems:
                statistics.add(*good)
                yield good
    except InvalidDataset as error:  # the reader cannot go on; what was found before still counts
        problems += error.problems
        raise InvalidDataset(problems[:MAX_PROBLEMS]) from error
    if problems:
        raise InvalidDataset(problems[:MAX_PROBLEMS])
    if not statistics.rows:
        raise InvalidDataset([Problem("the file has no rows: only a header, or not even that")])


def _check_row(
    raw: RawRow, columns: Columns, labels: Labels, limits: Limits
) -> tuple[tuple[int, str, str | None, str] | None, list[Problem]]:
    """Return the row's texts and label, or what is wrong with it."""
    if raw.problem:
        return None, [Problem(raw.problem, row=raw.row, line=raw.line)]
    assert columns.text_a is not None and columns.label is not None, "resolve() settles both"
    wrong = []
    for name in (columns.text_a, columns.text_b):
        if name is not None and (told := _check_text(raw, name, limits)):
            wrong.append(Problem(told, name, raw.row, raw.line))
    value, label = raw.cells.get(columns.label), None
    told = _check_label(value, limits)
    if not told:
        label, told = labels.add(value)
    if told:
        wrong.append(Problem(told, columns.label, raw.row, raw.line))
    if wrong or label is None:
        return None, wrong
    text_b = raw.cells[columns.text_b] if columns.text_b else None
    return (raw.row, raw.cells[columns.text_a], text_b, label), []


def _check_text(raw: RawRow, name: str, limits: Limits) -> str | None:
    """Return what is wrong with a text cell."""
    if name not in raw.cells:
        return f"the row has no key {name!r}"
    value = raw.cells[name]
    if value is None:
        return "the text is missing"
    if not isinstance(value, str):
        return f"a text is needed, found {type(value).__name__}"
    if not value or value.isspace():
        return "the text is empty"
    if len(value) > limits.max_text_chars:
        return f"the text has {len(value):,} characters, and {limits.max_text_chars:,} are the most"
    odd = not_storable(value)
    return f"the text holds {odd}" if odd else None


def _check_label(value: object, limits: Limits) -> str | None:
    """Return what keeps a label from being stored; what it means is for Labels to say."""
    if isinstance(value, int) and not isinstance(value, bool):
        digits = int(value.bit_length() * 0.30103)  # log10(2); to write it out may be refused
        return f"the label is a number of some {digits:,} digits" if digits > limits.max_label_chars else None
    if not isinstance(value, str):
        return None
    if len(value) > limits.max_label_chars:
        return f"the label has {len(value):,} characters, and {limits.max_label_chars:,} are the most"
    odd = not_storable(value)
    return f"the label holds {odd}" if odd else None


def _check_range(low: float, high: float, columns: Columns) -> None:
    if max(abs(low), abs(high)) > FLOAT32_MAX:
        told = f"labels from {low:g} to {high:g} do not fit into 32-bit floating point"
        raise InvalidDataset([Problem(told, columns.label)])


def _write_raw(path: Path, rows: Iterator[tuple[int, str, str | None, str]]) -> None:
    """Write checked rows, labels still as texts, a row group at a time."""
    with pq.ParquetWriter(path, RAW_SCHEMA, compression="zstd") as writer:
        group: list[tuple[int, str, str | None, str]] = []
        chars = 0
        for row in rows:
            group.append(row)
            chars += len(row[1]) + len(row[2] or "")
            if len(group) == GROUP_ROWS or chars >= GROUP_CHARS:
                _write_group(writer, group)
                group, chars = [], 0
        if group:
            _write_group(writer, group)


def _write_group(writer: pq.ParquetWriter, group: Sequence[tuple[int, str, str | None, str]]) -> None:
    columns = [list(column) for column in zip(*group, strict=True)]
    writer.write_table(pa.table(columns, schema=RAW_SCHEMA), row_group_size=GROUP_ROWS)


def _write_canonical(raw: Path, target: Path, classes: tuple[str, ...], *, regression: bool, pair: bool) -> None:
    """Turn label texts into indices or numbers."""
    kind = TaskKind.REGRESSION if regression else TaskKind.CLASSIFICATION
    about = json.dumps({"kind": kind, "classes": classes, "pair": pair})
    fields = [RAW_SCHEMA.field(name) for name in ("row", "text_a", "text_b")]
    fields.append(pa.field("label", pa.float64() if regression else pa.int64()))
    schema = pa.schema(fields, metadata={METADATA: about.encode()})
    with pq.ParquetFile(raw) as file, pq.ParquetWriter(target, schema, compression="zstd") as writer:
        for group in range(file.num_row_groups):
            table = file.read_row_group(group)
            texts = table["label"]
            if regression:
                labels = texts.cast(pa.float64())
            else:
                labels = pc.index_in(texts, pa.array(classes, pa.string())).cast(pa.int64())
            columns = [*(table[name] for name in ("row", "text_a", "text_b")), labels]
            writer.write_table(pa.Table.from_arrays(columns, schema=schema), row_group_size=GROUP_ROWS)
