"""Learns what a dataset's rows look like as a whole, in 12 bytes a row of memory. Torch-free."""

from __future__ import annotations

from array import array

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from fastmtl.summary import Example, Lengths

EXAMPLES = 5
EXAMPLE_CHARS = 200
BETWEEN = b"\0"
"""Stands between both texts of a pair, and in no text."""


class Statistics:
    """Takes note of every row."""

    def __init__(self) -> None:
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
        self._hashes.append(hash(text_a.encode() + BETWEEN + (text_b or "").encode()) % 2**64)
        if len(self._examples) < EXAMPLES:
            self._examples.append((row, text_a, text_b, label))

    def add_all(
        self, row: int, text_a: pa.Array, text_b: pa.Array | None, label: pa.Array, lengths: npt.NDArray[np.int64]
    ) -> None:
        """Take note of rows from `row` on; `lengths` are those of both texts together."""
        self._lengths.frombytes(lengths.astype(np.uint32).tobytes())
        self._hashes.frombytes(_hashes(text_a, text_b).tobytes())
        for place in range(min(EXAMPLES - len(self._examples), len(text_a))):
            second = None if text_b is None else text_b[place].as_py()
            self._examples.append((row + place, text_a[place].as_py(), second, label[place].as_py()))

    def lengths(self) -> Lengths:
        """Return how long rows are."""
        values = np.frombuffer(self._lengths, dtype=np.uint32)
        median, p95 = np.quantile(values, [0.5, 0.95]).tolist()
        return Lengths(round(float(values.mean()), 1), median, round(p95, 1), int(values.max()))

    def duplicates(self) -> int:
        """Return how many rows repeat an earlier one, told by 64-bit hashes of the texts (SipHash, keyed anew)."""
        hashes = np.sort(np.frombuffer(self._hashes, dtype=np.uint64))
        return int(np.count_nonzero(hashes[1:] == hashes[:-1]))

    def examples(self, regression: bool) -> tuple[Example, ...]:
        """Return the first rows."""
        return tuple(
            Example(row, _cut(text_a), None if text_b is None else _cut(text_b), float(label) if regression else label)
            for row, text_a, text_b, label in self._examples
        )


def _hashes(text_a: pa.Array, text_b: pa.Array | None) -> npt.NDArray[np.int64]:
    """Return the hash of each row's bytes."""
    first = text_a.view(pa.binary())
    second = b"" if text_b is None else text_b.view(pa.binary())
    as_bytes = pc.binary_join_element_wise(first, second, BETWEEN).to_pylist()
    return np.fromiter(map(hash, as_bytes), np.int64, len(as_bytes))


def _cut(text: str) -> str:
    return text if len(text) <= EXAMPLE_CHARS else text[: EXAMPLE_CHARS - 1] + "…"
