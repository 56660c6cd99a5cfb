"""What is worth knowing about a dataset before figures are trusted: rows that repeat others, classes with hardly a row.

The web page says the same of a dataset, in the same words (app/pages/worries.js).
"""

from __future__ import annotations

import hashlib

import numpy as np
import numpy.typing as npt

from fastmtl.datasets import Dataset, TaskKind
from fastmtl.report.words import many, short

FEW_ROWS = 5
NAMED = 5
MOST_CHARS = 60
"""Of a label."""


def worries(dataset: Dataset) -> list[str]:
    """Return sentences; none where there is nothing to say. A row group is held at a time, and 8 bytes a row."""
    told = []
    if repeated := dataset.rows - len(np.unique(_hashes(dataset))):
        verb = "says" if repeated == 1 else "say"
        told.append(f"{many(repeated, 'row')} {verb} what an earlier row says already.")
    if small := _small_classes(dataset):
        more = f" and {many(len(small) - NAMED, 'other')}" if len(small) > NAMED else ""
        named = ", ".join(short(each, MOST_CHARS) for each in small[:NAMED])
        told.append(f"Fewer than five rows each have the label {named}{more}.")
    return told


def _small_classes(dataset: Dataset) -> list[str]:
    if dataset.kind is TaskKind.REGRESSION:
        return []
    rows = np.bincount(dataset.labels(), minlength=len(dataset.classes))
    return [name for name, count in zip(dataset.classes, rows.tolist(), strict=True) if count < FEW_ROWS]


def _hashes(dataset: Dataset) -> npt.NDArray[np.uint64]:
    """Return 64 bits of a hash of every row's texts; [rows]."""
    found = np.empty(dataset.rows, dtype=np.uint64)
    place = 0
    for table in dataset.batches(0, dataset.rows):
        for text_a, text_b in zip(table["text_a"].to_pylist(), table["text_b"].to_pylist(), strict=True):
            texts = f"{text_a}\x00{text_b or ''}".encode()
            found[place] = int.from_bytes(hashlib.blake2b(texts, digest_size=8).digest())
            place += 1
    return found
