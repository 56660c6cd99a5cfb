"""A text file in blocks: as columns where all of a block is as it should be, else row by row. Torch-free.

What is odd in any way, even if it is allowed, is left to the row-by-row reader, so there is one place that says what is
wrong with a file, and in which words.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import BinaryIO, Protocol

import numpy as np
import pyarrow as pa

from fastmtl.lines import Lines, Place
from fastmtl.raw import Block, Limits, RawRow

BLOCK_BYTES = 4 * 2**20


class TextFormat(Protocol):
    """How the rows of a text file are read."""

    def rows(self, lines: Lines, until: int | None = None) -> Iterator[RawRow]:
        """Read row by row, to the end or to the first row that ends at this offset in the file or after it."""
        ...

    def whole(self, data: bytes) -> int:
        """Return how many bytes of the data, which begins with a row, are whole rows that may be read as columns."""
        ...

    def columns(self, data: bytes) -> pa.Table | None:
        """Return the columns of what `whole` found; None where the rows have to be read one by one."""
        ...


def read_blocks(path: Path, text: TextFormat, start: Place, limits: Limits, header: int = 0) -> Iterator[Block]:
    """Yield the rows from `start` on; `header` is how many that were read before are none of data."""
    size = min(BLOCK_BYTES, limits.max_row_bytes)  # so no row of a block is too long
    place = start
    with path.open("rb") as file:
        while data := _at(file, place.offset, size):
            part = data[: text.whole(data)]
            columns = text.columns(part) if 2 * len(part) >= len(data) else None
            first = place.filled - header
            if columns is not None:
                yield Block(first, columns, partial(_again, text, part, place, limits))
                place = place.after(len(part), _lines(part), len(columns))
            else:
                file.seek(place.offset)
                lines = Lines(file, limits.max_row_bytes, limits.max_blank_lines, place)
                yield Block(first, None, partial(text.rows, lines, place.offset + len(data)))
                assert lines.place.offset > place.offset, "a block's rows are read before the next block"
                place = lines.place


def is_text(data: bytes) -> bool:
    """Whether `Lines` would take it: UTF-8 without a NUL."""
    if b"\0" in data:
        return False
    if data.isascii():
        return True
    whole = pa.py_buffer(np.array([0, len(data)], dtype=np.int32))
    try:
        pa.StringArray.from_buffers(1, whole, pa.py_buffer(data)).validate(full=True)
    except pa.ArrowInvalid:
        return False
    return True


def _at(file: BinaryIO, offset: int, size: int) -> bytes:
    """Return the bytes from an offset on, the file's last line ended."""
    file.seek(offset)
    data = file.read(size)
    return data + b"\n" if 0 < len(data) < size and not data.endswith(b"\n") else data


def _lines(data: bytes) -> int:
    """Return how many lines end in the data: three times as fast as its own `count`."""
    return int(np.count_nonzero(np.frombuffer(data, dtype=np.uint8) == ord("\n")))


def _again(text: TextFormat, part: bytes, place: Place, limits: Limits) -> Iterator[RawRow]:
    return text.rows(Lines(BytesIO(part), limits.max_row_bytes, limits.max_blank_lines, place))
