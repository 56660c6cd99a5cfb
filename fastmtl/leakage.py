"""Leak guard: which rows also stand, exactly or nearly, among the rows that a model is measured on.

Exact: equal once lower-cased and stripped of everything but letters and digits; a pair in either order.
Near: the character shingles of each text overlap by `NEAR` or more (Jaccard), for pairs both texts, in either order.
MinHash LSH (Broder, 1997; bands as in Leskovec et al., Mining of Massive Datasets, section 3.4) finds whom to compare,
and the overlap itself is then computed, so chance can miss a match (one in 20,000 at the threshold) but makes none.

Torch-free.
"""

from __future__ import annotations

import re
import unicodedata
import zlib
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import NamedTuple

from datasketch import MinHash, MinHashLSH

NEAR = 0.8
"""Overlap from which two texts are one text with a few letters changed."""
SHINGLE = 5
"""Characters of a shingle: shorter ones are shared by unlike texts, longer ones break at every typing error."""
BANDS, BAND_ROWS = 25, 5
"""Rows that agree in all 5 minima of a band are compared: of those that overlap by 0.8, all but (1 - 0.8⁵)²⁵."""
MINIMA = BANDS * BAND_ROWS
"""Length of a sketch."""

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
    """Holds the rows that are measured on; finds others in them. Takes about 4 kB a held row where `near` is set."""

    def __init__(self, held: Iterable[Row], *, near: bool) -> None:
        self._keys = [normalise(row) for row in held]
        self._first: dict[Key, int] = {}
        for number, key in enumerate(self._keys):
            self._first.setdefault(key, number)
        self._index = MinHashLSH(num_perm=MINIMA, params=(BANDS, BAND_ROWS)) if near else None
        if self._index is not None:
            for key, sketch in zip(self._first, sketches(self._first), strict=True):
                self._index.insert(self._first[key], sketch)

    def find(self, rows: Iterable[Row]) -> Iterator[Leak | None]:
        """Yield for every row its best match among the held-out rows, or None."""
        keys = [normalise(row) for row in rows]
        if self._index is None:
            yield from (self._exact(key) for key in keys)
            return
        for key, sketch in zip(keys, sketches(keys), strict=True):
            yield self._exact(key) or self._nearest(key, self._index.query(sketch))

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
    """Return the overlap of two rows in [0, 1]: of a pair that of its less alike texts; 0 for a pair and a single."""
    if len(one) != len(other):
        return 0.0
    straight = min(_overlap(a, b) for a, b in zip(one, other, strict=True))
    crossed = min(_overlap(a, b) for a, b in zip(one, reversed(other), strict=True))
    return max(straight, crossed)


def _plain(text: str) -> str:
    folded = unicodedata.normalize("NFKC", text).casefold()
    return re.sub(r"[\W_]+", " ", folded).strip() or folded.strip()


def _overlap(one: str, other: str) -> float:
    """Return the Jaccard similarity of two texts' shingles."""
    first, second = _shingles(one), _shingles(other)
    return len(first & second) / len(first | second)


@lru_cache(maxsize=4096)
def _shingles(text: str) -> frozenset[str]:
    """Return the runs of SHINGLE characters; of a shorter text the text itself."""
    return frozenset(text[start : start + SHINGLE] for start in range(max(1, len(text) - SHINGLE + 1)))


def sketches(keys: Iterable[Key]) -> Iterator[MinHash]:
    """Yield the MinHash of each row: of the shingles of both texts together."""
    sets = ([shingle.encode() for text in key for shingle in _shingles(text)] for key in keys)
    yield from MinHash.generator(sets, num_perm=MINIMA, hashfunc=zlib.crc32)
