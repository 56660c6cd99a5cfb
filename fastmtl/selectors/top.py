"""The paper's selector: all auxiliary rows in one pool, the best N of it (paper, section 3.3).

The pool is gone through once, a part at a time, and only rows that may still be among the best are kept: memory is that
of the budget and a part, whatever the pool holds.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from fastmtl.selectors import Pool, Scores, Selection

summary = "The paper's: all auxiliary rows in one pool, the best of them."

PART_ROWS = 2**20
ROOM = 4
"""Times the budget that are kept before they are cut down to it again, which goes over all of them."""


def select(pool: Pool, budget: int) -> Selection:
    """Choose the `budget` highest scores; of equal ones the first by (dataset, row)."""
    return top(pool.scores, budget)


def top(scores: Iterable[Scores], budget: int) -> Selection:
    """Return the `budget` highest scores of all datasets, falling; of equal ones the first by (dataset, row).

    Datasets are asked for one after another, so they need not be in memory together. NaN is no score.
    """
    best = _Candidates(np.empty(0, np.int32), np.empty(0, np.int64), np.empty(0, np.float32))
    floor = -np.inf
    full = False
    for part in _parts(scores):
        found = part.above(floor) if full else part.all()
        best = best.followed_by(found)
        if len(best.scores) >= ROOM * budget or (not full and len(best.scores) >= budget):
            best = best.cut(budget)
            full, floor = True, float(best.scores.min())
    best = best.cut(budget)
    assert len(best.scores) == budget, "the caller checks the budget against what is eligible"
    order = np.argsort(-best.scores, kind="stable")
    return Selection(best.datasets[order], best.rows[order], best.scores[order])


class _Candidates(NamedTuple):
    """Rows in (dataset, row) order, [m]."""

    datasets: npt.NDArray[np.int32]
    rows: npt.NDArray[np.int64]
    scores: Scores

    def followed_by(self, other: _Candidates) -> _Candidates:
        """Return both; the other's rows come later."""
        if not len(other.scores):
            return self
        return _Candidates(
            np.concatenate([self.datasets, other.datasets]),
            np.concatenate([self.rows, other.rows]),
            np.concatenate([self.scores, other.scores]),
        )

    def cut(self, budget: int) -> _Candidates:
        """Return the `budget` best, in the order in which they stand; all where there are no more."""
        count = len(self.scores)
        if count <= budget:
            return self
        # The K-th highest score splits them; argpartition alone would take any of the rows that share it.
        last = np.partition(self.scores, count - budget)[count - budget]
        keep = self.scores > last
        keep[np.flatnonzero(self.scores == last)[: budget - np.count_nonzero(keep)]] = True
        return _Candidates(*(each[keep] for each in self))


class _Part(NamedTuple):
    """Some rows of a dataset, one after another."""

    dataset: int
    start: int
    scores: Scores

    def above(self, floor: float) -> _Candidates:
        """Return the rows that are better: one that is only as good comes too late."""
        return self._at(np.flatnonzero(self.scores > floor))

    def all(self) -> _Candidates:
        """Return every row that has a score."""
        return self._at(np.flatnonzero(~np.isnan(self.scores)))

    def _at(self, places: npt.NDArray[np.int64]) -> _Candidates:
        datasets = np.full(len(places), self.dataset, dtype=np.int32)
        return _Candidates(datasets, self.start + places, self.scores[places])


def _parts(scores: Iterable[Scores]) -> Iterator[_Part]:
    for dataset, each in enumerate(scores):
        for start in range(0, len(each), PART_ROWS):
            yield _Part(dataset, start, np.asarray(each[start : start + PART_ROWS], dtype=np.float32))
