"""What a Parquet file would ask of whoever reads it, from its footer and the headers of its pages alone.

A page is decompressed as a whole into as much memory as its header says, whatever the footer claims; a dictionary's
entry can stand in every row; and how many rows there are costs nothing to claim. So all three are looked at before
Arrow reads a byte: in Python, where a forged length is an exception, not the end of the process. Torch-free.
(github.com/apache/parquet-format, README.md and parquet.thrift)
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import BinaryIO, NamedTuple

from fastmtl.errors import InvalidDataset, Problem
from fastmtl.thrift import Incomplete, Malformed, Reader, Struct, Value

MAGIC = b"PAR1"
ENCRYPTED = b"PARE"
TAIL_BYTES = 8
"""At the end: the footer's length, four bytes, and the magic."""
MAX_FOOTER_BYTES = 16 * 2**20
MAX_PAGES = 1_000_000
HEADER_BYTES = (256, 2**14, 2**20)
"""How much is read of a page to find its header; the last is the most that a header may take."""
FREE_ROWS, ROWS_PER_BYTE = 200_000, 8
"""A file may hold so many rows, and more by its size: rows that differ take some bytes each."""

# Field numbers of parquet.thrift.
ROWS, GROUPS, ENCRYPTION = 3, 4, 8
GROUP_COLUMNS, GROUP_ROWS = 1, 3
CHUNK_FILE, CHUNK_METADATA, CHUNK_ENCRYPTION = 1, 3, 8
COMPRESSED_SIZE, DATA_OFFSET, DICTIONARY_OFFSET = 7, 9, 11
UNCOMPRESSED_PAGE, COMPRESSED_PAGE = 2, 3


class Chunk(NamedTuple):
    """A column's bytes in one row group."""

    start: int
    end: int


@dataclass(frozen=True)
class Layout:
    """What the footer says."""

    rows: int
    groups: tuple[tuple[Chunk, ...], ...]
    """Of every row group a chunk for each column; a list's or a struct's parts count as columns of their own."""


def read_layout(path: Path, max_rows: int) -> Layout:
    """Read a file's footer. Raises InvalidDataset where it is damaged, encrypted, or claims what cannot be."""
    size = path.stat().st_size
    with path.open("rb") as file:
        footer = _footer(file, size)
    try:
        layout = _layout(Reader(footer).struct())
    except KeyError as error:
        raise _damaged("its footer is incomplete") from error
    except (Malformed, TypeError, ValueError) as error:
        raise _damaged(f"its footer cannot be read: {error}") from error
    if layout.rows > max_rows:
        raise InvalidDataset([Problem(f"{layout.rows:,} rows, and {max_rows:,} are the most")])
    if layout.rows > FREE_ROWS + ROWS_PER_BYTE * size:
        told = f"{size:,} bytes claim to hold {layout.rows:,} rows: no rows that differ take so little"
        raise InvalidDataset([Problem(told)])
    return layout


def largest_pages(path: Path, layout: Layout, columns: Mapping[str, int], max_bytes: int) -> int:
    """Return the bytes that the largest page of each of these columns takes once decompressed, all together.

    `columns` gives their places among the chunks. Raises InvalidDataset for a page that takes more than `max_bytes`,
    or where the headers cannot be read.
    """
    largest = dict.fromkeys(columns, 0)
    pages = 0
    with path.open("rb") as file:
        for group, (name, place) in product(layout.groups, columns.items()):
            if place >= len(group):
                raise _damaged("a row group lacks a column")
            for size in _pages(file, name, group[place]):
                pages += 1
                if size > max_bytes:
                    told = f"a page expands to {size / 2**20:,.0f} MiB at once: write smaller pages or row groups"
                    raise InvalidDataset([Problem(told, name)])
                if pages > MAX_PAGES:
                    raise InvalidDataset([Problem(f"more than {MAX_PAGES:,} pages: write larger ones")])
                largest[name] = max(largest[name], size)
    return sum(largest.values())


def _footer(file: BinaryIO, size: int) -> bytes:
    """Return the footer's bytes."""
    if size < len(MAGIC) + TAIL_BYTES:
        raise _damaged("it is too short")
    file.seek(size - TAIL_BYTES)
    tail = file.read(TAIL_BYTES)
    if tail[4:] == ENCRYPTED:
        raise _encrypted()
    if tail[4:] != MAGIC:
        raise _damaged("its end is missing, was it cut short?")
    length = int.from_bytes(tail[:4], "little")
    if length > size - len(MAGIC) - TAIL_BYTES:
        raise _damaged("its footer is longer than the file")
    if length > MAX_FOOTER_BYTES:
        told = f"its footer has {length / 2**20:,.0f} MiB, and {MAX_FOOTER_BYTES / 2**20:,.0f} are the most"
        raise InvalidDataset([Problem(f"{told}: write fewer row groups, or fewer columns")])
    file.seek(size - TAIL_BYTES - length)
    return file.read(length)


def _layout(footer: Struct) -> Layout:
    if ENCRYPTION in footer:
        raise _encrypted()
    rows, groups = _integer(footer[ROWS]), _structs(footer[GROUPS])
    counted = sum(_integer(group[GROUP_ROWS]) for group in groups)
    if rows != counted or rows < 0:
        raise ValueError(f"{rows:,} rows are claimed, and the row groups hold {counted:,}")
    return Layout(rows, tuple(tuple(map(_chunk, _structs(group[GROUP_COLUMNS]))) for group in groups))


def _chunk(column: Struct) -> Chunk:
    if CHUNK_ENCRYPTION in column:
        raise _encrypted()
    metadata = column[CHUNK_METADATA]
    if CHUNK_FILE in column or not isinstance(metadata, dict):
        raise ValueError("a column stands in another file")
    size = _integer(metadata[COMPRESSED_SIZE])
    pages = (_integer(metadata[DATA_OFFSET]), _integer(metadata.get(DICTIONARY_OFFSET, 0)))
    start = min((each for each in pages if each != 0), default=len(MAGIC))  # a group without rows may have no page
    if start < len(MAGIC) or size < 0:
        raise ValueError("a column stands outside the file")
    return Chunk(start, start + size)


def _pages(file: BinaryIO, name: str, chunk: Chunk) -> Iterator[int]:
    """Yield the decompressed size of every page."""
    position = chunk.start
    while position < chunk.end:
        try:
            header, length = _page_header(file, position)
            size, there = _integer(header[UNCOMPRESSED_PAGE]), _integer(header[COMPRESSED_PAGE])
        except (Malformed, KeyError, TypeError) as error:
            raise _damaged(f"a page of column {name!r} has no header") from error
        if size < 0 or there < 0:
            raise _damaged(f"a page of column {name!r} has a negative size")
        yield size
        position += length + there


def _page_header(file: BinaryIO, position: int) -> tuple[Struct, int]:
    """Return a page's header and its length."""
    for most in HEADER_BYTES:
        file.seek(position)
        reader = Reader(file.read(most))
        try:
            return reader.struct(), reader.position
        except Incomplete:
            if most == HEADER_BYTES[-1]:
                raise
    raise AssertionError("unreachable")


def _integer(value: Value) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError("no number where one is needed")
    return value


def _structs(value: Value) -> list[Struct]:
    if not isinstance(value, list) or not all(isinstance(each, dict) for each in value):
        raise TypeError("no list where one is needed")
    return [each for each in value if isinstance(each, dict)]


def _encrypted() -> InvalidDataset:
    return InvalidDataset([Problem("the Parquet file is encrypted: decrypt it first")])


def _damaged(told: str) -> InvalidDataset:
    return InvalidDataset([Problem(f"not a Parquet file that can be read: {told}")])
