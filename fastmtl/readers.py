"""User files as a stream of raw rows: what a cell holds and where it stands, in bounded memory.

A reader yields `RawRow`s, marked where something is wrong with one row, and raises `InvalidDataset` for what is wrong
with the file. Torch-free.
"""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from fastmtl.errors import InvalidDataset, Problem, cut
from fastmtl.formats import SNIFF_BYTES, FileFormat, delimiter_of, header_line
from fastmtl.lines import BOM, Lines
from fastmtl.parquet_check import Layout, largest_pages, read_layout

BATCH_ROWS = 64
"""Rows of Parquet decoded at once: few, since one dictionary entry of 1 MiB can stand in every one of them."""
BOMB_RATIO = 100
"""Text that someone wrote compresses far less than this."""
UNREADABLE = (pa.ArrowException, OSError, UnicodeDecodeError)
"""What Arrow raises for a damaged file; the last where a name or a message of its own is not UTF-8."""


@dataclass(frozen=True)
class Limits:
    """What a file may ask of the machine that reads it."""

    max_rows: int = 100_000_000
    max_text_chars: int = 100_000
    max_label_chars: int = 1_000
    max_labels: int = 1_000
    max_columns: int = 1_000
    max_name_chars: int = 500
    """Of a column's name."""
    max_blank_lines: int = 100_000
    """And some for each row: a gigabyte of nothing would keep its reader busy for minutes."""
    max_batch_bytes: int = 200 * 2**20
    free_bytes: int = 64 * 2**20
    """What a Parquet file may expand to, and more by its size: BOMB_RATIO times that."""
    max_row_bytes: int = 8 * 2**20
    """Of a row of CSV, TSV or JSONL: a quote that is never closed must not take in the whole file."""


class RawRow(NamedTuple):
    """One row as it stands in the file; `line` is its first one, None where the format has no lines."""

    row: int
    line: int | None
    cells: Mapping[str, Any]
    problem: str | None = None
    """What is wrong with the row as a whole; `cells` is then empty."""


@dataclass(frozen=True)
class Table:
    """A file's columns, and its rows: `rows(names)` reads at least the columns of these names, from the first row."""

    columns: tuple[str, ...]
    rows: Callable[[Sequence[str]], Iterator[RawRow]]


def open_table(path: Path, file_format: FileFormat, limits: Limits) -> Table:
    """Open a file; nothing but its header or metadata is read before the rows are asked for."""
    if file_format is FileFormat.PARQUET:
        return _parquet(path, limits)
    if file_format is FileFormat.JSONL:
        return _jsonl(path, limits)
    return _delimited(path, file_format, limits)


def _delimited(path: Path, file_format: FileFormat, limits: Limits) -> Table:
    """CSV (comma, or semicolon where the header holds more of them) or TSV, quoted as in RFC 4180."""
    with path.open("rb") as file:
        start = file.read(SNIFF_BYTES).removeprefix(BOM)
    delimiter = "\t" if file_format is FileFormat.TSV else delimiter_of(header_line(start), ",;")
    _, header = next(_csv_rows(path, delimiter, limits), (1, []))
    names = [name.strip() for name in header]
    _check_header(names, limits, line=1)
    return Table(tuple(names), lambda _: _named(_csv_rows(path, delimiter, limits), names))


def _csv_rows(path: Path, delimiter: str, limits: Limits) -> Iterator[tuple[int, list[str]]]:
    """Yield (first line, cells) of the header, then of the rows; a blank line is no row."""
    before = csv.field_size_limit(limits.max_row_bytes)  # is global; Lines is what bounds a row
    try:
        with path.open("rb") as file:
            yield from _csv_cells(Lines(file, limits.max_row_bytes, limits.max_blank_lines), delimiter)
    finally:
        csv.field_size_limit(before)


def _csv_cells(lines: Lines, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    try:
        for cells in csv.reader(lines, delimiter=delimiter, strict=True):
            line = lines.end_row(blank=not cells)
            if cells:
                yield line, cells
    except csv.Error as error:
        raise lines.wrong(_csv_told(error), lines.end_row()) from error


def _csv_told(error: csv.Error) -> str:
    """Say in a user's words what the csv module found."""
    if "end of data" in str(error):
        return "a quote that opens in this row is never closed; a quote inside a quoted cell is written twice"
    if "expected after" in str(error):
        return "text follows a closing quote; a quote inside a quoted cell is written twice, and the cell quoted"
    if "new-line" in str(error):
        return "a carriage return stands alone: lines end with \\n or \\r\\n, and a cell that holds \\r is quoted"
    return str(error)


def _named(rows: Iterator[tuple[int, list[str]]], header: Sequence[str]) -> Iterator[RawRow]:
    """Give every cell its column's name; a row of another width is a problem."""
    next(rows)
    width = len(header)
    for row, (line, cells) in enumerate(rows):
        if len(cells) == width:
            yield RawRow(row, line, dict(zip(header, cells, strict=True)))
        else:
            few = "too few" if len(cells) < width else "too many"
            told = f"{few} cells: {len(cells)} found, {width} expected ({', '.join(map(cut, header[:10]))})"
            yield RawRow(row, line, {}, told)


def _check_header(header: Sequence[str], limits: Limits, line: int | None = None) -> None:
    if len(header) > limits.max_columns:
        raise InvalidDataset([Problem(f"{len(header):,} columns, and {limits.max_columns:,} are the most", line=line)])
    for name in header:
        if odd := not_storable(name):
            raise InvalidDataset([Problem(f"the column name {cut(name)!r} holds {odd}", line=line)])
        if len(name) > limits.max_name_chars:
            told = f"the column name {cut(name)!r} has {len(name):,} characters"
            raise InvalidDataset([Problem(f"{told}, and {limits.max_name_chars:,} are the most", line=line)])
    if twice := [name for name, times in Counter(header).items() if times > 1]:
        raise InvalidDataset([Problem(f"the header names {cut(twice[0])!r} twice", field=twice[0], line=line)])


def not_storable(text: str) -> str | None:
    """Return what keeps a text out of UTF-8 files and databases; None for nearly all."""
    if "\0" in text:
        return "a NUL character"
    if text.isascii():
        return None
    try:
        text.encode()
    except UnicodeEncodeError:
        return "half of a surrogate pair, which is no character"
    return None


def _jsonl(path: Path, limits: Limits) -> Table:
    """One JSON object a line; the first row's keys are the columns."""
    first = next(_json_rows(path, limits))  # sniff() saw that the file is not blank
    if first.problem:
        raise InvalidDataset([Problem(first.problem, row=first.row, line=first.line)])
    _check_header(tuple(first.cells), limits, first.line)
    return Table(tuple(first.cells), lambda _: _json_rows(path, limits))


def _json_rows(path: Path, limits: Limits) -> Iterator[RawRow]:
    with path.open("rb") as file:
        lines = Lines(file, limits.max_row_bytes, limits.max_blank_lines)
        row = 0
        for text in lines:
            blank = text.isspace()
            line = lines.end_row(blank=blank)
            if not blank:
                cells, problem = _parse_json(text)
                yield RawRow(row, line, cells, problem)
                row += 1


def _parse_json(text: str) -> tuple[dict[str, Any], str | None]:
    if text.lstrip().startswith("["):
        return {}, "a JSON array; one object a line is needed, with no brackets and commas between them"
    try:
        value = json.loads(text, object_pairs_hook=_once)
    except json.JSONDecodeError as error:
        return {}, f"not JSON: {error.msg} at character {error.pos}; one object a line is needed"
    except RecursionError:
        return {}, "JSON nested too deeply; one flat object a line is needed"
    except _Twice as error:
        return {}, f"the key {cut(str(error))!r} stands there twice"
    except ValueError:
        return {}, "a number of thousands of digits; shorter ones are needed"
    if not isinstance(value, dict):
        return {}, f"a JSON {type(value).__name__}; one object a line is needed"
    return value, None


class _Twice(Exception):
    """An object has a key twice; the message is the key."""


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return an object; Python's own reader would drop one of two values without a word."""
    found = dict(pairs)
    if len(found) < len(pairs):
        raise _Twice(next(key for key, times in Counter(key for key, _ in pairs).items() if times > 1))
    return found


def _parquet(path: Path, limits: Limits) -> Table:
    """Parquet by small batches; metadata, pages, and the size of each batch are checked against the limits."""
    layout = read_layout(path, limits.max_rows)
    try:
        with pq.ParquetFile(path) as file:
            schema, leaves = file.schema_arrow, file.schema
            places = {leaves.column(place).path: place for place in range(len(leaves))}
    except UNREADABLE as error:
        raise InvalidDataset([Problem(f"not a Parquet file that can be read: {_told(error)}")]) from error
    _check_header(schema.names, limits)
    return Table(tuple(schema.names), lambda names: _parquet_rows(path, layout, places, schema, names, limits))


def _parquet_rows(
    path: Path,
    layout: Layout,
    places: Mapping[str, int],
    schema: pa.Schema,
    names: Sequence[str],
    limits: Limits,
) -> Iterator[RawRow]:
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
            for batch in file.iter_batches(size, columns=list(names)):
                cells, batch_bytes = cells_of(batch, row, limits)
                yield from _batch_of_rows(cells, row)
                row, read = row + len(batch), read + batch_bytes
                if read > most:
                    told = f"the first {row:,} rows expand to {read / 2**20:,.0f} MiB, as nothing does that was written"
                    raise InvalidDataset([Problem(told, row=row)])
    except UNREADABLE as error:
        raise InvalidDataset([Problem(f"the Parquet file is damaged: {_told(error)}", row=row)]) from error
    if row != layout.rows:
        raise InvalidDataset([Problem(f"the Parquet file is damaged: {layout.rows:,} rows are claimed, {row:,} there")])


def _batch_of_rows(cells: dict[str, list[Any]], first: int) -> Iterator[RawRow]:
    for row, values in enumerate(zip(*cells.values(), strict=True), first):
        yield RawRow(row, None, dict(zip(cells, values, strict=True)))


def cells_of(batch: pa.RecordBatch, row: int, limits: Limits) -> tuple[dict[str, list[Any]], int]:
    """Return a batch's cells by column, and their bytes; `row` is the number of its first one."""
    columns = [each.dictionary_decode() if pa.types.is_dictionary(each.type) else each for each in batch.columns]
    size = sum(column.nbytes for column in columns)
    if size > limits.max_batch_bytes:
        told = f"rows {row} to {row + len(batch) - 1} expand to {size / 2**20:,.0f} MiB"
        raise InvalidDataset([Problem(told, row=row)])
    cells = {}
    for name, column in zip(batch.schema.names, columns, strict=True):
        try:
            cells[name] = column.to_pylist()
        except UnicodeDecodeError as error:
            raise InvalidDataset(
                [Problem(f"a text of rows {row} to {row + len(batch) - 1} is not UTF-8", name)]
            ) from error
    return cells, size


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
