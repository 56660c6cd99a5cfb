"""A split's Parquet files as one, with the columns that are read and classes by their names. Torch-free."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from fastmtl.columns import Columns, resolve
from fastmtl.errors import InvalidDataset, Problem
from fastmtl.hub_card import Classes

ROWS_AT_ONCE = 8_192
MAX_PROBLEMS = 20
HIDDEN = -1
"""What `datasets` writes in the place of a class that is not told."""
MEND = ". Leave such rows out with the package datasets and upload that table (fastmtl.client)"


def write(files: Sequence[Path], target: Path, columns: Columns, card: Classes) -> Columns:
    """Write the rows of Parquet files, in order, to one, in bounded memory, and return which columns hold what.

    A row's number is its place in the split. Where neither the files nor the card name the classes, labels stay as they
    are. Raises InvalidDataset: columns that are not there, labels that are hidden or stand for no class.
    """
    try:
        schema = pq.read_schema(files[0])
        found = resolve(columns, schema.names)
        assert found.text_a is not None and found.label is not None, "resolve() settles both"
        kept = list(dict.fromkeys(name for name in (found.text_a, found.text_b, found.label) if name is not None))
        names = classes_of(schema).get(found.label) or card.get(found.label)
        labels = _Labels(found.label, names if pa.types.is_integer(schema.field(found.label).type) else None)
        _write(target, labels.named(_batches(files, kept)))
    except pa.ArrowException as error:
        raise InvalidDataset([Problem(f"the Parquet files on the hub cannot be read as one: {error}")]) from error
    labels.check()
    return found


def classes_of(schema: pa.Schema) -> Classes:
    """Return the names of classes that `datasets` wrote into a file's schema."""
    try:
        features = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"]
        found = {name: each["names"] for name, each in features.items() if each.get("_type") == "ClassLabel"}
    except (KeyError, ValueError, TypeError, AttributeError):
        return {}
    return {name: tuple(map(str, each)) for name, each in found.items() if isinstance(each, list)}


def _batches(files: Sequence[Path], columns: list[str]) -> Iterator[pa.Table]:
    for path in files:
        with pq.ParquetFile(path, pre_buffer=False) as file:
            if missing := [name for name in columns if name not in file.schema_arrow.names]:
                raise InvalidDataset([Problem(f"{path.name} has no column {missing[0]!r}, and the first file has")])
            for batch in file.iter_batches(ROWS_AT_ONCE, columns=columns):
                yield pa.Table.from_batches([batch]).select(columns).replace_schema_metadata(None)


def _write(target: Path, parts: Iterator[pa.Table]) -> None:
    first = next(parts, None)
    if first is None:
        raise InvalidDataset([Problem("the split has no rows")])
    with pq.ParquetWriter(target, first.schema, compression="zstd", store_schema=False) as writer:
        writer.write_table(first)
        for part in parts:
            writer.write_table(part.cast(first.schema))


class _Labels:
    """Puts names in the place of class indices, and takes note of those that stand for none."""

    def __init__(self, column: str, names: tuple[str, ...] | None) -> None:
        self._column, self._names = column, names
        self._rows = self._hidden = self._wrong = 0
        self._problems: list[Problem] = []

    def named(self, parts: Iterator[pa.Table]) -> Iterator[pa.Table]:
        """Yield the tables with labels by name."""
        for table in parts:
            values = table[self._column]
            if self._names is not None:
                texts = [self._name(self._names, value, self._rows + at) for at, value in enumerate(values.to_pylist())]
                place = table.column_names.index(self._column)
                table = table.set_column(place, self._column, pa.array(texts, pa.string()))
            elif pa.types.is_integer(values.type):
                self._hidden += values.to_pylist().count(HIDDEN)
            self._rows += len(table)
            yield table

    def check(self) -> None:
        """Raise InvalidDataset where labels are hidden, or stand for no class."""
        if self._rows and self._hidden == self._rows:
            told = f"every label is {HIDDEN}: those of this split are hidden, as in many test sets. Take another split"
            raise InvalidDataset([Problem(told, self._column)])
        if self._problems:
            raise InvalidDataset(self._problems, self._wrong)

    def _name(self, names: tuple[str, ...], value: Any, row: int) -> str | None:  # noqa: ANN401 - a cell
        if value is None or 0 <= value < len(names):
            return None if value is None else names[value]
        self._hidden += value == HIDDEN
        self._wrong += 1
        if self._wrong <= MAX_PROBLEMS:
            told = f"the label is {value}, and the classes are 0 to {len(names) - 1}"
            self._problems.append(Problem(told + ("" if self._problems else MEND), self._column, row))
        return None
