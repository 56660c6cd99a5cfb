"""Whether rows are fit to be kept: a block of them by its columns, or one by one with what is wrong. Torch-free."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from fastmtl.columns import Columns
from fastmtl.errors import InvalidDataset, Problem
from fastmtl.labels import Label, Labels
from fastmtl.raw import Block, Limits, RawRow, Table, not_storable
from fastmtl.tally import Statistics

MAX_PROBLEMS = 20
AT_ONCE_ROWS, AT_ONCE_CHARS = 8_192, 2**20
"""Rows that were read one by one are handed on in such lots."""
SCHEMA = pa.schema([("text_a", pa.string()), ("text_b", pa.string()), ("label", pa.string())])

Lengths = npt.NDArray[np.int64]


class Good(NamedTuple):
    """Rows that are fit to be kept."""

    texts: pa.Table
    """As SCHEMA has it: labels are still texts."""
    lengths: Lengths
    """Characters of each row, both texts together."""


class Texts(NamedTuple):
    """Texts of a column, and their characters."""

    texts: pa.Array
    lengths: Lengths


class Row(NamedTuple):
    """One of them."""

    row: int
    text_a: str
    text_b: str | None
    label: str


@dataclass(frozen=True)
class Checks:
    """What is asked of rows, and what is learnt from them."""

    columns: Columns
    unused: str | None
    """A column for second texts that is empty in the first row, and has to be so in all."""
    labels: Labels
    statistics: Statistics
    limits: Limits

    def of(self, table: Table) -> Iterator[Good]:
        """Yield the rows that are fit; raises InvalidDataset with all that is wrong, up to a number."""
        problems: list[Problem] = []
        names = (self.columns.text_a, self.columns.text_b or self.unused, self.columns.label)
        try:
            for block in table.blocks([name for name in names if name is not None]):
                good = self._block(block)
                if good is None:
                    yield from self._rows(block, problems)
                elif not problems:
                    yield good
                if len(problems) >= MAX_PROBLEMS:
                    break
        except InvalidDataset as error:  # the reader cannot go on; what was found before still counts
            problems += error.problems
            raise InvalidDataset(problems[:MAX_PROBLEMS]) from error
        if problems:
            raise InvalidDataset(problems[:MAX_PROBLEMS])
        if not self.statistics.rows:
            raise InvalidDataset([Problem("the file has no rows: only a header, or not even that")])

    def _block(self, block: Block) -> Good | None:
        """Take note of all rows of a block and return them; None where any may be wrong."""
        table = block.columns
        if table is None or block.row + len(table) > self.limits.max_rows:
            return None
        if self.unused and not _is_empty(table[self.unused]):
            return None
        names = [name for name in (self.columns.text_a, self.columns.text_b) if name is not None]
        texts = [found for name in names if (found := _texts(table[name], self.limits))]
        label = self._labels(table[self.columns.label]) if len(texts) == len(names) else None
        if label is None:
            return None
        lengths: Lengths = np.sum([found.lengths for found in texts], axis=0)
        text_a, text_b = texts[0].texts, texts[1].texts if len(texts) == 2 else None
        self.statistics.add_all(block.row, text_a, text_b, label, lengths)
        second = pa.nulls(len(table), pa.string()) if text_b is None else text_b
        return Good(pa.Table.from_arrays([text_a, second, label], schema=SCHEMA), lengths)

    def _labels(self, column: pa.ChunkedArray) -> pa.Array | None:
        """Take note of labels and return their texts; None where any is not one."""
        if column.null_count or pa.types.is_float16(column.type):
            return None
        encoded = _usual(column).dictionary_encode()
        labels: list[Label] = []
        for value in encoded.dictionary.to_pylist():
            label = None if _wrong_label(value, self.limits) else self.labels.read(value)[0]
            if label is None:
                return None
            labels.append(label)
        times = np.bincount(encoded.indices.to_numpy(), minlength=len(labels))
        for label, count in zip(labels, times.tolist(), strict=True):
            self.labels.note(label, count)
        return pa.array([label.text for label in labels], pa.string()).take(encoded.indices)

    def _rows(self, block: Block, problems: list[Problem]) -> Iterator[Good]:
        """Yield a block's rows, read one by one, until one is wrong; what is wrong is added to `problems`."""
        held: list[Row] = []
        chars = 0
        for raw in block.rows():
            if raw.row >= self.limits.max_rows:
                raise InvalidDataset([Problem(f"more than {self.limits.max_rows:,} rows", row=raw.row, line=raw.line)])
            row, wrong = self._row(raw)
            problems += wrong
            if len(problems) >= MAX_PROBLEMS:
                return
            if row is None or problems:
                continue
            self.statistics.add(*row)
            held.append(row)
            chars += len(row.text_a) + len(row.text_b or "")
            if len(held) == AT_ONCE_ROWS or chars >= AT_ONCE_CHARS:
                yield _good(held)
                held, chars = [], 0
        if held and not problems:
            yield _good(held)

    def _row(self, raw: RawRow) -> tuple[Row | None, list[Problem]]:
        """Return a row, or what is wrong with it."""
        if raw.problem:
            return None, [Problem(raw.problem, row=raw.row, line=raw.line)]
        if self.unused and raw.cells.get(self.unused):
            filled = f"column {self.unused!r} is filled here, but empty in row 0: all rows are pairs, or none is"
            return None, [Problem(filled, row=raw.row, line=raw.line)]
        columns = self.columns
        assert columns.text_a is not None and columns.label is not None, "resolve() settles both"
        wrong = []
        for name in (columns.text_a, columns.text_b):
            if name is not None and (told := _wrong_text(raw, name, self.limits)):
                wrong.append(Problem(told, name, raw.row, raw.line))
        value, label = raw.cells.get(columns.label), None
        told = _wrong_label(value, self.limits)
        if not told:
            label, told = self.labels.add(value)
        if told:
            wrong.append(Problem(told, columns.label, raw.row, raw.line))
        if wrong or label is None:
            return None, wrong
        text_b = raw.cells[columns.text_b] if columns.text_b else None
        return Row(raw.row, raw.cells[columns.text_a], text_b, label), []


def _good(rows: list[Row]) -> Good:
    _, *columns = zip(*rows, strict=True)
    lengths = np.array([len(row.text_a) + len(row.text_b or "") for row in rows], dtype=np.int64)
    return Good(pa.table([list(column) for column in columns], schema=SCHEMA), lengths)


def _texts(column: pa.ChunkedArray, limits: Limits) -> Texts | None:
    """Return a column's texts; None where any is wrong."""
    texts = _usual(column)
    if texts.type != pa.string() or texts.null_count:
        return None
    lengths = pc.utf8_length(texts).to_numpy()
    if not 0 < lengths.min() <= lengths.max() <= limits.max_text_chars or _may_be_blank_or_odd(texts):
        return None
    return Texts(texts, lengths)


def _may_be_blank_or_odd(texts: pa.Array) -> bool:
    """Whether any of some texts, none of which is empty, is all blank or holds a NUL."""
    _, places, content = texts.buffers()
    data = np.frombuffer(content, dtype=np.uint8)
    starts = np.frombuffer(places, dtype=np.int32)[texts.offset : texts.offset + len(texts)]
    first = data[starts]
    doubtful = np.flatnonzero((first <= ord(" ")) | (first > ord("~")))
    return bool(data.min() == 0) or bool(pc.any(pc.utf8_is_space(texts.take(doubtful))).as_py())


def _usual(column: pa.ChunkedArray) -> pa.Array:
    """Return a column in one piece, its texts as `pa.string()`."""
    whole = column.combine_chunks()
    return whole.cast(pa.string()) if whole.type in (pa.large_string(), pa.string_view()) else whole


def _is_empty(column: pa.ChunkedArray) -> bool:
    """Whether no cell holds anything."""
    if not pa.types.is_string(column.type):
        return bool(column.null_count == len(column))
    return not bool(pc.any(pc.not_equal(pc.binary_length(column), 0)).as_py())


def _wrong_text(raw: RawRow, name: str, limits: Limits) -> str | None:
    """Return what is wrong with a text cell."""
    if name not in raw.cells:
        return f"the row has no key {name!r}"
    value = raw.cells[name]
    if value is None:
        return "the text is missing"
    if not isinstance(value, str):
        return f"a text is needed, found {type(value).__name__}"
    if not value or value.isspace():
        return "the text is empty"
    if len(value) > limits.max_text_chars:
        return f"the text has {len(value):,} characters, and {limits.max_text_chars:,} are the most"
    odd = not_storable(value)
    return f"the text holds {odd}" if odd else None


def _wrong_label(value: object, limits: Limits) -> str | None:
    """Return what keeps a label from being stored; what it means is for Labels to say."""
    if isinstance(value, int) and not isinstance(value, bool):
        digits = int(value.bit_length() * 0.30103)  # log10(2); to write it out may be refused
        return f"the label is a number of some {digits:,} digits" if digits > limits.max_label_chars else None
    if not isinstance(value, str):
        return None
    if len(value) > limits.max_label_chars:
        return f"the label has {len(value):,} characters, and {limits.max_label_chars:,} are the most"
    odd = not_storable(value)
    return f"the label holds {odd}" if odd else None
