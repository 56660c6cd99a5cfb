"""User files as streams of rows, in bounded memory; Parquet is read here.

A reader yields `RawRow`s, marked where something is wrong with one row, and raises `InvalidDataset` for what is wrong
with the file. Torch-free.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from fastmtl.blocks import BLOCK_BYTES
from fastmtl.delimited import open_delimited
from fastmtl.errors import InvalidDataset, Problem, cut
from fastmtl.formats import FileFormat
from fastmtl.json_lines import open_json_lines
from fastmtl.parquet_check import Layout, largest_pages, read_layout
from fastmtl.raw import Block, Limits, RawRow, Table, check_header

BATCH_ROWS = 64
"""Rows of Parquet decoded at once: few, since one dictionary entry of 1 MiB can stand in every one of them."""
BOMB_RATIO = 100
"""Text that someone wrote compresses far less than this."""
UNREADABLE = (pa.ArrowException, OSError, UnicodeDecodeError)
"""What Arrow raises for a damaged file; the last where a name or a message of its own is not UTF-8."""


def open_table(path: Path, file_format: FileFormat, limits: Limits) -> Table:
    """Open a file; nothing but its header or metadata is read before the rows are asked for."""
    if file_format is FileFormat.PARQUET:
        return _parquet(path, limits)
    if file_format is FileFormat.JSONL:
        return open_json_lines(path, limits)
    return open_delimited(path, file_format, limits)


def _parquet(path: Path, limits: Limits) -> Table:
    """Parquet by small batches; metadata, pages, and the size of each batch are checked against the limits."""
    layout = read_layout(path, limits.max_rows)
    try:
        with pq.ParquetFile(path) as file:
            schema, leaves = file.schema_arrow, file.schema
            places = {leaves.column(place).path: place for place in range(len(leaves))}
    except UNREADABLE as error:
        raise InvalidDataset([Problem(f"not a Parquet file that can be read: {_told(error)}")]) from error
    check_header(schema.names, limits)

    def batches(names: Sequence[str]) -> Iterator[Batch]:
        return _batches(path, layout, places, schema, names, limits)

    def rows(names: Sequence[str]) -> Iterator[RawRow]:
        for batch in batches(names):
            yield from batch.rows()

    return Table(tuple(schema.names), rows, lambda names: _blocks(batches(names)))


class Batch(NamedTuple):
    """Some rows of Parquet, decoded."""

    row: int
    columns: pa.RecordBatch

    def rows(self) -> Iterator[RawRow]:
        """Yield them one by one. Raises InvalidDataset where a text is not UTF-8."""
        cells = {}
        last = self.row + len(self.columns) - 1
        for name, column in zip(self.columns.schema.names, self.columns.columns, strict=True):
            try:
                cells[name] = column.to_pylist()
            except UnicodeDecodeError as error:
                raise InvalidDataset([Problem(f"a text of rows {self.row} to {last} is not UTF-8", name)]) from error
        for row, values in enumerate(zip(*cells.values(), strict=True), self.row):
            yield RawRow(row, None, dict(zip(cells, values, strict=True)))


def _batches(
    path: Path,
    layout: Layout,
    places: Mapping[str, int],
    schema: pa.Schema,
    names: Sequence[str],
    limits: Limits,
) -> Iterator[Batch]:
    odd = [schema.field(name) for name in names if not _is_plain(schema.field(name).type)]
    if odd:
        told = "the column holds {}; texts, numbers or booleans are needed"
        raise InvalidDataset([Problem(told.format(cut(str(field.type), 200)), field.name) for field in odd])
    # A page's bytes are the most that one cell of it can hold, in every row if it is a dictionary.
    largest = largest_pages(path, layout, {name: places[name] for name in names}, limits.max_batch_bytes)
    size = max(1, min(BATCH_ROWS, limits.max_batch_bytes // max(1, largest)))
    row, read, most = 0, 0, limits.free_bytes + BOMB_RATIO * path.stat().st_size
    try:
        with pq.ParquetFile(path, buffer_size=2**20, pre_buffer=False) as file:
            for found in file.iter_batches(size, columns=list(names)):
                batch = Batch(row, plain(found, row, limits))
                yield batch
                row, read = row + len(found), read + batch.columns.nbytes
                if read > most:
                    told = f"the first {row:,} rows expand to {read / 2**20:,.0f} MiB, as nothing does that was written"
                    raise InvalidDataset([Problem(told, row=row)])
    except UNREADABLE as error:
        raise InvalidDataset([Problem(f"the Parquet file is damaged: {_told(error)}", row=row)]) from error
    if row != layout.rows:
        raise InvalidDataset([Problem(f"the Parquet file is damaged: {layout.rows:,} rows are claimed, {row:,} there")])


def plain(batch: pa.RecordBatch, row: int, limits: Limits) -> pa.RecordBatch:
    """Return a batch without dictionaries; `row` is the number of its first row. Raises where that takes too much."""
    columns = [each.dictionary_decode() if pa.types.is_dictionary(each.type) else each for each in batch.columns]
    found = pa.RecordBatch.from_arrays(columns, batch.schema.names)
    if found.nbytes > limits.max_batch_bytes:
        told = f"rows {row} to {row + len(batch) - 1} expand to {found.nbytes / 2**20:,.0f} MiB"
        raise InvalidDataset([Problem(told, row=row)])
    return found


def _blocks(batches: Iterator[Batch]) -> Iterator[Block]:
    """Put batches together; what was read before a reader gives up still comes."""
    wrong: list[InvalidDataset] = []
    held: list[Batch] = []
    size = 0
    for batch in _until_wrong(batches, wrong):
        held.append(batch)
        size += batch.columns.nbytes
        if size >= BLOCK_BYTES:
            yield _block(held)
            held, size = [], 0
    if held:
        yield _block(held)
    if wrong:
        raise wrong[0]


def _until_wrong(batches: Iterator[Batch], wrong: list[InvalidDataset]) -> Iterator[Batch]:
    """Yield batches; what ends them early is put into `wrong`."""
    try:
        yield from batches
    except InvalidDataset as error:
        wrong.append(error)


def _block(batches: list[Batch]) -> Block:
    table = pa.Table.from_batches([batch.columns for batch in batches])
    try:
        table.validate(full=True)
    except pa.ArrowInvalid:
        return Block(batches[0].row, None, partial(_rows, batches))
    return Block(batches[0].row, table, partial(_rows, batches))


def _rows(batches: list[Batch]) -> Iterator[RawRow]:
    return chain.from_iterable(batch.rows() for batch in batches)


def _is_plain(kind: pa.DataType) -> bool:
    """Whether a column's cells are texts, numbers or booleans."""
    while pa.types.is_dictionary(kind):
        kind = kind.value_type
    checks = (pa.types.is_string, pa.types.is_large_string, pa.types.is_integer, pa.types.is_floating)
    return any(check(kind) for check in (*checks, pa.types.is_boolean, pa.types.is_string_view, pa.types.is_null))


def _told(error: Exception) -> str:
    if isinstance(error, MemoryError):
        return "it takes more memory than there is"
    return str(error).strip().splitlines()[0][:200] if str(error).strip() else type(error).__name__
