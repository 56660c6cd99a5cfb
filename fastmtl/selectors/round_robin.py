"""Turns: the primary's rows, in order, each take the nearest auxiliary row that is left, until the budget is reached.

The candidates are the best rows by score. `top` may choose only what resembles one corner of the primary; here every
corner has its say. A budget below the primary's number of rows gives turns to its first rows alone.

A primary row keeps a short list of the candidates nearest to it and is compared with all of them again when the list is
used up. Products in float32 only find who can stand in a list; float64 decides, in one order of summation, so that
equal vectors are equally near wherever they stand.

Letters: C candidates · B primary rows compared at once · H hidden width.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import numpy.typing as npt
from pydantic import Field

from fastmtl import embeddings
from fastmtl.config import Frozen, JobConfig
from fastmtl.embeddings import Embeddings, Vectors
from fastmtl.plan import Json, Progress, StepSpec, TaskRef, silent
from fastmtl.selectors import Pool, Ranked, Selection, ranked

summary = "In turns, each row of the primary takes the nearest of the best rows, in the frozen encoder's space."

LISTED = 128
"""Candidates in a list."""
ROWS_AT_ONCE = 4_096
PRODUCTS = 2**24
"""Numbers of a block of products [B, C]: 64 MiB."""
ERROR = 1e-5
"""More than twice what a float32 product of two vectors of length 1 is off."""

Places = npt.NDArray[np.int64]


class Options(Frozen):
    """Who can be taken."""

    depth: int = Field(
        4,
        ge=1,
        le=10_000,
        description="The best `depth` times `budget` rows by score can be taken; at 1 all of them are, and only their "
        "order changes.",
    )


def plan(config: JobConfig, encoder: Json, tasks: Sequence[TaskRef]) -> list[StepSpec]:
    """Embed every row of every task."""
    return embeddings.plan(config, encoder, tasks)


def select(pool: Pool, budget: int) -> Selection:
    """Choose by turns, in the order of taking; of equally near candidates the first by (dataset, row)."""
    assert isinstance(pool.options, Options)
    vectors = Embeddings(pool.inputs)
    order = ranked(pool.scores)
    best = np.arange(min(pool.options.depth * budget, len(order.rows)))
    best = best[np.lexsort((order.rows[best], order.datasets[best]))]  # a lower number wins a tie
    candidates = _candidates(vectors, pool, order, best)
    primary = pool.primary
    read = partial(vectors.rows, primary.digest)
    return order.take(best[take_turns(candidates, primary.rows, read, budget, progress=pool.progress)])


def take_turns(
    candidates: Vectors,
    primary_rows: int,
    read: Callable[[Places], Vectors],
    budget: int,
    listed: int = LISTED,
    progress: Progress = silent,
) -> Places:
    """Return the numbers of the taken candidates in the order of taking, [K]; a lower number wins a tie.

    `candidates` are [C, H], at least `budget`; `read` gives the vectors of some rows of the primary, which rise; a list
    holds `listed` candidates.
    """
    near = Nearest(candidates, listed)
    taken = np.empty(budget, dtype=np.int64)
    for turn in range(budget):
        row = turn % primary_rows
        if not near.has(row):
            progress(turn, budget, "rows")
            rows = near.without(np.arange(row, min(row + near.at_once, primary_rows)))
            near.compare(rows, read(rows))
        taken[turn] = near.take(row)
    return taken


class Nearest:
    """For rows of the primary, the candidates nearest to them that nobody took; a candidate is its number."""

    def __init__(self, candidates: Vectors, listed: int) -> None:
        self._candidates = candidates  # [C, H]
        self._taken = np.zeros(len(candidates), dtype=np.bool_)
        self._lists: dict[int, Places] = {}
        self._listed = listed
        self.at_once = max(1, min(listed, PRODUCTS // len(candidates)))
        """Rows to compare in one call: of alike rows no more than a list is long have a use for it."""

    def has(self, row: int) -> bool:
        """Whether a row's list still holds a candidate."""
        mine = self._lists.get(row)
        if mine is None:
            return False
        self._lists[row] = mine[~self._taken[mine]]
        return len(self._lists[row]) > 0

    def without(self, rows: Places) -> Places:
        """Return those of the rows whose lists hold no candidate."""
        return np.array([row for row in rows.tolist() if not self.has(row)], dtype=np.int64)

    def take(self, row: int) -> int:
        """Return and take the nearest candidate of a row that `has` one."""
        nearest = int(self._lists[row][0])
        self._taken[nearest] = True
        return nearest

    def compare(self, rows: Places, vectors: Vectors) -> None:
        """List anew the nearest candidates of some rows, whose vectors [B, H] these are."""
        products = vectors @ self._candidates.T  # [B, C]
        products[:, self._taken] = -np.inf
        listed = min(self._listed, int((~self._taken).sum()))
        lowest = np.partition(products, -listed, axis=1)[:, -listed] - ERROR  # [B]
        for row, vector, mine, bound in zip(rows.tolist(), vectors, products, lowest, strict=True):
            places = np.flatnonzero((mine >= bound) & ~self._taken)
            cosines = _cosines(self._candidates, places, vector)
            self._lists[row] = places[np.argsort(-cosines, kind="stable")][:listed]


def _cosines(candidates: Vectors, places: Places, vector: Vectors) -> npt.NDArray[np.float64]:
    """Return [len(places)]; the bits of one do not depend on which others are asked for."""
    return np.concatenate(
        [
            (candidates[places[start : start + ROWS_AT_ONCE]].astype(np.float64) * vector).sum(axis=1)
            for start in range(0, len(places), ROWS_AT_ONCE)
        ]
    )


def _candidates(vectors: Embeddings, pool: Pool, order: Ranked, places: Places) -> Vectors:
    """Return the vectors at the places, which are in order of (dataset, row), [C, H]."""
    datasets, rows = order.datasets[places], order.rows[places]
    return np.concatenate(
        [vectors.rows(task.digest, rows[datasets == index]) for index, task in enumerate(pool.auxiliary)]
    )
