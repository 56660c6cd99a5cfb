"""User files as a stream of raw rows: what a cell holds and where it stands, in bounded memory.

A reader yields `RawRow`s, marked where something is wrong with one row, and raises `InvalidDataset` for what is wrong
with the file. Torch-free.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from fastmtl.errors import InvalidDataset, Problem

SNIFF_BYTES = 65_536
BATCH_ROWS = 4_096
BOM = b"\xef\xbb\xbf"
MAGIC = {
    b"PAR1": "a Parquet file",
    b"PK\x03\x04": "a ZIP archive (an Excel workbook, perhaps): save it as CSV",
    b"\x1f\x8b": "gzip-compressed: decompress it first",
    b"(\xb5/\xfd": "zstd-compressed: decompress it first",
    b"\xd0\xcf\x11\xe0": "an old Excel workbook: save it as CSV",
    b"%PDF": "a PDF",
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
    max_labels: int = 1_000
    max_columns: int = 1_000
    max_batch_bytes: int = 200 * 2**20
    max_line_bytes: int = 8 * 2**20


@dataclass(frozen=True)
class RawRow:
    """One row as it stands in the file; `line` is None where the format has no lines."""

    row: int
    line: int | None
    cells: Mapping[str, Any]
    problem: str | None = None
    """What is wrong with the row as a whole; `cells` is then empty."""


@dataclass(frozen=True)
class Table:
    """A file that is open for reading: its columns and its rows."""

    columns: tuple[str, ...]
    rows: Iterator[RawRow]


def sniff(path: Path, given: FileFormat | None) -> FileFormat:
    """Return the file's format; raises InvalidDataset where it is none of ours, or not the one that was given."""
    with path.open("rb") as file:
        start = file.read(SNIFF_BYTES)
    if not start.strip():
        raise InvalidDataset([Problem("the file is empty: a header and rows, or lines of JSON, are needed")])
    looks = next((told for magic, told in MAGIC.items() if start.startswith(magic)), None)
    is_parquet = start.startswith(b"PAR1")
    if looks and (not is_parquet or given not in (None, FileFormat.PARQUET)):
        wanted = f"the format was given as {given}, but " if given else ""
        raise InvalidDataset([Problem(f"{wanted}the content looks like {looks}")])
    if is_parquet:
        return FileFormat.PARQUET
    found = _sniff_text(start.removeprefix(BOM))
    if given is FileFormat.PARQUET or (given is FileFormat.JSONL) != (found is FileFormat.JSONL):
        told = {"csv": "CSV", "tsv": "TSV", "jsonl": "lines of JSON"}[found]
        if given is not None:
            raise InvalidDataset([Problem(f"the format was given as {given}, but the content looks like {told}")])
    return given or found


def _sniff_text(start: bytes) -> FileFormat:
    if start.lstrip().startswith((b"{", b"[")):
        return FileFormat.JSONL
    header = start.splitlines()[0]
    return FileFormat.TSV if b"\t" in header and b"," not in header else FileFormat.CSV


def open_table(path: Path, file_format: FileFormat, limits: Limits) -> Table:
    """Open a file; nothing but its header or metadata is read before the rows are asked for."""
    if file_format is FileFormat.PARQUET:
        return _parquet(path, limits)
    if file_format is FileFormat.JSONL:
        return _jsonl(path, limits)
    return _delimited(path, file_format, limits)


class _Lines:
    """Decoded lines of a file, counted, and each bounded in length."""

    def __init__(self, file: BinaryIO, limits: Limits) -> None:
        self._file = file
        self._limit = limits.max_line_bytes
        self._offset = 0
        self.line = 0

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        raw = self._file.readline(self._limit + 1)
        if not raw:
            raise StopIteration
        self.line += 1
        if len(raw) > self._limit:
            raise InvalidDataset([Problem(f"line {self.line} is longer than {self._limit:,} bytes", line=self.line)])
        text = raw.removeprefix(BOM) if self.line == 1 else raw
        try:
            decoded = text.decode("utf-8")
        except UnicodeDecodeError as error:
            at = self._offset + len(raw) - len(text) + error.start
            raise InvalidDataset(
                [
                    Problem(
                        f"line {self.line} is not UTF-8: byte 0x{text[error.start]:02x} at offset {at}; "
                        "save the file as UTF-8",
                        line=self.line,
                    )
                ]
            ) from error
        if "\0" in decoded:
            raise InvalidDataset([Problem(f"line {self.line} holds a NUL byte: is this a text file?", line=self.line)])
        self._offset += len(raw)
        return decoded


def _delimited(path: Path, file_format: FileFormat, limits: Limits) -> Table:
    """CSV (comma or, where the header has no comma, semicolon) or TSV, quoted as in RFC 4180."""
    with path.open("rb") as file:
        lines = _Lines(file, limits)
        first = next(lines, "")
    if file_format is FileFormat.TSV:
        delimiter = "\t"
    else:
        delimiter = ";" if ";" in first and "," not in first else ","
    rows = _csv_rows(path, delimiter, limits)
    header = next(rows).cells["header"]
    _check_header(header, limits)
    return Table(tuple(header), _named(rows, header))


def _csv_rows(path: Path, delimiter: str, limits: Limits) -> Iterator[RawRow]:
    """Yield the header, then the rows, each as one list under the key `header` or `cells`."""
    csv.field_size_limit(limits.max_line_bytes)
    with path.open("rb") as file:
        lines = _Lines(file, limits)
        reader = csv.reader(lines, delimiter=delimiter, strict=True)
        try:
            yield RawRow(-1, 1, {"header": [name.strip() for name in next(reader, [])]})
            row = 0
            before = lines.line
            for cells in reader:
                if cells:  # a blank line is no row
                    yield RawRow(row, before + 1, {"cells": cells})
                    row += 1
                before = lines.line
        except csv.Error as error:
            raise InvalidDataset(
                [Problem(f"line {lines.line} is not valid {delimiter!r}-separated text: {error}", line=lines.line)]
            ) from error


def _named(rows: Iterator[RawRow], header: Sequence[str]) -> Iterator[RawRow]:
    """Give every cell its column's name; a row of another width is a problem."""
    for raw in rows:
        cells = raw.cells["cells"]
        if len(cells) == len(header):
            yield RawRow(raw.row, raw.line, dict(zip(header, cells, strict=True)))
        else:
            few = "too few" if len(cells) < len(header) else "too many"
            told = f"{few} cells: {len(cells)} found, {len(header)} expected ({', '.join(header[:10])})"
            yield RawRow(raw.row, raw.line, {}, told)


def _check_header(header: Sequence[str], limits: Limits) -> None:
    if len(header) > limits.max_columns:
        raise InvalidDataset([Problem(f"{len(header):,} columns, and {limits.max_columns:,} are the most")])
    if twice := sorted({name for name in header if header.count(name) > 1}):
        raise InvalidDataset([Problem(f"the header names {twice[0]!r} twice", field=twice[0], line=1)])


def _jsonl(path: Path, limits: Limits) -> Table:
    """One JSON object a line; the first row's keys are the columns."""
    rows = _json_rows(path, limits)
    first = next(rows, None)
    if first is None:
        raise InvalidDataset([Problem("the file is empty")])
    columns = tuple(first.cells)
    if first.problem:
        raise InvalidDataset([Problem(first.problem, row=first.row, line=first.line)])
    _check_header(columns, limits)
    return Table(columns, _json_rows(path, limits))


def _json_rows(path: Path, limits: Limits) -> Iterator[RawRow]:
    with path.open("rb") as file:
        lines = _Lines(file, limits)
        row = 0
        for text in lines:
            if text.strip():
                cells, problem = _parse_json(text)
                yield RawRow(row, lines.line, cells, problem)
                row += 1


def _parse_json(text: str) -> tuple[dict[str, Any], str | None]:
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        return {}, f"not JSON: {error.msg} at character {error.pos}; one object a line is needed"
    except RecursionError:
        return {}, "JSON nested too deeply; one flat object a line is needed"
    except ValueError as error:  # an integer of thousands of digits
        return {}, f"not JSON that can be read: {error}"
    if not isinstance(value, dict):
        return {}, f"a JSON {type(value).__name__}, and an object is needed"
    return value, None


def _parquet(path: Path, limits: Limits) -> Table:
    """Parquet by small batches; metadata, and the size of each batch, are checked against the limits."""
    try:
        file = pq.ParquetFile(path)
        schema = file.schema_arrow
    except (pa.ArrowException, OSError) as error:
        raise InvalidDataset([Problem(f"not a Parquet file that can be read: {_first_line(error)}")]) from error
    _check_header(schema.names, limits)
    biggest = max(
        (file.metadata.row_group(group).total_byte_size for group in range(file.metadata.num_row_groups)), default=0
    )
    if file.metadata.num_rows > limits.max_rows:
        raise InvalidDataset([Problem(f"{file.metadata.num_rows:,} rows, and {limits.max_rows:,} are the most")])
    if biggest > 10 * limits.max_batch_bytes:
        raise InvalidDataset(
            [Problem(f"a row group of {biggest / 2**20:,.0f} MiB: write the file with smaller row groups")]
        )
    usable = [field.name for field in schema if _is_plain(field.type)]
    return Table(tuple(schema.names), _parquet_rows(file, usable, limits))


def _parquet_rows(file: pq.ParquetFile, columns: Sequence[str], limits: Limits) -> Iterator[RawRow]:
    row = 0
    try:
        for batch in file.iter_batches(batch_size=BATCH_ROWS, columns=list(columns)):
            if batch.nbytes > limits.max_batch_bytes:
                raise InvalidDataset(
                    [
                        Problem(
                            f"rows {row} to {row + len(batch) - 1} expand to {batch.nbytes / 2**20:,.0f} MiB", row=row
                        )
                    ]
                )
            for cells in batch.to_pylist():
                yield RawRow(row, None, cells)
                row += 1
    except (pa.ArrowException, OSError) as error:
        raise InvalidDataset([Problem(f"the Parquet file is damaged: {_first_line(error)}", row=row)]) from error


def _is_plain(kind: pa.DataType) -> bool:
    """Whether a column's cells are texts, numbers or booleans."""
    while pa.types.is_dictionary(kind):
        kind = kind.value_type
    checks = (pa.types.is_string, pa.types.is_large_string, pa.types.is_integer, pa.types.is_floating)
    return any(check(kind) for check in (*checks, pa.types.is_boolean, pa.types.is_string_view, pa.types.is_null))


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0][:200] if str(error).strip() else type(error).__name__
