"""What a job chose, as tables: the selection, and the chosen rows with their texts. Torch-free."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import pyarrow as pa

from fastmtl.client import frames

if TYPE_CHECKING:
    import datasets
    import pandas as pd
    import polars as pl


@dataclass(frozen=True)
class Rows:
    """A table of chosen rows."""

    table: pa.Table

    def __len__(self) -> int:
        """Return how many rows it has."""
        return int(self.table.num_rows)

    def to_arrow(self) -> pa.Table:
        """Return it as an Arrow table."""
        return self.table

    def to_pandas(self) -> pd.DataFrame:
        """Return it as a DataFrame of pandas. Raises MissingPackage."""
        return frames.to_pandas(self.table)

    def to_polars(self) -> pl.DataFrame:
        """Return it as a DataFrame of polars. Raises MissingPackage."""
        return frames.to_polars(self.table)

    def to_dataset(self) -> datasets.Dataset:
        """Return it as a Dataset of Hugging Face's `datasets`. Raises MissingPackage."""
        return frames.to_dataset(self.table)


class Nearest(NamedTuple):
    """A row of the primary that a chosen one is near to."""

    row: int
    similarity: float


class Chosen(NamedTuple):
    """A chosen row."""

    rank: int
    """From 1, best first."""
    dataset: str
    dataset_id: str
    row: int
    """Of the uploaded file, from 0, as `pandas.DataFrame.iloc` counts."""
    score: float
    percentile: float | None = None
    """With explain: share of its dataset's rows, in percent, that score no higher."""
    nearest: tuple[Nearest, ...] | None = None
    """With explain: the primary's rows nearest to it."""


@dataclass(frozen=True)
class Selection(Rows):
    """The chosen rows, best first: rank, dataset, dataset_id, row, score.

    Where it was asked for why, also percentile, nearest_rows and similarities.
    """

    job: str
    """Id of the job."""
    budget: int
    digest: str
    """SHA-256 over the chosen rows in order: the same data, config, seed and device give the same."""
    counts: Mapping[str, Mapping[str, float]]
    """By dataset: rows, seen, leaked, eligible, selected, share, random_share."""

    @property
    def rows(self) -> list[Chosen]:
        """The chosen rows as records; `to_arrow` and the others are quicker for many."""
        return [_chosen(each) for each in self.table.to_pylist()]


class Subset(Rows):
    """The chosen rows with their texts and labels: dataset, row, rank, score, text_a, text_b, label.

    They stand dataset by dataset. Labels are texts as the user wrote them: those of several tasks stand in one column.
    """


def _chosen(row: dict[str, object]) -> Chosen:
    numbers, similarities = row.pop("nearest_rows", None), row.pop("similarities", None)
    if not isinstance(numbers, list) or not isinstance(similarities, list):
        return Chosen(**row)  # type: ignore[arg-type]
    nearest = tuple(Nearest(*pair) for pair in zip(numbers, similarities, strict=True))
    return Chosen(**row, nearest=nearest)  # type: ignore[arg-type]
