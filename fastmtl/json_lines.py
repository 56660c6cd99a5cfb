"""One JSON object a line: row by row, and in blocks of columns where nothing is odd. Torch-free.

Arrow reads a block only where every row has keys of the first one's, and values of the same kinds: it then refuses what
Python's `json` refuses, and a key that stands there twice.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.json as arrow_json

from fastmtl.blocks import is_text, read_blocks
from fastmtl.errors import InvalidDataset, Problem, cut
from fastmtl.lines import START, Lines
from fastmtl.raw import Block, Limits, RawRow, Table, check_header

KINDS = {str: pa.string(), bool: pa.bool_(), int: pa.float64(), float: pa.float64()}
"""What a column is read as, by what its first cell holds: Python, too, takes 1 and 1.0 for the same label."""
EXACT = 2.0**53
"""Integers below it are floats of the same value."""


def open_json_lines(path: Path, limits: Limits) -> Table:
    """Open a file; the first row's keys are the columns."""

    def rows(_: Sequence[str] = ()) -> Iterator[RawRow]:
        with path.open("rb") as file:
            yield from JsonLines((), None).rows(Lines(file, limits.max_row_bytes, limits.max_blank_lines))

    first = next(rows())  # sniff() saw that the file is not blank
    if first.problem:
        raise InvalidDataset([Problem(first.problem, row=first.row, line=first.line)])
    check_header(tuple(first.cells), limits, first.line)

    def blocks(wanted: Sequence[str]) -> Iterator[Block]:
        return read_blocks(path, JsonLines(tuple(wanted), _schema(first.cells)), START, limits)

    return Table(tuple(first.cells), rows, blocks)


@dataclass(frozen=True)
class JsonLines:
    """How the rows are read."""

    wanted: tuple[str, ...]
    schema: pa.Schema | None
    """Of all the columns; None where they cannot be read by Arrow."""

    def rows(self, lines: Lines, until: int | None = None) -> Iterator[RawRow]:
        """Read an object a line; what is none is a problem."""
        row = lines.place.filled
        for text in lines:
            blank = text.isspace()
            line = lines.end_row(blank=blank)
            if not blank:
                cells, problem = _parse(text)
                yield RawRow(row, line, cells, problem)
                row += 1
            if until is not None and lines.place.offset >= until:
                return

    def whole(self, data: bytes) -> int:
        """Return how many bytes are whole lines."""
        return data.rfind(b"\n") + 1

    def columns(self, data: bytes) -> pa.Table | None:
        """Return the columns asked for: texts, float64 or booleans."""
        lines = data.count(b"\n")
        if self.schema is None or not _is_object_a_line(data, lines) or not is_text(data):
            return None
        try:
            table = arrow_json.read_json(
                pa.BufferReader(data),
                arrow_json.ReadOptions(use_threads=False, block_size=len(data) + 1),
                arrow_json.ParseOptions(explicit_schema=self.schema, unexpected_field_behavior="error"),
            )
            table.validate(full=True)
        except pa.ArrowInvalid:
            return None
        return table.select(list(self.wanted)) if len(table) == lines and _is_plain(table) else None


def _is_object_a_line(data: bytes, lines: int) -> bool:
    r"""Whether all lines begin with { and end with }: inside an object nowhere does } \n { stand."""
    between = data.count(b"}\n{") + data.count(b"}\r\n{")
    return data.startswith(b"{") and data.endswith((b"}\n", b"}\r\n")) and between == lines - 1


def _is_plain(table: pa.Table) -> bool:
    """Whether numbers are those that Python reads: none so large that as an integer it has more digits, and no -0."""
    for column in table.columns:
        if pa.types.is_floating(column.type):
            values = column.to_numpy()
            known = values[np.abs(values) < EXACT]  # null is NaN
            if len(known) + column.null_count < len(values) or np.any(np.signbit(known) & (known == 0)):
                return False
    return True


def _schema(cells: Mapping[str, Any]) -> pa.Schema | None:
    kinds = {name: pa.string() if value is None else KINDS.get(type(value)) for name, value in cells.items()}
    return None if None in kinds.values() else pa.schema(list(kinds.items()))


def _parse(text: str) -> tuple[dict[str, Any], str | None]:
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
