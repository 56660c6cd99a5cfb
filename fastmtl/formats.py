"""Which format a file is in: told by its first bytes, and by what the user says. Torch-free."""

from __future__ import annotations

import re
from enum import StrEnum
from pathlib import Path

from fastmtl.errors import InvalidDataset, Problem
from fastmtl.lines import BOM

SNIFF_BYTES = 65_536
JSON_START = re.compile(rb"\s*(\{|\[\s*(\{|\Z))")
EXCEL_DELIMITER = re.compile(rb"(?P<line>\"?(?i:sep)=.\"?)\r?", re.DOTALL)
"""What Excel takes as the delimiter of the lines that follow."""
DECOMPRESS, AS_CSV, AS_PARQUET = ": decompress it first", ": save it as CSV", ": save it as Parquet"
UNSUPPORTED = tuple(
    (re.compile(pattern, re.DOTALL), told)
    for pattern, told in (
        (rb"PARE", "an encrypted Parquet file: decrypt it first"),
        (rb"PK(\x03\x04|\x05\x06|\x07\x08)", f"a ZIP archive (an Excel workbook, perhaps){AS_CSV}"),
        (rb"\x1f\x8b", f"a gzip archive{DECOMPRESS}"),
        (rb"\(\xb5/\xfd", f"a zstd archive{DECOMPRESS}"),
        (rb"BZh[1-9](1AY&SY|\x17rE8P\x90)", f"a bzip2 archive{DECOMPRESS}"),
        (rb"\xfd7zXZ", f"an xz archive{DECOMPRESS}"),
        (rb"\x04\x22M\x18", f"an lz4 archive{DECOMPRESS}"),
        (rb"\xff\x06\0\0sNaPpY", f"a snappy archive{DECOMPRESS}"),
        (rb"7z\xbc\xaf|Rar!\x1a\x07|.{257}ustar", "an archive: unpack it first"),
        (rb"\xd0\xcf\x11\xe0", f"an old Excel workbook{AS_CSV}"),
        (rb"%PDF", "a PDF: save its rows as CSV"),
        (rb"\x80[\x01-\x05]", f"a Python pickle, which is never opened{AS_PARQUET}"),
        (rb"ARROW1|FEA1|\xff{4}.{3}\0", f"an Arrow or Feather file{AS_PARQUET}"),
        (rb"ORC.*[\0-\x08]", f"an ORC file{AS_PARQUET}"),
        (rb"Obj\x01", f"an Avro file{AS_PARQUET}"),
        (rb"\x93NUMPY|\x89HDF|SQLite format 3\0", f"a NumPy, HDF5 or SQLite file{AS_PARQUET}"),
        (rb"\x89PNG|\xff\xd8\xff|GIF8", "an image: rows of text are needed"),
        (rb"\x7fELF|MZ.{2,}This program", "a program: rows of text are needed"),
        (rb"\xff\xfe|\xfe\xff|\0\0\xfe\xff", "UTF-16 or UTF-32 text: save it as UTF-8"),
        (rb"(?i:\s*<(!doctype|html|\?xml))", "a web page or XML: is it what a download answered instead of the file?"),
        (rb"version https://git-lfs", "what Git LFS keeps in the place of a file: fetch the file itself"),
    )
)
"""How other files begin, and what to do about it."""


PARQUET_MAGIC = b"PAR1"


class FileFormat(StrEnum):
    """What a user may upload."""

    CSV = "csv"
    TSV = "tsv"
    JSONL = "jsonl"
    PARQUET = "parquet"


TEXTS = {FileFormat.CSV: "CSV", FileFormat.TSV: "TSV", FileFormat.JSONL: "lines of JSON"}


def sniff(path: Path, given: FileFormat | None) -> FileFormat:
    """Return the file's format; raises InvalidDataset where it is none of ours, or not the one that was given."""
    with path.open("rb") as file:
        start = file.read(SNIFF_BYTES)
        more = file.read(1)
    if not start.removeprefix(BOM).strip():
        told = f"the first {SNIFF_BYTES:,} bytes of the file are blank" if more else "the file is empty"
        raise InvalidDataset([Problem(f"{told}: a header and rows, or lines of JSON, are needed")])
    if start.startswith(PARQUET_MAGIC):
        if given in (None, FileFormat.PARQUET):
            return FileFormat.PARQUET
        raise _not_what_was_given(given, "a Parquet file")
    for pattern, told in UNSUPPORTED:
        if pattern.match(start):
            raise _not_what_was_given(given, told)
    _check_header(header_line(start.removeprefix(BOM)))
    found = _sniff_text(start.removeprefix(BOM))
    if given is not None and not _may_be(given, found, start):
        raise _not_what_was_given(given, TEXTS[found])
    return given or found


def _not_what_was_given(given: FileFormat | None, looks: str) -> InvalidDataset:
    said = "" if given is None else f"the format was given as {given}, but "
    return InvalidDataset([Problem(f"{said}the content looks like {looks}")])


def _sniff_text(start: bytes) -> FileFormat:
    if JSON_START.match(start):
        return FileFormat.JSONL
    return FileFormat.TSV if delimiter_of(header_line(start)) == "\t" else FileFormat.CSV


def _check_header(header: bytes) -> None:
    """Refuse a first line that is no header, where it is known what it is instead."""
    told = None
    if match := EXCEL_DELIMITER.fullmatch(header):
        told = f"the first line, {match['line'].decode()!r}, is for Excel alone: remove it"
    elif b"|" in header and not any(each in header for each in b",;\t{"):
        told = "cells are separated by '|': separate them by commas, semicolons or tabs"
    if told:
        raise InvalidDataset([Problem(told, line=1)])


def _may_be(given: FileFormat, found: FileFormat, start: bytes) -> bool:
    """Whether a text file can be read as what was given: a header of one column is CSV and TSV alike."""
    if given is found:
        return True
    if FileFormat.JSONL in (given, found) or given is FileFormat.PARQUET:
        return False
    header = header_line(start)
    return b"\t" in header if given is FileFormat.TSV else b"," in header or b"\t" not in header


def header_line(start: bytes) -> bytes:
    """Return the first line that is not blank."""
    return start.lstrip(b"\r\n").partition(b"\n")[0]


def delimiter_of(header: bytes, among: str = ",\t;") -> str:
    """Return the delimiter that the header holds most of; the first where there is none or a tie."""
    return max(among, key=lambda each: header.count(each.encode()))
