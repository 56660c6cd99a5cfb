"""User files as a stream of raw rows: what a cell holds and where it stands, in bounded memory.

A reader yields `RawRow`s, marked where something is wrong with one row, and raises `InvalidDataset` for what is wrong
with the file. Torch-free.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from fastmtl.errors import InvalidDataset, Problem
from fastmtl.lines import BOM, Lines

SNIFF_BYTES = 65_536
BATCH_ROWS = 64
"""Rows of Parquet decoded at once: few, since one dictionary entry of 1 MiB can stand in every one of them."""
BOMB_RATIO = 100
"""Text that someone wrote compresses far less than this."""
UNREADABLE = (pa.ArrowException, OSError, UnicodeDecodeError)
"""What Arrow raises for a damaged file; the last where a name or a message of its own is not UTF-8."""
JSON_START = re.compile(rb"\s*(\{|\[\s*(\{|\Z))")
MAGIC = {
    b"PAR1": "a Parquet file",
    b"PK\x03\x04": "a ZIP archive (an Excel workbook, perhaps): save it as CSV",
    b"\x1f\x8b": "a gzip archive: decompress it first",
    b"(\xb5/\xfd": "a zstd archive: decompress it first",
    b"BZh": "a bzip2 archive: decompress it first",
    b"\xfd7zXZ": "an xz archive: decompress it first",
    b"\xd0\xcf\x11\xe0": "an old Excel workbook: save it as CSV",
    b"%PDF": "a PDF: save its rows as CSV",
    b"\xff\xfe": "UTF-16 text: save it as UTF-8",
    b"\xfe\xff": "UTF-16 text: save it as UTF-8",
}


class FileFormat(StrEnum):
    """What a user may upload."""

    CSV = "csv"
    TSV = "tsv"
    JSONL = "jsonl"
    PARQUET = "parquet"


@dataclass(frozen=True)
class Limits:
    """What a file may ask of the machine that reads it."""

    max_rows: int = 100_000_000
    max_text_chars: int = 100_000
    max_label_chars: int = 1_000
    max_labels: int = 1_000
    max_columns: int = 1_000
    max_batch_bytes: int = 200 * 2**20
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


def sniff(path: Path, given: FileFormat | None) -> FileFormat:
    """Return the file's format; raises InvalidDataset where it is none of ours, or not the one that was given."""
    with path.open("rb") as file:
        start = file.read(SNIFF_BYTES)
    if not start.removeprefix(BOM).strip():
        raise InvalidDataset([Problem("the file is empty: a header and rows, or lines of JSON, are needed")])
    magic = next((magic for magic in MAGIC if start.startswith(magic)), None)
    if magic == b"PAR1" and given in (None, FileFormat.PARQUET):
        return FileFormat.PARQUET
    looks = MAGIC[magic] if magic else None
    found = FileFormat.CSV if magic else _sniff_text(start.removeprefix(BOM))
    if not magic and given is not None and not _may_be(given, found, start):
        looks = {FileFormat.CSV: "CSV", FileFormat.TSV: "TSV", FileFormat.JSONL: "lines of JSON"}[found]
    if looks:
        raise InvalidDataset(
            [
                Problem(
                    f"the format was given as {given}, but " * (given is not None) + f"the content looks like {looks}"
                )
            ]
        )
    return given or found


def _sniff_text(start: bytes) -> FileFormat:
    if JSON_START.match(start):
        return FileFormat.JSONL
    return FileFormat.TSV if _delimiter(_header_line(start)) == "\t" else FileFormat.CSV


def _may_be(given: FileFormat, found: FileFormat, start: bytes) -> bool:
    """Whether a text file can be read as what was given: a header of one column is CSV and TSV alike."""
    if given is found:
        return True
    if FileFormat.JSONL in (given, found) or given is FileFormat.PARQUET:
        return False
    header = _header_line(start)
    return b"\t" in header if given is FileFormat.TSV else b"," in header or b"\t" not in header


def _header_line(start: bytes) -> bytes:
    return start.lstrip(b"\r\n").partition(b"\n")[0]


def _delimiter(header: bytes, among: str = ",\t;") -> str:
    """Return the delimiter that the header holds most of; the first where there is none or a tie."""
    return max(among, key=lambda each: header.count(each.encode()))


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
    delimiter = "\t" if file_format is FileFormat.TSV else _delimiter(_header_line(start), ",;")
    _, header = next(_csv_rows(path, delimiter, limits), (1, []))
    names = [name.strip() for name in header]
    _check_header(names, limits, line=1)
    return Table(tuple(names), lambda _: _named(_csv_rows(path, delimiter, limits), names))


def _csv_rows(path: Path, delimiter: str, limits: Limits) -> Iterator[tuple[int, list[str]]]:
    """Yield (first line, cells) of the header, then of the rows; a blank line is no row."""
    before = csv.field_size_limit(limits.max_row_bytes)  # is global; Lines is what bounds a row
    try:
        with path.open("rb") as file:
            yield from _csv_cells(Lines(file, limits.max_row_bytes), delimiter)
    finally:
        csv.field_size_limit(before)


def _csv_cells(lines: Lines, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    try:
        for cells in csv.reader(lines, delimiter=delimiter, strict=True):
            line = lines.end_row()
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
            told = f"{few} cells: {len(cells)} found, {width} expected ({', '.join(header[:10])})"
            yield RawRow(row, line, {}, told)


def _check_header(header: Sequence[str], limits: Limits, line: int | None = None) -> None:
    if len(header) > limits.max_columns:
        raise InvalidDataset([Problem(f"{len(header):,} columns, and {limits.max_columns:,} are the most", line=line)])
    if twice := sorted({name for name in header if header.count(name) > 1}):
        raise InvalidDataset([Problem(f"the header names {twice[0]!r} twice", field=twice[0], line=line)])
    if odd := [name for name in header if not_storable(name)]:
        raise InvalidDataset([Problem(f"the column name {odd[0]!r} holds {not_storable(odd[0])}", line=line)])


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
        lines = Lines(file, limits.max_row_bytes)
        row = 0
        for text in lines:
            line = lines.end_row()
            if text.strip():
                cells, problem = _parse_json(text)
                yield RawRow(row, line, cells, problem)
                row += 1


def _parse_json(text: str) -> tuple[dict[str, Any], str | None]:
    if text.lstrip().startswith("["):
        return {}, "a JSON array; one object a line is needed, with no brackets and commas between them"
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        return {}, f"not JSON: {error.msg} at character {error.pos}; one object a line is needed"
    except RecursionError:
        return {}, "JSON nested too deeply; one flat object a line is needed"
    except ValueError:
        return {}, "a number of thousands of digits; shorter ones are needed"
    if not isinstance(value, dict):
        return {}, f"a JSON {type(value).__name__}; one object a line is needed"
    return value, None


def _parquet(path: Path, limits: Limits) -> Table:
    """Parquet by small batches; the metadata, and the size of each batch, are checked against the limits."""
    try:
        with pq.ParquetFile(path) as file:
            schema, rows = file.schema_arrow, file.metadata.num_rows
    except UNREADABLE as error:
        raise InvalidDataset([Problem(f"not a Parquet file that can be read: {_told(error)}")]) from error
    _check_header(schema.names, limits)
    if rows > limits.max_rows:
        raise InvalidDataset([Problem(f"{rows:,} rows, and {limits.max_rows:,} are the most")])
    return Table(tuple(schema.names), lambda names: _parquet_rows(path, schema, names, limits))


def _parquet_rows(path: Path, schema: pa.Schema, names: Sequence[str], limits: Limits) -> Iterator[RawRow]:
    odd = [schema.field(name) for name in names if not _is_plain(schema.field(name).type)]
    if odd:
        raise InvalidDataset(
            [
                Problem(f"the column holds {field.type}; texts, numbers or booleans are needed", field.name)
                for field in odd
            ]
        )
    row = 0
    try:
        with pq.ParquetFile(path, buffer_size=2**20, pre_buffer=False) as file:
            size = _batch_rows(file.metadata, path.stat().st_size, limits)
            for batch in file.iter_batches(size, columns=list(names)):
                yield from _batch_of_rows(_cells(batch, row, limits), row)
                row += len(batch)
    except UNREADABLE as error:
        raise InvalidDataset([Problem(f"the Parquet file is damaged: {_told(error)}", row=row)]) from error


def _batch_of_rows(cells: dict[str, list[Any]], first: int) -> Iterator[RawRow]:
    for row, values in enumerate(zip(*cells.values(), strict=True), first):
        yield RawRow(row, None, dict(zip(cells, values, strict=True)))


def _batch_rows(metadata: pq.FileMetaData, file_bytes: int, limits: Limits) -> int:
    """Return how many rows to decode at once; fewer where the file compresses as no text does.

    Raises InvalidDataset where a row group of such a file is larger than a batch may be: one page could hold it all.
    Looks at row groups only: what is wrong with the metadata of a column aborts the process inside Arrow.
    """
    sizes: list[int] = [metadata.row_group(index).total_byte_size for index in range(metadata.num_row_groups)]
    if sum(sizes) <= BOMB_RATIO * file_bytes:
        return BATCH_ROWS
    most = max(sizes)
    if most > limits.max_batch_bytes:
        told = f"{file_bytes:,} bytes expand to {most / 2**20:,.0f} MiB at once: write smaller row groups"
        raise InvalidDataset([Problem(told)])
    return max(1, min(BATCH_ROWS, limits.max_batch_bytes // max(1, most)))


def _cells(batch: pa.RecordBatch, row: int, limits: Limits) -> dict[str, list[Any]]:
    """Return a batch's cells by column; `row` is the number of its first one."""
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
    return cells


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
