"""Words and n-grams of a dataset's texts, streamed: what methods that read words alone have in common. Torch-free.

A pair's two texts count as one text, joined by a space. Words are lower-cased runs of letters, digits and underscores,
or runs of other marks: neither stemmed nor sifted, because function words and marks tell tasks apart too.

Letters: B rows in a batch · N words or n-grams of a batch.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from fastmtl.datasets import Dataset
from fastmtl.plan import Progress

ROWS_AT_ONCE = 8_192
"""Rows whose words are held in memory together, or fewer where texts are long."""

_WORD = re.compile(r"\w+|[^\w\s]+")


class Grams(NamedTuple):
    """The n-grams of some rows, each as often as it stands there: all words of all rows, then all pairs, and so on."""

    ids: npt.NDArray[np.int64]
    """[N] what `identify` gave."""
    rows: npt.NDArray[np.int64]
    """[N] places of the rows in the batch."""


def words(text: str) -> list[str]:
    """Return the words of a text, in order; there is one unless the text is white space alone."""
    return _WORD.findall(text.lower())


class Reader:
    """Streams the words of a job's datasets in bounded memory, and says how far it is."""

    def __init__(self, datasets: Mapping[str, Path], total_rows: int, progress: Progress) -> None:
        self._datasets = datasets
        self._total_rows = total_rows
        self._progress = progress
        self._done = 0

    def batches(self, digest: str) -> Iterator[list[list[str]]]:
        """Yield the words of every row of a dataset, in order, at most ROWS_AT_ONCE rows at a time."""
        dataset = Dataset.open(self._datasets[digest])
        for table in dataset.batches(0, dataset.rows, ROWS_AT_ONCE):
            texts = table["text_a"].to_pylist()
            if dataset.pair:
                texts = [f"{first} {second}" for first, second in zip(texts, table["text_b"].to_pylist(), strict=True)]
            yield [words(text) for text in texts]
            self._done += len(texts)
            self._progress(self._done, self._total_rows, "rows")


def grams(batch: Sequence[Sequence[str]], longest: int, identify: Callable[[str], int]) -> Grams:
    """Return all n-grams of one to `longest` words of the rows; `identify` is asked once for each that differs.

    The words of an n-gram are joined by a space; no n-gram reaches from one row into the next.
    """
    rows = np.repeat(np.arange(len(batch)), [len(row) for row in batch])  # [N]
    places: dict[str, int] = {}
    flat = np.array([places.setdefault(word, len(places)) for word in chain.from_iterable(batch)], dtype=np.int64)
    vocabulary = list(places)
    known, codes = vocabulary, flat
    ids, owners = [_identified(known, identify)[codes]], [rows]
    for length in range(2, longest + 1):
        # Codes that reach over a row's end stay in, so that places keep step; they are left out of the result.
        joint = codes[:-1] * len(vocabulary) + flat[length - 1 :]
        inside = rows[: len(joint)] == rows[length - 1 :]
        distinct, codes = np.unique(joint, return_inverse=True)
        pairs = zip(*(part.tolist() for part in np.divmod(distinct, len(vocabulary))), strict=True)
        known = [f"{known[left]} {vocabulary[right]}" for left, right in pairs]
        ids.append(_identified(known, identify)[codes[inside]])
        owners.append(rows[length - 1 :][inside])
    return Grams(np.concatenate(ids), np.concatenate(owners))


def _identified(known: Sequence[str], identify: Callable[[str], int]) -> npt.NDArray[np.int64]:
    return np.fromiter(map(identify, known), dtype=np.int64, count=len(known))
