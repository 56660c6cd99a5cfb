"""DSIR: how much likelier the row's n-grams are in the primary than in all auxiliary data (Xie et al. 2023).

N-grams are hashed into buckets. The target distribution over buckets is counted on the primary's rows, the raw one on
all auxiliary rows together, and the log importance weight of a row is the sum of log target - log raw over its n-grams.
Words, n-grams and hash are those of the authors' package data-selection; with buckets=10_000, smoothing=1e-8 and
per_ngram=False the weights are the package's too. It chooses by a draw with these weights, which is for a selector to
do, and leaves out rows of fewer than 100 words, which most tasks' rows are: here every row is scored.

Letters: B rows in a batch · N n-grams of a batch.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from functools import partial

import numpy as np
import numpy.typing as npt
from pydantic import Field

from fastmtl.config import Frozen
from fastmtl.methods import Scored, ScoreRequest
from fastmtl.plan import TaskRef
from fastmtl.words import Grams, Reader, grams

summary = (
    "How much likelier the row's words and word pairs are in the primary than in the auxiliary data; trains nothing."
)
reads_texts = True

Values = npt.NDArray[np.float64]


class Options(Frozen):
    """What is counted, and how a row's sum becomes its score."""

    ngrams: int = Field(2, ge=1, le=3, description="Words of the longest n-gram; shorter ones count too.")
    # The package has 10,000. Some thousand rows have more than a hundred thousand n-grams that differ, and planted rows
    # were found the better the fewer of them shared a bucket; a million buckets take some 40 MB.
    buckets: int = Field(
        1_000_000,
        ge=1,
        le=10_000_000,
        description="Buckets that n-grams are hashed into: more tell more n-grams apart.",
    )
    # The package has 1e-8, which a primary of a few thousand rows is too small for: most n-grams that could well stand
    # there do not, and each of them would weigh more than all that speaks for the row.
    smoothing: float = Field(
        1e-5,
        ge=1e-12,
        le=0.1,
        description="Added to every bucket's two probabilities: the larger it is, the less a rare n-gram says.",
    )
    # The sum grows with the length of the row, for or against it: the best rows by the sum are the longest or, with
    # little smoothing, the shortest of all tasks. A draw of rows by their likelihood ratio wants the sum, an order of
    # rows of very unlike lengths the mean.
    per_ngram: bool = Field(
        True,
        description="Whether a row's sum is divided by the number of its n-grams: length alone then decides nothing.",
    )


def score(request: ScoreRequest) -> list[Scored]:
    """Return log importance weights, of a row or of its average n-gram; 0 is as likely here as there."""
    assert isinstance(request.options, Options)
    options, auxiliary = request.options, request.auxiliary
    rows_read = request.primary.rows + 2 * sum(task.rows for task in auxiliary)
    reader = Reader(request.datasets, rows_read, request.progress)
    target = distribution([request.primary], reader, options)
    raw = distribution(auxiliary, reader, options)
    ratios = np.log(target + options.smoothing) - np.log(raw + options.smoothing)  # [buckets]
    return [
        Scored(weights(task, reader, ratios, options).astype(np.float32), np.zeros(task.rows, dtype=np.bool_))
        for task in auxiliary
    ]


def bucket(gram: str, buckets: int) -> int:
    """Return the bucket of an n-gram, its words joined by a space."""
    return int.from_bytes(hashlib.sha256(gram.encode()).digest(), "big") % buckets


def distribution(tasks: Iterable[TaskRef], reader: Reader, options: Options) -> Values:
    """Return [buckets]: the share of each in all n-grams of all rows of the tasks."""
    counts = np.zeros(options.buckets, dtype=np.int64)
    for task in tasks:
        for batch in reader.batches(task.digest):
            counts += np.bincount(_hashed(batch, options).ids, minlength=options.buckets)
    shares: Values = counts / counts.sum()
    return shares


def weights(task: TaskRef, reader: Reader, ratios: Values, options: Options) -> Values:
    """Return [n]: the sum or the mean of the ratios [buckets] over the n-grams of every row."""
    parts = []
    for batch in reader.batches(task.digest):
        hashed = _hashed(batch, options)
        sums = np.bincount(hashed.rows, weights=ratios[hashed.ids], minlength=len(batch))  # [B]
        parts.append(sums / np.bincount(hashed.rows, minlength=len(batch)) if options.per_ngram else sums)
    return np.concatenate(parts)


def _hashed(batch: list[list[str]], options: Options) -> Grams:
    return grams(batch, options.ngrams, partial(bucket, buckets=options.buckets))
