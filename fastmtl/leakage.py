"""Leak guard: which rows also stand, exactly or nearly, among the rows that a model is measured on.

Exact: equal once lower-cased and stripped of everything but letters and digits; a pair in either order.
Near: the character shingles of each text overlap by `NEAR` or more (Jaccard), or one letter is wrong, missing or too
much; for pairs both texts, in either order. One letter is a large share of a short text's shingles.
All such rows are found (fastmtl/alike.py), and of what is found the overlap itself is computed.

Torch-free.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import islice, permutations
from typing import NamedTuple

from fastmtl.alike import SHINGLE, Held

NEAR = 0.8
"""Overlap from which two texts are one text with a few letters changed."""
ROWS_AT_ONCE = 2_048
"""Rows that are looked for together."""

Row = tuple[str, str | None]
"""text_a, and text_b of a pair."""
Key = tuple[str, ...]
"""Normalised texts; those of a pair sorted."""

_ASCII_WORDS = bytes(code if chr(code).isalnum() and code < 128 else ord(" ") for code in range(256))


class Leak(NamedTuple):
    """A match among the held-out rows."""

    held_row: int
    """Its row number there; the first, where several match."""
    similarity: float
    """1.0 for an exact match, else at least NEAR."""


class LeakGuard:
    """Holds the rows that are measured on; finds others in them. Takes some kilobytes a held row if `near` is set."""

    def __init__(self, held: Iterable[Row], *, near: bool) -> None:
        self._keys = [normalise(row) for row in held]
        self._first: dict[Key, int] = {}
        for number, key in enumerate(self._keys):
            self._first.setdefault(key, number)
        self._alike = _AlikeRows(self._first) if near else None

    def find(self, rows: Iterable[Row]) -> Iterator[Leak | None]:
        """Yield for every row its best match among the held-out rows, or None."""
        rows = iter(rows)
        while keys := [normalise(row) for row in islice(rows, ROWS_AT_ONCE)]:
            exact = [self._exact(key) for key in keys]
            rest = [key for key, leak in zip(keys, exact, strict=True) if leak is None]
            near = iter(self._nearest(rest))
            yield from (leak or next(near) for leak in exact)

    def _exact(self, key: Key) -> Leak | None:
        return Leak(self._first[key], 1.0) if key in self._first else None

    def _nearest(self, keys: Sequence[Key]) -> list[Leak | None]:
        """Return for every row the held one that it overlaps with most, the first of equal ones, if that is enough."""
        if self._alike is None:
            return [None] * len(keys)
        return [self._best(key, candidates) for key, candidates in zip(keys, self._alike.find(keys), strict=True)]

    def _best(self, key: Key, candidates: Iterable[int]) -> Leak | None:
        found = [Leak(number, similarity(key, self._keys[number])) for number in candidates]
        best = max(found, key=lambda leak: (leak.similarity, -leak.held_row), default=None)
        return best if best and best.similarity >= NEAR else None


class _AlikeRows:
    """Finds rows by their texts: two may be nearly one if each text of one may be nearly a text of the other."""

    def __init__(self, rows: Mapping[Key, int]) -> None:
        places: dict[str, int] = {}
        self._rows = {
            number: tuple(places.setdefault(text, len(places)) for text in key) for key, number in rows.items()
        }
        """The places of the texts of every row, by its number."""
        self._standing: list[list[int]] = [[] for _ in places]
        """In which rows every text stands."""
        for number, texts in self._rows.items():
            for place in {*texts}:
                self._standing[place].append(number)
        self._held = Held(list(places), NEAR)
        self._shapes = {len(key) for key in rows}

    def find(self, keys: Sequence[Key]) -> list[list[int]]:
        """Return for every row the numbers of those that it may be nearly one with."""
        texts = [*dict.fromkeys(text for key in keys if len(key) in self._shapes for text in key)]
        found = self._held.find(texts)
        alike: dict[str, set[int]] = {}
        for place, held in zip(found.texts.tolist(), found.held.tolist(), strict=True):
            alike.setdefault(texts[place], set()).add(held)
        return [self._with([alike[text] for text in key]) if alike.keys() >= {*key} else [] for key in keys]

    def _with(self, alike: Sequence[set[int]]) -> list[int]:
        """Return the rows that have one text of each kind."""
        fewest = min(alike, key=lambda places: sum(len(self._standing[place]) for place in places))
        rows = {number for place in fewest for number in self._standing[place]}
        return [number for number in sorted(rows) if self._fits(self._rows[number], alike)]

    def _fits(self, texts: Sequence[int], alike: Sequence[set[int]]) -> bool:
        orders = permutations(texts) if len(texts) == len(alike) else ()
        return any(all(map(set.__contains__, alike, order)) for order in orders)


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
    if text.isascii():
        words = text.encode().lower().translate(_ASCII_WORDS).split()
        return b" ".join(words).decode() or text.strip()
    folded = unicodedata.normalize("NFKC", text).casefold()
    return re.sub(r"[\W_]+", " ", folded).strip() or folded.strip()


def _likeness(one: str, other: str) -> float:
    shared = _overlap(one, other)
    return max(shared, 1 - 1 / max(len(one), len(other))) if _one_letter_apart(one, other) else shared


def _overlap(one: str, other: str) -> float:
    """Return the Jaccard similarity of two texts' shingles."""
    first, second = shingles(one), shingles(other)
    return len(first & second) / len(first | second)


def _one_letter_apart(one: str, other: str) -> bool:
    """Whether one letter changed, left out or put in makes one text the other, and nothing less does."""
    if one == other or abs(len(one) - len(other)) > 1:
        return False
    pairs = enumerate(zip(one, other, strict=False))
    place = next((index for index, (a, b) in pairs if a != b), min(len(one), len(other)))
    return any(one[place + a :] == other[place + b :] for a, b in ((1, 1), (1, 0), (0, 1)))


@lru_cache(maxsize=4096)
def shingles(text: str) -> frozenset[str]:
    """Return the runs of SHINGLE characters; of a shorter text the text itself."""
    return frozenset(text[start : start + SHINGLE] for start in range(max(1, len(text) - SHINGLE + 1)))
