"""How a user's file becomes a dataset in its canonical form, in bounded memory. Torch-free."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from fastmtl.artifacts import sha256
from fastmtl.checks import SCHEMA, Checks, Good
from fastmtl.columns import Columns, resolve
from fastmtl.datasets import GROUP_ROWS, METADATA, Summary, TaskKind
from fastmtl.errors import InvalidDataset, Problem
from fastmtl.formats import FileFormat, sniff
from fastmtl.labels import Labels
from fastmtl.raw import Limits, Table
from fastmtl.readers import open_table
from fastmtl.tally import Statistics

__all__ = ["Limits", "convert"]

GROUP_CHARS = 2**23
"""A row group ends, too, with the row that reaches so many characters: it is held in memory."""
WRITTEN = {"compression": "zstd", "use_dictionary": ["label"], "write_statistics": False}
"""Texts are mostly different, and no reader asks for the least of them: a fifth of the writing was that."""
FLOAT32_MAX = float(np.finfo(np.float32).max)


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
    settled, unused = _pair_or_single(given, resolve(given, table.columns), table)
    labels, statistics = Labels(kind is TaskKind.REGRESSION, limits.max_labels), Statistics()
    raw, partial = target.with_name(target.name + ".raw"), target.with_name(target.name + ".part")
    try:
        _write_raw(raw, found, Checks(settled, unused, labels, statistics, limits).of(table))
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


def _pair_or_single(given: Columns, found: Columns, table: Table) -> tuple[Columns, str | None]:
    """Return the columns, without an inferred second text that is empty in the first row, and that one's name.

    A later row that does fill it is then a problem.
    """
    if found.text_b is None or given.text_b:
        return found, None
    first = next(table.rows([name for name in (found.text_a, found.text_b, found.label) if name is not None]), None)
    if first is None or first.problem or first.cells.get(found.text_b):
        return found, None
    return Columns(found.text_a, None, found.label), found.text_b


def _check_range(low: float, high: float, columns: Columns) -> None:
    if max(abs(low), abs(high)) > FLOAT32_MAX:
        told = f"labels from {low:g} to {high:g} do not fit into 32-bit floating point"
        raise InvalidDataset([Problem(told, columns.label)])


def _write_raw(path: Path, source: FileFormat, parts: Iterable[Good]) -> None:
    """Write checked rows, labels still as texts, a batch for each row group; texts of Parquet may be much larger."""
    options = pa.ipc.IpcWriteOptions(compression="lz4" if source is FileFormat.PARQUET else None, use_threads=False)
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, SCHEMA, options=options) as writer:
        for group in _groups(parts):
            writer.write_batch(group)


def _groups(parts: Iterable[Good]) -> Iterator[pa.RecordBatch]:
    """Cut rows into row groups."""
    held: list[pa.Table] = []
    rows = chars = 0
    for texts, lengths in parts:
        start = 0
        while start < len(texts):
            reached = chars + np.cumsum(lengths[start : start + GROUP_ROWS - rows])
            count = min(len(reached), int(np.searchsorted(reached, GROUP_CHARS)) + 1)
            held.append(texts.slice(start, count))
            start, rows, chars = start + count, rows + count, int(reached[count - 1])
            if rows == GROUP_ROWS or chars >= GROUP_CHARS:
                yield _together(held)
                held, rows, chars = [], 0, 0
    if held:
        yield _together(held)


def _together(tables: list[pa.Table]) -> pa.RecordBatch:
    (batch,) = pa.concat_tables(tables).combine_chunks().to_batches()
    return batch


def _write_canonical(raw: Path, target: Path, classes: tuple[str, ...], *, regression: bool, pair: bool) -> None:
    """Turn label texts into indices or numbers."""
    kind = TaskKind.REGRESSION if regression else TaskKind.CLASSIFICATION
    about = json.dumps({"kind": kind, "classes": classes, "pair": pair})
    fields = [pa.field("row", pa.int64()), SCHEMA.field("text_a"), SCHEMA.field("text_b")]
    fields.append(pa.field("label", pa.float64() if regression else pa.int64()))
    schema = pa.schema(fields, metadata={METADATA: about.encode()})
    names = pa.array(classes, pa.string())
    first = 0
    with pa.OSFile(str(raw)) as file, pq.ParquetWriter(target, schema, **WRITTEN) as writer:
        reader = pa.ipc.open_file(file)
        for group in range(reader.num_record_batches):
            batch = reader.get_batch(group)
            texts = batch["label"]
            labels = texts.cast(pa.float64()) if regression else pc.index_in(texts, names).cast(pa.int64())
            row = pa.array(np.arange(first, first + len(batch)))
            columns = [row, batch["text_a"], batch["text_b"], labels]
            writer.write_table(pa.Table.from_arrays(columns, schema=schema), row_group_size=GROUP_ROWS)
            first += len(batch)
