"""The lines of a text file: decoded, counted, and bounded row by row. Torch-free."""

from __future__ import annotations

from typing import BinaryIO, NamedTuple

from fastmtl.errors import InvalidDataset, Problem

BOM = b"\xef\xbb\xbf"
BLANK_PER_ROW = 10


class Place(NamedTuple):
    """Where a row begins: what stands before it in the file."""

    offset: int = 0
    """In bytes."""
    lines: int = 0
    filled: int = 0
    """Rows, a header among them."""
    blank: int = 0
    """Lines that are blank."""

    def after(self, size: int, lines: int, rows: int) -> Place:
        """Return where the row after so many bytes begins, none of whose lines are blank."""
        return Place(self.offset + size, self.lines + lines, self.filled + rows, self.blank)


START = Place()


class Lines:
    """Decoded lines of a file, counted; those of one row are bounded in length, all together."""

    def __init__(self, file: BinaryIO, limit: int, max_blank: int, start: Place = START) -> None:
        """`file` stands at `start`."""
        self._file = file
        self._limit = limit
        self._max_blank = max_blank
        self._filled, self._blank = start.filled, start.blank
        self._offset = start.offset
        self._row_bytes = 0
        self._row_line = start.lines + 1
        self.line = start.lines

    def __iter__(self) -> Lines:
        """Lines are read once."""
        return self

    def __next__(self) -> str:
        """Return the next line; raises InvalidDataset where it is not UTF-8, holds a NUL or makes a row too long."""
        raw = self._file.readline(self._limit + 1)
        if not raw:
            raise StopIteration
        self.line += 1
        self._row_bytes += len(raw)
        if self._row_bytes > self._limit:
            told = f"the row is longer than {self._limit:,} bytes: is there a quote that is never closed?"
            raise self.wrong(told, self._row_line)
        text = raw.removeprefix(BOM) if self.line == 1 else raw
        try:
            decoded = text.decode("utf-8")
        except UnicodeDecodeError as error:
            at = self._offset + len(raw) - len(text) + error.start
            told = f"not UTF-8: byte 0x{text[error.start]:02x} at offset {at}; save the file as UTF-8"
            raise self.wrong(told) from error
        if "\0" in decoded:
            at = self._offset + raw.index(b"\0")
            raise self.wrong(f"a NUL byte at offset {at}: is this a text file?")
        self._offset += len(raw)
        return decoded

    @property
    def place(self) -> Place:
        """Where the next row begins, once `end_row` was called for the one before."""
        return Place(self._offset, self.line, self._filled, self._blank)

    def end_row(self, *, blank: bool = False) -> int:
        """Begin to count another row; return the first line of the one that ended.

        Raises InvalidDataset where too many were blank: BLANK_PER_ROW for each that was not, and some besides.
        """
        first, self._row_line, self._row_bytes = self._row_line, self.line + 1, 0
        self._blank += blank
        self._filled += not blank
        if self._blank > self._max_blank + BLANK_PER_ROW * self._filled:
            raise self.wrong(f"{self._blank:,} blank lines, and only {self._filled:,} others")
        return first

    def wrong(self, told: str, line: int | None = None) -> InvalidDataset:
        """Return what is wrong with a line, the present one if None."""
        line = line or self.line
        return InvalidDataset([Problem(f"line {line}: {told}", line=line)])
