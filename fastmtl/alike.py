"""Which texts are nearly one: a join of texts by their character shingles, and by what is left without one letter.

Texts whose shingles overlap by t (Jaccard) share at least the part t of either's. Let all shingles have one order, the
rare ones first: of n the first n - ⌈t n⌉ + m then hold the first m that are common, so only beginnings are compared
(prefix filter: Bayardo, Ma and Srikant, "Scaling up all pairs similarity search", WWW 2007; with m > 1: Wang, Li and
Feng, "Can we beat the prefix filtering?", SIGMOD 2012). No two texts are missed, but for collisions of 50-bit hashes;
what is found besides has to be looked at. One letter is a large share of a short text's shingles: such texts are found
by what is left of them without it.

Thousands of texts are taken at once, in numpy. Torch-free.

Letters: N texts · C characters of all of them · P shingles, each once a text · V shingles of the held texts.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import sparse

SHINGLE = 5
"""Characters of a shingle: shorter ones are shared by unlike texts, longer ones break at every typing error."""
COMMON = 4
"""m, of texts that must have so many in common."""
PAIRS_AT_ONCE = 2**24
"""Shingles of held texts that are counted at once, at most: some 200 MB."""

_OWNER_BITS = 14
"""Texts that are hashed together are told apart by them, 2^14 at most; the rest is the hash's."""
_HASH_BITS = 64 - _OWNER_BITS
_PRIME = np.uint64(0x9E3779B97F4A7C15)
_INVERSE = np.uint64(pow(int(_PRIME), -1, 2**64))
_FILL = "\0"
"""Makes a text as long as a shingle."""

Numbers = npt.NDArray[np.int64]
Hashes = npt.NDArray[np.uint64]


class Pairs(NamedTuple):
    """Texts that may be nearly one, each pair once."""

    texts: Numbers
    """Places in what was asked for, rising."""
    held: Numbers
    """Places among the held texts."""


class Held:
    """Texts among which others are looked for. Takes some 20 bytes a letter."""

    def __init__(self, texts: Sequence[str], near: float) -> None:
        """Learn the texts; an overlap is looked for from `near` on, above 0 and below 1."""
        self._near = near
        self._few = int(np.ceil(SHINGLE * (1 + near) / (1 - near) - 1e-9)) - 1
        """Shingles of a text up to which one wrong letter, 5 of them on either side, leaves less."""
        shingles = _shingles(texts)
        self._sizes = np.bincount(shingles.owners, minlength=len(texts))
        vocabulary, places, often = np.unique(shingles.hashes, return_inverse=True, return_counts=True)
        self._vocabulary = _Table(vocabulary)
        self._ranks = np.empty(len(vocabulary), np.int64)
        self._ranks[np.argsort(often, kind="stable")] = np.arange(len(vocabulary))
        owners, ranks = self._beginnings(shingles.owners, self._ranks[places], self._sizes, np.zeros_like(self._sizes))
        self._often = np.bincount(ranks, minlength=len(vocabulary))
        ones = np.ones(len(ranks), np.int32)
        self._begins = sparse.csr_array((ones, (ranks, owners)), shape=(len(vocabulary), len(texts)))
        left = _without_a_letter(texts, self._sizes <= self._few)
        order = np.argsort(left.hashes, kind="stable")
        hashes, self._first = np.unique(left.hashes[order], return_index=True)
        self._left = _Table(hashes)
        self._left_of = left.owners[order]

    def find(self, texts: Sequence[str]) -> Pairs:
        """Return all pairs that overlap enough or that one letter sets apart, and some besides."""
        shingles = _shingles(texts)
        sizes = np.bincount(shingles.owners, minlength=len(texts))
        found = [*self._overlapping(shingles, sizes), self._one_letter_apart(texts, sizes <= self._few)]
        count = max(1, len(self._sizes))
        both = np.unique(np.concatenate([each.texts * count + each.held for each in found]))
        return Pairs(*np.divmod(both, count))

    def _overlapping(self, shingles: _Owned, sizes: Numbers) -> Iterator[Pairs]:
        """Yield the pairs whose beginnings have enough in common."""
        places = self._vocabulary.places(shingles.hashes)
        known = places >= 0
        unknown = np.bincount(shingles.owners[~known], minlength=len(sizes))
        known &= (sizes - unknown >= self._needed(sizes))[shingles.owners]
        owners, ranks = self._beginnings(shingles.owners[known], self._ranks[places[known]], sizes, unknown)
        ends = np.searchsorted(owners, np.arange(len(sizes) + 1))  # [N + 1]
        met = np.concatenate([[0], np.cumsum(self._often[ranks])])[ends]  # [N + 1] before each text
        start = 0
        while start < len(sizes):
            stop = max(start + 1, int(np.searchsorted(met, met[start] + PAIRS_AT_ONCE, side="right")) - 1)
            part, indices = ends[start : stop + 1], ranks[ends[start] : ends[stop]]
            begins = sparse.csr_array(
                (np.ones(len(indices), np.int32), indices, part - part[0]), shape=(stop - start, len(self._ranks))
            )
            common = (begins @ self._begins).tocoo()
            rows, held = common.coords[0].astype(np.int64) + start, common.coords[1].astype(np.int64)
            enough = common.data >= np.minimum(self._common(sizes[rows]), self._common(self._sizes[held]))
            fits = np.minimum(sizes[rows], self._sizes[held]) >= self._needed(
                np.maximum(sizes[rows], self._sizes[held])
            )
            yield Pairs(rows[enough & fits], held[enough & fits])
            start = stop

    def _one_letter_apart(self, texts: Sequence[str], few: npt.NDArray[np.bool_]) -> Pairs:
        """Return the pairs of short texts of which something equal is left."""
        left = _without_a_letter(texts, few)
        places = self._left.places(left.hashes)
        owners, places = left.owners[places >= 0], places[places >= 0]
        ends = np.append(self._first, len(self._left_of))
        counts = ends[places + 1] - ends[places]
        return Pairs(np.repeat(owners, counts), self._left_of[_ranges(ends[places], counts)])

    def _beginnings(self, owners: Numbers, ranks: Numbers, sizes: Numbers, before: Numbers) -> tuple[Numbers, Numbers]:
        """Return owners, rising, and ranks of the shingles that stand at the beginning of their texts.

        `sizes` counts a text's shingles, and `before` those that stand before all that are given.
        """
        keys = np.sort(owners << 32 | ranks)
        owners, ranks = keys >> 32, keys & (2**32 - 1)
        starts = np.searchsorted(owners, np.arange(len(sizes)))
        places = np.arange(len(keys)) - starts[owners] + before[owners]
        first = places < (sizes - self._needed(sizes) + self._common(sizes))[owners]
        return owners[first], ranks[first]

    def _needed(self, sizes: Numbers) -> Numbers:
        """Return how many shingles a text shares, at least, with one that it overlaps with enough."""
        needed: Numbers = np.ceil(self._near * sizes - 1e-9).astype(np.int64)
        return needed

    def _common(self, sizes: Numbers) -> Numbers:
        """Return m for texts of so many shingles."""
        return np.minimum(self._needed(sizes), COMMON)


class _Owned(NamedTuple):
    """Hashes and the places of the texts that they are from."""

    owners: Numbers
    hashes: Hashes


class _Table:
    """Where hashes stand among some, rising and each once; most that are asked for are not there."""

    def __init__(self, hashes: Hashes) -> None:
        self._hashes = hashes
        self._mask = np.uint64(2 ** max(10, min(24, 3 + len(hashes).bit_length())) - 1)
        self._there = np.zeros(int(self._mask) + 1, bool)
        self._there[hashes & self._mask] = True

    def places(self, hashes: Hashes) -> Numbers:
        """Return the places of hashes, -1 for one that is not there."""
        found: Numbers = np.full(len(hashes), -1, np.int64)
        likely = np.flatnonzero(self._there[hashes & self._mask])
        asked = hashes[likely]
        places = np.searchsorted(self._hashes, asked)
        there = places < len(self._hashes)
        there[there] = self._hashes[places[there]] == asked[there]
        found[likely[there]] = places[there]
        return found


def _shingles(texts: Sequence[str]) -> _Owned:
    """Return the shingles of texts, owners rising; of a text that is shorter than a shingle the text itself."""
    parts = [_shingles_of_some(texts[start : start + 2**_OWNER_BITS]) for start in range(0, len(texts), 2**_OWNER_BITS)]
    owners = [part.owners + (number << _OWNER_BITS) for number, part in enumerate(parts)]
    return _Owned(
        np.concatenate([np.zeros(0, np.int64), *owners]),
        np.concatenate([np.zeros(0, np.uint64), *(part.hashes for part in parts)]),
    )


def _shingles_of_some(texts: Sequence[str]) -> _Owned:
    """Do that for as many texts as can be hashed together."""
    letters, lengths = _letters(texts)
    counts = lengths - SHINGLE + 1
    rolled = letters[: 1 - SHINGLE].copy()  # [C - 4]
    for place in range(1, SHINGLE):
        rolled *= _PRIME
        rolled += letters[place : len(letters) - SHINGLE + 1 + place]
    inside = np.ones(len(letters), bool)
    inside[(np.cumsum(lengths)[:, None] - np.arange(1, SHINGLE)).ravel()] = False
    hashes = _mixed(rolled[inside[: len(rolled)]]) >> np.uint64(_OWNER_BITS)
    keys = np.sort(np.repeat(np.arange(len(texts), dtype=np.uint64) << np.uint64(_HASH_BITS), counts) | hashes)
    keys = keys[np.concatenate([[True], keys[1:] != keys[:-1]])]
    return _Owned((keys >> np.uint64(_HASH_BITS)).astype(np.int64), keys & np.uint64(2**_HASH_BITS - 1))


def _without_a_letter(texts: Sequence[str], which: npt.NDArray[np.bool_]) -> _Owned:
    """Return hashes of some of the texts and of what is left of each without each of its letters.

    A text's hash is the sum of letter · prime^place. Without one letter those behind it move one place on.
    """
    if not which.any():
        return _Owned(np.zeros(0, np.int64), np.zeros(0, np.uint64))
    letters, lengths = _letters([text for text, taken in zip(texts, which, strict=True) if taken])
    owners = np.repeat(np.flatnonzero(which), lengths)
    starts = np.cumsum(lengths) - lengths
    powers = np.concatenate([np.ones(1, np.uint64), np.full(lengths.max() - 1, _PRIME)]).cumprod()
    terms = letters * powers[_ranges(np.zeros_like(starts), lengths)]
    sums = np.concatenate([np.zeros(1, np.uint64), terms.cumsum()])
    whole = sums[starts + lengths] - sums[starts]
    before = sums[:-1] - np.repeat(sums[starts], lengths)
    behind = np.repeat(whole, lengths) - before - terms
    hashes = _mixed(np.concatenate([before + behind * _INVERSE, whole]))
    owned = np.concatenate([owners, np.flatnonzero(which)])
    # A letter that stands twice in a row leaves the same.
    order = np.lexsort([hashes, owned])
    owned, hashes = owned[order], hashes[order]
    first = np.concatenate([[True], (owned[1:] != owned[:-1]) | (hashes[1:] != hashes[:-1])])
    return _Owned(owned[first], hashes[first])


def _letters(texts: Sequence[str]) -> tuple[Hashes, Numbers]:
    """Return the code points of texts end to end, [C], and how many each has, [N]: at least those of a shingle."""
    filled = [text.ljust(SHINGLE, _FILL) for text in texts]
    points = np.frombuffer("".join(filled).encode("utf-32-le", "surrogatepass"), np.uint32)
    return points.astype(np.uint64) + np.uint64(1), np.fromiter(map(len, filled), np.int64, len(filled))


def _mixed(hashes: Hashes) -> Hashes:
    """Let every bit depend on all: sums and products leave the low ones to the low ones."""
    hashes = (hashes ^ (hashes >> np.uint64(32))) * _PRIME
    return hashes ^ (hashes >> np.uint64(29))


def _ranges(starts: Numbers, counts: Numbers) -> Numbers:
    """Return the numbers from each start on, so many of each, end to end."""
    moved: Numbers = np.repeat(starts - np.cumsum(counts) + counts, counts)
    return np.arange(len(moved)) + moved
