"""Leak guard: which rows also stand, exactly or nearly, among the rows that a model is measured on.

Exact: equal once lower-cased and stripped of everything but letters and digits; a pair in either order.
Near: the character shingles of each text overlap by `NEAR` or more (Jaccard), or one letter is wrong, missing or too
much; for pairs both texts, in either order. One letter is a large share of a short text's shingles.
MinHash LSH (Broder, 1997; bands as in Leskovec et al., Mining of Massive Datasets, section 3.4) finds whom to compare,
and the overlap itself is then computed, so chance can miss a match (one in 20,000 at the threshold) but makes none.
Rows too short for their shingles to bring them together are found by what is left of them without one letter.

Torch-free.
"""

from __future__ import annotations

import re
import unicodedata
import zlib
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from typing import NamedTuple

from datasketch import MinHash, MinHashLSH

from fastmtl.plan import Progress, silent

NEAR = 0.8
"""Overlap from which two texts are one text with a few letters changed."""
SHINGLE = 5
"""Characters of a shingle: shorter ones are shared by unlike texts, longer ones break at every typing error."""
BANDS, BAND_ROWS = 25, 5
"""Rows that agree in all 5 minima of a band are compared: of those that overlap by 0.8, all but (1 - 0.8⁵)²⁵."""
MINIMA = BANDS * BAND_ROWS
"""Length of a sketch."""
SHORT = 48
"""Letters of a row up to which one wrong one leaves less than NEAR: 5 of 44 shingles on either side, 39 / 49."""

Row = tuple[str, str | None]
"""text_a, and text_b of a pair."""
Key = tuple[str, ...]
"""Normalised texts; those of a pair sorted."""


class Leak(NamedTuple):
    """A match among the held-out rows."""

    held_row: int
    """Its row number there; the first, where several match."""
    similarity: float
    """1.0 for an exact match, else at least NEAR."""


class LeakGuard:
    """Holds the rows that are measured on; finds others in them. Takes about 5 kB a held row where `near` is set."""

    def __init__(self, held: Iterable[Row], *, near: bool, progress: Progress = silent) -> None:
        self._keys = [normalise(row) for row in held]
        self._first: dict[Key, int] = {}
        for number, key in enumerate(self._keys):
            self._first.setdefault(key, number)
        self._shortened: dict[int, list[int]] = {}
        self._index = MinHashLSH(num_perm=MINIMA, params=(BANDS, BAND_ROWS)) if near else None
        if self._index is not None:
            for done, (key, sketch) in enumerate(zip(self._first, sketches(self._first), strict=True), 1):
                self._index.insert(self._first[key], sketch)
                for shortened in _without_a_letter(key):
                    self._shortened.setdefault(shortened, []).append(self._first[key])
                progress(done, len(self._first), "rows")

    def find(self, rows: Iterable[Row]) -> Iterator[Leak | None]:
        """Yield for every row its best match among the held-out rows, or None."""
        keys = [normalise(row) for row in rows]
        if self._index is None:
            yield from (self._exact(key) for key in keys)
            return
        for key, sketch in zip(keys, sketches(keys), strict=True):
            alike = {*self._index.query(sketch)}
            alike.update(*(self._shortened.get(shortened, ()) for shortened in _without_a_letter(key)))
            yield self._exact(key) or self._nearest(key, alike)

    def _exact(self, key: Key) -> Leak | None:
        return Leak(self._first[key], 1.0) if key in self._first else None

    def _nearest(self, key: Key, candidates: Iterable[int]) -> Leak | None:
        """Return the candidate that overlaps most, the first of equal ones, if that is enough."""
        found = [Leak(number, similarity(key, self._keys[number])) for number in candidates]
        best = max(found, key=lambda leak: (leak.similarity, -leak.held_row), default=None)
        return best if best and best.similarity >= NEAR else None


def normalise(row: Row) -> Key:
    """Return the texts lower-cased, without punctuation and with single spaces; those of a pair sorted.

    A text that is nothing but punctuation stays as it is.
    """
    return tuple(sorted(_plain(text) for text in row if text is not None))


def similarity(one: Key, other: Key) -> float:
    """Return how nearly two rows are one, in [0, 1]: their overlap or, where a letter differs, the share that is equal.

    Of a pair that of its less alike texts; 0 for a pair and a single.
    """
    return _of_rows(one, other, _likeness)


def overlap(one: Key, other: Key) -> float:
    """Return the overlap of two rows' shingles in [0, 1]: of a pair that of its less alike texts."""
    return _of_rows(one, other, _overlap)


def _of_rows(one: Key, other: Key, measure: Callable[[str, str], float]) -> float:
    """Return the measure of the less alike texts of two rows, in the better order; 0 for a pair and a single."""
    if len(one) != len(other):
        return 0.0
    straight = min(measure(a, b) for a, b in zip(one, other, strict=True))
    crossed = min(measure(a, b) for a, b in zip(one, reversed(other), strict=True))
    return max(straight, crossed)


def _plain(text: str) -> str:
    folded = unicodedata.normalize("NFKC", text).casefold()
    return re.sub(r"[\W_]+", " ", folded).strip() or folded.strip()


def _likeness(one: str, other: str) -> float:
    shared = _overlap(one, other)
    return max(shared, 1 - 1 / max(len(one), len(other))) if _one_letter_apart(one, other) else shared


def _overlap(one: str, other: str) -> float:
    """Return the Jaccard similarity of two texts' shingles."""
    first, second = _shingles(one), _shingles(other)
    return len(first & second) / len(first | second)


def _one_letter_apart(one: str, other: str) -> bool:
    """Whether one letter changed, left out or put in makes one text the other, and nothing less does."""
    if one == other or abs(len(one) - len(other)) > 1:
        return False
    pairs = enumerate(zip(one, other, strict=False))
    place = next((index for index, (a, b) in pairs if a != b), min(len(one), len(other)))
    return any(one[place + a :] == other[place + b :] for a, b in ((1, 1), (1, 0), (0, 1)))


def _without_a_letter(key: Key) -> set[int]:
    """Return hashes of a short row and of what is left of it without each of its letters; of a longer one none."""
    text = "\n".join(key)
    if len(text) > SHORT:
        return set()
    return {zlib.crc32(text.encode()), *(zlib.crc32((text[:i] + text[i + 1 :]).encode()) for i in range(len(text)))}


@lru_cache(maxsize=4096)
def _shingles(text: str) -> frozenset[str]:
    """Return the runs of SHINGLE characters; of a shorter text the text itself."""
    return frozenset(text[start : start + SHINGLE] for start in range(max(1, len(text) - SHINGLE + 1)))


def sketches(keys: Iterable[Key]) -> Iterator[MinHash]:
    """Yield the MinHash of each row: of the shingles of both texts together."""
    sets = ([shingle.encode() for text in key for shingle in _shingles(text)] for key in keys)
    yield from MinHash.generator(sets, num_perm=MINIMA, hashfunc=zlib.crc32)
