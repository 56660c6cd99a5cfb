"""CSV and TSV, quoted as in RFC 4180: row by row, and in blocks of columns where nothing is odd. Torch-free.

Arrow reads a block only where Python's `csv`, told to be strict, would read the same cells: `whole` and `columns` see
to that. Arrow takes text after a closing quote, and a carriage return alone for the end of a line.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as arrow_csv

from fastmtl.blocks import is_text, read_blocks
from fastmtl.errors import cut
from fastmtl.formats import SNIFF_BYTES, FileFormat, delimiter_of, header_line
from fastmtl.lines import BOM, Lines
from fastmtl.raw import Block, Limits, RawRow, Table, check_header

QUOTE, NEWLINE, RETURN = b'"\n\r'


def open_delimited(path: Path, file_format: FileFormat, limits: Limits) -> Table:
    """Open CSV (comma, or semicolon where the header holds more of them) or TSV."""
    with path.open("rb") as file:
        start = file.read(SNIFF_BYTES).removeprefix(BOM)
        delimiter = "\t" if file_format is FileFormat.TSV else delimiter_of(header_line(start), ",;")
        file.seek(0)
        lines = Lines(file, limits.max_row_bytes, limits.max_blank_lines)
        _, header = next(_cells(lines, delimiter, limits), (1, []))
        names = tuple(name.strip() for name in header)
        check_header(names, limits, line=1)
        first = lines.place

    def rows(wanted: Sequence[str]) -> Iterator[RawRow]:
        with path.open("rb") as file:
            file.seek(first.offset)
            lines = Lines(file, limits.max_row_bytes, limits.max_blank_lines, first)
            yield from Delimited(delimiter, names, tuple(wanted), limits).rows(lines)

    def blocks(wanted: Sequence[str]) -> Iterator[Block]:
        return read_blocks(path, Delimited(delimiter, names, tuple(wanted), limits), first, limits, header=1)

    return Table(names, rows, blocks)


@dataclass(frozen=True)
class Delimited:
    """How the rows below a header are read."""

    delimiter: str
    names: tuple[str, ...]
    wanted: tuple[str, ...]
    limits: Limits

    def rows(self, lines: Lines, until: int | None = None) -> Iterator[RawRow]:
        """Give every cell its column's name; a row of another width is a problem."""
        width = len(self.names)
        row = lines.place.filled - 1
        for line, cells in _cells(lines, self.delimiter, self.limits):
            if len(cells) == width:
                yield RawRow(row, line, dict(zip(self.names, cells, strict=True)))
            else:
                few = "too few" if len(cells) < width else "too many"
                named = ", ".join(map(cut, self.names[:10]))
                yield RawRow(row, line, {}, f"{few} cells: {len(cells)} found, {width} expected ({named})")
            row += 1
            if until is not None and lines.place.offset >= until:
                return

    def whole(self, data: bytes) -> int:
        """Return how many bytes are whole rows; of those with quotes, where every quoted cell ends as it should."""
        if b'"' not in data:
            return data.rfind(b"\n") + 1
        if found := _whole_if_all_quotes_enclose(data, self.delimiter.encode()):
            return found
        match = self._quoted.match(data)
        return match.end() if match else 0

    def columns(self, data: bytes) -> pa.Table | None:
        """Return the columns asked for, as texts."""
        quoted = b'"' in data
        if not is_text(data) or _has_lone_return(data) or (not quoted and _has_blank(data)):
            return None
        names = {name: str(place) for place, name in enumerate(self.names)}
        columns = [names[name] for name in self.wanted]
        try:
            table = arrow_csv.read_csv(
                pa.BufferReader(data),
                arrow_csv.ReadOptions(use_threads=False, block_size=len(data) + 1, column_names=list(names.values())),
                arrow_csv.ParseOptions(delimiter=self.delimiter, newlines_in_values=quoted),
                arrow_csv.ConvertOptions(
                    check_utf8=False, column_types=dict.fromkeys(columns, pa.string()), include_columns=columns
                ),
            )
        except pa.ArrowInvalid:
            return None
        return table.rename_columns(list(self.wanted))

    @cached_property
    def _quoted(self) -> re.Pattern[bytes]:
        """Rows that are not blank, in which a quote opens a cell at its beginning only, and closes it at its end."""
        mark = re.escape(self.delimiter.encode())
        opened = rb'(?<![^%b\n])"' % mark
        closed = rb'[^"]*+(?:""[^"]*+)*+"(?=%b|\r?\n)' % mark
        inside = rb'(?<=[^%b\n])"' % mark
        row = rb'(?!\r?\n)(?:[^"\n]++|%b%b|%b)*+\n' % (opened, closed, inside)
        return re.compile(rb"(?:%b)*+" % row)


def _whole_if_all_quotes_enclose(data: bytes, delimiter: bytes) -> int:
    """Return how many bytes are whole rows without a blank line, where every quote encloses a cell or is doubled.

    Else 0. Quotes then open and close in turn, if a doubled one is taken to close its cell and to open it again.
    """
    chars = np.frombuffer(data, dtype=np.uint8)
    quotes = np.flatnonzero(chars == QUOTE)
    lines = np.flatnonzero(chars == NEWLINE)
    ends = lines[np.searchsorted(quotes, lines) % 2 == 0]  # a newline after an odd number of quotes is in a cell
    if not len(ends):
        return 0
    end = int(ends[-1]) + 1
    quotes = quotes[: np.searchsorted(quotes, end)]
    opening, closing = quotes[::2], quotes[1::2]
    doubled = closing[:-1] + 1 == opening[1:]
    mark = delimiter[0]
    before, after = chars[opening - 1], chars[closing + 1]
    begins = (before == mark) | (before == NEWLINE) | (opening == 0)
    finishes = (after == mark) | (after == NEWLINE)
    finishes |= (after == RETURN) & (chars[np.minimum(closing + 2, end - 1)] == NEWLINE)
    begins[1:] |= doubled
    finishes[:-1] |= doubled
    starts = np.concatenate([[0], ends[:-1] + 1])
    blank = (ends == starts) | ((ends == starts + 1) & (chars[starts] == RETURN))
    return end if begins.all() and finishes.all() and not blank.any() else 0


def _has_lone_return(data: bytes) -> bool:
    if b"\r" not in data:
        return False
    chars = np.frombuffer(data, dtype=np.uint8)
    return not bool(np.all(chars[np.flatnonzero(chars == RETURN) + 1] == NEWLINE))  # the last character is a newline


def _has_blank(data: bytes) -> bool:
    return data.startswith((b"\n", b"\r\n")) or b"\n\n" in data or b"\n\r\n" in data


def _cells(lines: Lines, delimiter: str, limits: Limits) -> Iterator[tuple[int, list[str]]]:
    """Yield (first line, cells) of every row; a blank line is no row."""
    before = csv.field_size_limit(limits.max_row_bytes)  # is global; Lines is what bounds a row
    try:
        for cells in csv.reader(lines, delimiter=delimiter, strict=True):
            line = lines.end_row(blank=not cells)
            if cells:
                yield line, cells
    except csv.Error as error:
        raise lines.wrong(_told(error), lines.end_row()) from error
    finally:
        csv.field_size_limit(before)


def _told(error: csv.Error) -> str:
    """Say in a user's words what the csv module found."""
    if "end of data" in str(error):
        return "a quote that opens in this row is never closed; a quote inside a quoted cell is written twice"
    if "expected after" in str(error):
        return "text follows a closing quote; a quote inside a quoted cell is written twice, and the cell quoted"
    if "new-line" in str(error):
        return "a carriage return stands alone: lines end with \\n or \\r\\n, and a cell that holds \\r is quoted"
    return str(error)
