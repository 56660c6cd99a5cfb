"""Distinct rows: the best of all rows none of which nearly repeats a better one.

Rows are walked from the best down; one whose texts overlap with those of a row already taken is passed over. Texts are
compared as the leak guard compares them (fastmtl/leakage.py), case and punctuation apart, and they are read only as far
down as it takes to fill the budget. Every taken row holds some kilobytes until the end.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator
from itertools import islice, repeat
from typing import TYPE_CHECKING

import numpy as np
from pydantic import Field

from fastmtl.config import Frozen
from fastmtl.datasets import Dataset
from fastmtl.errors import InvalidConfig
from fastmtl.selectors import Pool, Ranked, Selection, ranked

if TYPE_CHECKING:
    from datasketch import MinHash

    from fastmtl.leakage import Key

summary = "The best rows none of which nearly repeats a better one in its texts."

ROWS_AT_ONCE = 8_192
MINIMA = 125
"""Length of a sketch."""
MISSED = 1e-4
"""How likely, at most, two rows are not compared that overlap just enough to matter."""


class Options(Frozen):
    """What counts as a repetition."""

    similarity: float = Field(
        0.8,
        ge=0.5,
        le=1,
        description="Share of common character shingles from which two texts are nearly the same, of a pair both; at 1 "
        "only equal texts are.",
    )


def select(pool: Pool, budget: int) -> Selection:
    """Choose the best distinct rows, in order of score; raises InvalidConfig where there are fewer than `budget`."""
    assert isinstance(pool.options, Options)
    threshold = pool.options.similarity
    order = ranked(pool.scores)
    chosen = list(islice(_distinct(pool, order, threshold), budget))
    if len(chosen) < budget:
        advice = "lower the budget" if threshold == 1 else "raise the similarity or lower the budget"
        raise InvalidConfig(
            "config.options.near_duplicates.similarity",
            f"{len(chosen):,} of {len(order.rows):,} eligible rows are distinct at a similarity of {threshold:g}, and "
            f"that is fewer than the budget of {budget:,}: {advice}.",
        )
    return order.take(np.array(chosen, dtype=np.int64))


def bands(threshold: float, minima: int) -> tuple[int, int]:
    """Return (bands, minima of each): as long a band as still finds a row that overlaps by `threshold`.

    A band agrees with probability threshold ** length, and one that agrees is enough; long bands bring together few
    rows that are unlike.
    """
    fitting = [
        length for length in range(1, minima // 2 + 1) if (1 - threshold**length) ** (minima // length) <= MISSED
    ]
    return minima // max(fitting), max(fitting)


def _distinct(pool: Pool, order: Ranked, threshold: float) -> Iterator[int]:
    """Yield the places, rising, of the rows that repeat none of those yielded before."""
    from datasketch import MinHashLSH  # here: it loads scipy, and listing selectors needs only numpy

    from fastmtl.leakage import normalise, overlap

    index = MinHashLSH(num_perm=MINIMA, params=bands(threshold, MINIMA))
    taken: list[tuple[str, ...]] = []
    for start in range(0, len(order.rows), ROWS_AT_ONCE):
        pool.progress(start, len(order.rows), "rows")
        keys = [normalise(row) for row in _texts(pool, order, start, start + ROWS_AT_ONCE)]
        for place, (key, sketch) in enumerate(zip(keys, _sketches(keys), strict=True), start):
            if not any(overlap(key, taken[other]) >= threshold for other in index.query(sketch)):
                index.insert(len(taken), sketch)
                taken.append(key)
                yield place


def _sketches(keys: Iterable[Key]) -> Iterator[MinHash]:
    """Yield the MinHash of each row: of the shingles of both texts together (Broder, 1997)."""
    from datasketch import MinHash

    from fastmtl.leakage import shingles

    sets = ([shingle.encode() for text in key for shingle in shingles(text)] for key in keys)
    yield from MinHash.generator(sets, num_perm=MINIMA, hashfunc=zlib.crc32)


def _texts(pool: Pool, order: Ranked, start: int, stop: int) -> list[tuple[str, str | None]]:
    """Return the texts of the rows at the places [start, stop) of the order."""
    datasets, rows = order.datasets[start:stop], order.rows[start:stop]
    found: list[tuple[str, str | None]] = [("", None)] * len(rows)
    for index, task in enumerate(pool.auxiliary):
        places = np.flatnonzero(datasets == index)
        if len(places):
            text_a, text_b = Dataset.open(pool.datasets[task.digest]).texts(rows[places])
            for place, one, other in zip(places.tolist(), text_a, text_b or repeat(None, len(places)), strict=True):
                found[place] = (one, other)
    return found
