"""How a user's file becomes a dataset in its canonical form, in bounded memory. Torch-free."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing
from functools import partial
from itertools import chain
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from fastmtl.artifacts import sha256
from fastmtl.behind import Behind
from fastmtl.checks import SCHEMA, Checks, Good
from fastmtl.columns import Columns, resolve
from fastmtl.datasets import GROUP_ROWS, METADATA, Summary, TaskKind
from fastmtl.errors import InvalidDataset, Problem
from fastmtl.formats import FileFormat, sniff
from fastmtl.labels import Labels, Meaning
from fastmtl.raw import Limits, Table
from fastmtl.readers import open_table
from fastmtl.tally import Statistics

__all__ = ["Limits", "convert"]

GROUP_CHARS = 2**23
"""A row group ends, too, with the row that reaches so many characters: it is held in memory."""
WRITTEN = {"use_dictionary": ["label"], "write_statistics": False}
"""Texts are mostly different, and no reader asks for the least of them: a fifth of the writing was that."""
AHEAD = 2
"""Row groups that wait to be written, or are, while the next is read."""
LABELS = pa.schema([SCHEMA.field("label")])
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
    regression = None if kind is None else kind is TaskKind.REGRESSION
    groups = _groups(Checks(settled, unused, labels, statistics, limits).of(table))
    draft, texts, again = (target.with_name(f"{target.name}.{name}") for name in ("draft", "labels", "part"))
    try:
        with closing(_keeping_labels(groups, texts)) as kept:
            foreseen = _write(kept, draft, lambda: labels.meaning(regression), settled)
        is_regression, warnings = labels.settle(regression)
        if is_regression:
            _check_range(*labels.range(), settled)
        meaning = labels.meaning(regression)
        if meaning == foreseen:
            os.replace(draft, target)
        else:
            _write(_drafted(draft, texts), again, lambda: meaning, settled)
            os.replace(again, target)
    finally:
        for path in (draft, texts, again):
            path.unlink(missing_ok=True)
    return Summary(
        rows=statistics.rows,
        kind=TaskKind.REGRESSION if is_regression else TaskKind.CLASSIFICATION,
        file_format=found,
        columns=settled,
        labels=() if is_regression else labels.counts(),
        label_range=labels.range() if is_regression else None,
        lengths=statistics.lengths(),
        duplicates=statistics.duplicates(),
        examples=statistics.examples(is_regression),
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


def _keeping_labels(groups: Iterable[pa.RecordBatch], path: Path) -> Generator[pa.RecordBatch, None, None]:
    """Pass row groups on, and write down what their labels are as texts."""
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, LABELS) as writer:
        for group in groups:
            writer.write_batch(group.select(LABELS.names))
            yield group


def _drafted(draft: Path, texts: Path) -> Iterator[pa.RecordBatch]:
    """Yield the row groups of a draft, with the labels that were written down."""
    with pq.ParquetFile(draft) as file, pa.OSFile(str(texts)) as labels:
        kept = pa.ipc.open_file(labels)
        for group in range(kept.num_record_batches):
            read = file.read_row_group(group, ["text_a", "text_b"], use_threads=False)
            (both,) = read.combine_chunks().to_batches()
            yield pa.RecordBatch.from_arrays([*both.columns, kept.get_batch(group)["label"]], schema=SCHEMA)


def _write(groups: Iterator[pa.RecordBatch], path: Path, told: Callable[[], Meaning], columns: Columns) -> Meaning:
    """Write the canonical form; return what it takes the labels for: what is told when the first row group is there.

    Where something else is told later, it is without labels from there on.
    """
    first = next(groups)
    meaning = told()
    schema = _schema(meaning, pair=columns.text_b is not None)
    compression = "zstd" if meaning.regression or len(meaning.classes) > 1 else "lz4"  # one class will not do
    names, start = pa.array(meaning.classes, pa.string()), 0
    with pq.ParquetWriter(path, schema, compression=compression, **WRITTEN) as writer, Behind(AHEAD) as behind:
        for group in chain([first], groups):
            labels, rows = group["label"], pa.array(np.arange(start, start + len(group)))
            if told() != meaning:
                values = pa.nulls(len(group), schema.field("label").type)
            elif meaning.regression:
                values = labels.cast(pa.float64())
            else:
                values = pc.index_in(labels, names).cast(pa.int64())
            table = pa.Table.from_arrays([rows, group["text_a"], group["text_b"], values], schema=schema)
            behind.do(partial(writer.write_table, table, row_group_size=GROUP_ROWS))
            start += len(group)
    return meaning


def _schema(meaning: Meaning, *, pair: bool) -> pa.Schema:
    kind = TaskKind.REGRESSION if meaning.regression else TaskKind.CLASSIFICATION
    about = json.dumps({"kind": kind, "classes": meaning.classes, "pair": pair})
    fields = [pa.field("row", pa.int64()), SCHEMA.field("text_a"), SCHEMA.field("text_b")]
    fields.append(pa.field("label", pa.float64() if meaning.regression else pa.int64()))
    return pa.schema(fields, metadata={METADATA: about.encode()})
