"""BM25: how much of the row's words, weighted by their rarity, its nearest rows of the primary share.

The primary's rows are the index (bm25s, Lucene's variant) and every auxiliary row is a query: the index then fits in
memory, rarity means rarity in the primary, and auxiliary rows are streamed. A query word counts once.

Plain BM25 cannot compare queries: a long row scores high by its length alone, and divided by the most that it could
score, a short one of common words does. So each score is divided by the larger of two: what the auxiliary row scores
against itself, where a word that the primary does not have is as rare as can be, and what the primary's row does.
That is a share of the heavier of the two rows, in [0, 1], and 1 for two rows of the same words. The row's score is
the mean over its `nearest` best rows of the primary.

Letters: B rows in a batch · V words of the primary · n rows of the primary.
"""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt
from pydantic import Field

from fastmtl.config import Frozen
from fastmtl.methods import Scored, ScoreRequest
from fastmtl.plan import TaskRef
from fastmtl.words import Reader, grams

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

summary = (
    "How many words, the rare ones above all, the row shares with its nearest rows of the primary; trains nothing."
)
reads_texts = True

CELLS_AT_ONCE = 2**22
"""Scores of rows against rows of the primary that are held in memory together."""


class Options(Frozen):
    """BM25's two constants, and how near is near."""

    nearest: int = Field(
        8, ge=1, le=10_000, description="Primary rows that a row is compared with, or all where there are fewer."
    )
    # These two are what BM25 baselines on news and web text commonly use.
    k1: float = Field(0.9, ge=0, le=10, description="How much more a word says that stands in the row more often.")
    b: float = Field(
        0.4, ge=0, le=1, description="How far a long row's words count less: 0 not at all, 1 in proportion."
    )


class Index(NamedTuple):
    """The primary's rows, ready to be asked."""

    vocabulary: dict[str, int]
    weights: csr_matrix
    """float32 [V, n]; what a word adds to the score of a row."""
    rarity: npt.NDArray[np.float64]
    """[V + 1] inverse document frequency; the last is that of a word that no row has."""
    own: npt.NDArray[np.float32]
    """[n]; every row's score against itself."""
    mean_length: float
    """Words of a row."""


class Queries(NamedTuple):
    """Some auxiliary rows, as the index wants them."""

    known: csr_matrix
    """float32 [B, V]; 1 where the row has the word."""
    own: npt.NDArray[np.float32]
    """[B]; every row's score against itself."""


def score(request: ScoreRequest) -> list[Scored]:
    """Return the mean share, in [0, 1], of the nearest rows of the primary."""
    assert isinstance(request.options, Options)
    options = request.options
    rows_read = request.primary.rows + sum(task.rows for task in request.auxiliary)
    reader = Reader(request.datasets, rows_read, request.progress)
    index = build(request.primary, reader, options)
    scored = []
    for task in request.auxiliary:
        parts = [
            shared(queries(batch, index, options), index, options.nearest) for batch in reader.batches(task.digest)
        ]
        scored.append(Scored(np.concatenate(parts), np.zeros(task.rows, dtype=np.bool_)))
    return scored


def build(primary: TaskRef, reader: Reader, options: Options) -> Index:
    """Index the primary's rows, all in memory."""
    from bm25s import BM25  # here: listing methods and planning need only numpy
    from scipy.sparse import csr_matrix

    vocabulary: dict[str, int] = {}
    rows = [
        [vocabulary.setdefault(word, len(vocabulary)) for word in row]
        for batch in reader.batches(primary.digest)
        for row in batch
    ]
    found = BM25(method="lucene", k1=options.k1, b=options.b)
    found.index((rows, vocabulary), create_empty_token=False, show_progress=False)
    columns = found.scores
    shape = (len(vocabulary), len(rows))
    weights = csr_matrix((columns["data"], columns["indices"], columns["indptr"]), shape=shape)  # [V, n]
    frequency = np.append(np.diff(weights.indptr), 0)  # [V + 1]
    rarity = np.log(1 + (len(rows) - frequency + 0.5) / (frequency + 0.5))
    own = np.asarray(weights.sum(axis=0)).ravel()  # [n]
    return Index(vocabulary, weights, rarity, own, sum(map(len, rows)) / len(rows))


def queries(batch: list[list[str]], index: Index, options: Options) -> Queries:
    """Count the words of some rows."""
    from scipy.sparse import csr_matrix

    V, beyond = len(index.vocabulary), count(len(index.vocabulary))
    found = grams(batch, 1, lambda word: index.vocabulary.get(word, next(beyond)))
    span = next(beyond)
    pairs, times = np.unique(found.rows * span + found.ids, return_counts=True)
    rows, ids = np.divmod(pairs, span)  # [words that differ, of every row]
    lengths = np.array([len(row) for row in batch])
    often = times / (times + options.k1 * (1 - options.b + options.b * lengths[rows] / index.mean_length))
    own = np.bincount(rows, weights=index.rarity[np.minimum(ids, V)] * often, minlength=len(batch))  # [B]
    inside = ids < V
    ones = np.ones(np.count_nonzero(inside), dtype=np.float32)
    return Queries(csr_matrix((ones, (rows[inside], ids[inside])), shape=(len(batch), V)), own.astype(np.float32))


def shared(asked: Queries, index: Index, nearest: int) -> npt.NDArray[np.float32]:
    """Return [B]: the mean of the `nearest` largest shares with rows of the primary."""
    nearest = min(nearest, len(index.own))
    rows_at_once = max(1, CELLS_AT_ONCE // len(index.own))
    result = np.empty(len(asked.own), dtype=np.float32)
    for start in range(0, len(result), rows_at_once):
        stop = start + rows_at_once
        shares = (asked.known[start:stop] @ index.weights).toarray()  # [rows, n]
        shares /= np.maximum(asked.own[start:stop, None], index.own)
        largest = np.partition(shares, -nearest, axis=1)[:, -nearest:]
        result[start:stop] = np.sort(largest, axis=1).mean(axis=1)
    return result
