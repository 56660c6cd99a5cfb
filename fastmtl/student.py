"""A student of the discriminator: what the network says of a row, guessed from its words alone.

A ridge regression, fitted on rows that the network scored, from the mean of the network's own word embeddings, the
row's lengths, and hashed single tokens and pairs of neighbours, to the logit of one task. All of it is linear, so it
comes down to tables: an entry a word and one a bucket of n-grams, added up over a row.

Letters: n rows · N tokens or n-grams of all rows · V words of the vocabulary · H width of an embedding · F dense
features · D buckets, B of them in use.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_matrix, vstack
from scipy.sparse.linalg import LinearOperator, cg
from threadpoolctl import threadpool_limits

from fastmtl.tokens import Tokens

Values = npt.NDArray[np.float64]
Single = npt.NDArray[np.float32]

BUCKETS = 2**18
PENALTY = 1.0
"""Of the ridge regression."""
DENSE_SQUARE = 6.0
"""Mean square length of a row's dense features; its n-grams' is about 1."""
LEAST_DEVIATION = 1e-6
"""Dense features that vary less than this say nothing."""
SURE = 1e-6
"""Probabilities are kept so far from 0 and 1: their logits beyond would be rounding alone."""
PRECISION = 1e-3
"""Of the solution, by the length of what is left of the equations: guesses spread over 1.3 were then off by 0.006."""
MOST_TURNS = 1_000
SHIFT = np.uint64(64 - (BUCKETS.bit_length() - 1))
# Odd numbers for multiplicative hashing (Knuth, The Art of Computer Programming, 6.4); others would do.
FIRST, SECOND, KIND = (np.uint64(each) for each in (0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9))


class Features(NamedTuple):
    """What a student sees of n rows."""

    dense: Single
    """[n, F]: the mean of the word embeddings, and logarithms of the row's length and of its second text's."""
    grams: csr_matrix
    """[n, D]: tokens and pairs of neighbours, each 1 / root of their number."""

    def rows(self, kept: npt.NDArray[Any]) -> Features:
        """Return those of some rows, by number or mask."""
        return Features(self.dense[kept], self.grams[kept])


class Student(NamedTuple):
    """What it takes to guess."""

    words: Single
    """[V]; a row has the mean over its tokens."""
    lengths: Single
    """[2], for the two logarithms."""
    grams: Single
    """[D]; a row has the sum over its n-grams, divided by the root of their number."""
    bias: float


class Fitted(NamedTuple):
    """A student, and what is needed to fit others that are much like it."""

    student: Student
    weights: Values
    """[n], one a row it was fitted on."""


def logits(probabilities: Single) -> Values:
    """Return what a student is taught, of the same shape."""
    kept = np.clip(probabilities.astype(np.float64), SURE, 1 - SURE)
    found: Values = np.log(kept) - np.log1p(-kept)
    return found


def features(tokens: Tokens, embeddings: Single) -> Features:
    """Return what a student sees of rows, by the network's word embeddings [V, H]."""
    means = _means(tokens, len(embeddings)) @ embeddings  # [n, H]
    return Features(np.concatenate([means, _lengths(tokens)], 1), _grams(tokens))


def joined(parts: list[Features]) -> Features:
    """Put the features of several runs of rows end to end."""
    return Features(np.concatenate([part.dense for part in parts]), vstack([part.grams for part in parts]).tocsr())


def fit(seen: Features, taught: Values, embeddings: Single) -> Fitted:
    """Fit to `taught` [n]; embeddings are those that the features were made with."""
    middle, scale = _standard(seen)
    rows = _Rows(seen, middle, scale)
    weights = rows.solve(taught, np.zeros(len(taught)))  # [n]
    sums, grams = rows.sums(weights)  # [F], [D]
    dense = sums * scale  # [F]
    bias = float(taught.mean() - rows.raw(weights).mean() - middle @ dense)
    words = (embeddings @ dense[:-2]).astype(np.float32)  # [V]
    return Fitted(Student(words, dense[-2:].astype(np.float32), grams, bias), weights)


def left_out(seen: Features, taught: Values, weights: Values, folds: npt.NDArray[np.int64], count: int) -> Values:
    """Return [n]: of every row of a fold from 0 to count - 1, what a student fitted without its fold would guess.

    Rows of fold -1 are in no fold, and NaN. `weights` are those of the student fitted on all rows, from which the
    search for the others begins.
    """
    middle, scale = _standard(seen)
    result = np.full(len(taught), np.nan)
    for fold in range(count):
        kept, out = folds != fold, folds == fold
        rows = _Rows(seen.rows(kept), middle, scale)
        found = rows.solve(taught[kept], weights[kept] - weights[kept].mean())
        centre = taught[kept].mean() - rows.raw(found).mean()
        result[out] = _Rows(seen.rows(out), middle, scale).times(*rows.sums(found)) + centre
    return result


def guess(student: Student, tokens: Tokens) -> Single:
    """Return the student's logit of every row, [n]; higher is more alike."""
    found = _means(tokens, len(student.words)) @ student.words + _lengths(tokens) @ student.lengths
    guessed: Single = (found + _grams(tokens) @ student.grams + np.float32(student.bias)).astype(np.float32)
    return guessed


class _Rows:
    """Rows as the regression takes them: their inner products are never written down, only multiplied with."""

    def __init__(self, seen: Features, middle: Values, scale: Values) -> None:
        self._dense = ((seen.dense - middle) * scale).astype(np.float32)  # [n, F]
        # Buckets that no row has would be added up as zeros, again and again.
        self._used, places = np.unique(seen.grams.indices, return_inverse=True)  # [B]
        shape = (len(self._dense), len(self._used))
        self._grams = csr_matrix((seen.grams.data, places, seen.grams.indptr), shape=shape)  # [n, B]
        self._across = self._grams.T.tocsr()  # [B, n]

    def sums(self, weights: Values) -> tuple[Single, Single]:
        """Return the features added up by weights, [F] and [D]."""
        dense, used = self._sums(weights)
        grams = np.zeros(BUCKETS, dtype=np.float32)
        grams[self._used] = used
        return dense, grams

    def times(self, dense: Single, grams: Single) -> Values:
        """Return [n]: the inner product of every row with [F] and [D]."""
        return self._times(dense, grams[self._used])

    def raw(self, weights: Values) -> Values:
        """Return [n]: the inner products with all rows, times the weights."""
        return self._times(*self._sums(weights))

    def _sums(self, weights: Values) -> tuple[Single, Single]:
        single = weights.astype(np.float32)
        return self._dense.T @ single, self._across @ single  # [F], [B]

    def _times(self, dense: Single, used: Single) -> Values:
        found: Values = (self._dense @ dense + self._grams @ used).astype(np.float64)
        return found

    def solve(self, taught: Values, start: Values) -> Values:
        """Return the weight of every row, [n], of sum zero: the intercept is not penalised, so all is centred."""
        n = len(taught)

        def multiplied(weights: Values) -> Values:
            raw = self.raw(weights - weights.mean())
            found: Values = raw - raw.mean() + PENALTY * weights
            return found

        equations = LinearOperator((n, n), matvec=multiplied, dtype=np.float64)
        wanted = taught - taught.mean()
        # One thread: the products are short, and with two on a busy machine they took seven times as long.
        with threadpool_limits(1, "blas"):
            weights, _ = cg(equations, wanted, x0=start, rtol=PRECISION, atol=0, maxiter=MOST_TURNS)
        solved: Values = weights - weights.mean()
        return solved


def _standard(seen: Features) -> tuple[Values, Values]:
    """Return what is taken off the dense features and what they are multiplied by, [F] each."""
    dense = seen.dense.astype(np.float64)
    deviation = dense.std(0)
    spread = np.sqrt(DENSE_SQUARE / dense.shape[1])
    scale = np.divide(spread, deviation, out=np.zeros_like(deviation), where=deviation > LEAST_DEVIATION)
    return dense.mean(0), scale


def _means(tokens: Tokens, vocabulary: int) -> csr_matrix:
    """Return [n, V]: by which the entries of a table are averaged over each row's tokens."""
    shares = np.repeat((1 / np.maximum(tokens.lengths, 1)).astype(np.float32), tokens.lengths)  # [N]
    return csr_matrix((shares, tokens.ids, tokens.offsets), shape=(len(tokens), vocabulary))


def _lengths(tokens: Tokens) -> Single:
    """Return [n, 2]: logarithms of the tokens of a row, and of those of its second text where they are told apart."""
    second = np.zeros(len(tokens))
    if tokens.types is not None:
        before = np.concatenate([[0], np.cumsum(tokens.types, dtype=np.int64)])
        second = before[tokens.offsets[1:]] - before[tokens.offsets[:-1]]
    return np.log1p(np.stack([tokens.lengths, second], 1)).astype(np.float32)


def _grams(tokens: Tokens) -> csr_matrix:
    """Return [n, D]: every token, with the text that it is of, and every pair of neighbours, each in its bucket."""
    lengths, ids = tokens.lengths, tokens.ids.astype(np.uint64)
    pairs = np.maximum(lengths - 1, 0)  # [n]
    kinds = np.zeros(len(ids), np.uint64) if tokens.types is None else tokens.types.astype(np.uint64)
    follows = np.ones(len(ids), dtype=np.bool_)
    follows[tokens.offsets[:-1][lengths > 0]] = False  # a row's first token has no left neighbour
    places = np.flatnonzero(follows)
    columns = np.empty(len(ids) + len(places), dtype=np.int32)
    columns[np.arange(len(ids)) + np.repeat(np.cumsum(pairs) - pairs, lengths)] = _bucket(ids * FIRST + kinds * KIND)
    neighbours = _bucket((ids[places - 1] * SECOND) ^ (ids[places] * FIRST + KIND))
    columns[np.arange(len(places)) + np.repeat(np.cumsum(lengths), pairs)] = neighbours
    count = lengths + pairs
    weights = np.repeat((1 / np.sqrt(np.maximum(count, 1))).astype(np.float32), count)
    return csr_matrix((weights, columns, np.concatenate([[0], np.cumsum(count)])), shape=(len(tokens), BUCKETS))


def _bucket(hashed: npt.NDArray[np.uint64]) -> npt.NDArray[np.int32]:
    """Return the bucket of each hash: the highest bits of a product, in which all lower ones have a part."""
    mixed = (hashed ^ (hashed >> np.uint64(32))) * FIRST
    return (mixed >> SHIFT).astype(np.int32)
