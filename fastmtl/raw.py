"""What every reader of user files gives: a table's rows as they stand in the file, one by one or as blocks of columns.

Torch-free.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import pyarrow as pa

from fastmtl.errors import InvalidDataset, Problem, cut


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


class Block(NamedTuple):
    """Rows that follow one another in a file."""

    row: int
    """The number of the first one."""
    columns: pa.Table | None
    """The columns asked for, every row as `rows` would read it; None where the file has to be read row by row."""
    rows: Callable[[], Iterator[RawRow]]
    """Reads the same rows one by one, with all that is wrong with them; to be read to its end before the next block."""


@dataclass(frozen=True)
class Table:
    """A file's columns, and its rows: at least the columns of the names given, from the first row on."""

    columns: tuple[str, ...]
    rows: Callable[[Sequence[str]], Iterator[RawRow]]
    blocks: Callable[[Sequence[str]], Iterator[Block]]


def check_header(header: Sequence[str], limits: Limits, line: int | None = None) -> None:
    """Refuse names of columns that cannot be kept, or are too many."""
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
