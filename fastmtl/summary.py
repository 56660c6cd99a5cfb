"""What a dataset's rows look like as a whole: lengths, duplicates, examples; 12 bytes a row of memory. Torch-free."""

from __future__ import annotations

import hashlib
from array import array
from dataclasses import dataclass

import numpy as np

EXAMPLES = 5
EXAMPLE_CHARS = 200


@dataclass(frozen=True)
class Lengths:
    """Characters of a row, both texts together."""

    mean: float
    median: float
    p95: float
    longest: int


@dataclass(frozen=True)
class Example:
    """A row, its texts cut short."""

    row: int
    text_a: str
    text_b: str | None
    label: str | float


class Statistics:
    """Takes note of every row."""

    def __init__(self, pair: bool) -> None:
        self._pair = pair
        self._lengths = array("I")
        self._hashes = array("Q")
        self._examples: list[tuple[int, str, str | None, str]] = []

    @property
    def rows(self) -> int:
        """How many rows there were."""
        return len(self._lengths)

    def add(self, row: int, text_a: str, text_b: str | None, label: str) -> None:
        """Take note of a row."""
        self._lengths.append(len(text_a) + len(text_b or ""))
        parts = f"{text_a}\x00{text_b or ''}".encode()
        self._hashes.append(int.from_bytes(hashlib.blake2b(parts, digest_size=8).digest()))
        if len(self._examples) < EXAMPLES:
            self._examples.append((row, text_a, text_b, label))

    def lengths(self) -> Lengths:
        """Return how long rows are."""
        values = np.frombuffer(self._lengths, dtype=np.uint32)
        median, p95 = np.quantile(values, [0.5, 0.95]).tolist()
        return Lengths(round(float(values.mean()), 1), median, round(p95, 1), int(values.max()))

    def duplicates(self) -> int:
        """Return how many rows repeat an earlier one, told by 64-bit hashes of the texts."""
        return self.rows - len(np.unique(np.frombuffer(self._hashes, dtype=np.uint64)))

    def examples(self, regression: bool) -> tuple[Example, ...]:
        """Return the first rows."""
        return tuple(
            Example(row, _cut(text_a), None if text_b is None else _cut(text_b), float(label) if regression else label)
            for row, text_a, text_b, label in self._examples
        )


def _cut(text: str) -> str:
    return text if len(text) <= EXAMPLE_CHARS else text[: EXAMPLE_CHARS - 1] + "…"
