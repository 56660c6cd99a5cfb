"""How many tokens a dataset's rows have, told from how many characters, before any of them is tokenized.

A summary knows the mean, the median, the 95th percentile and the longest row. Lengths are taken to rise in straight
lines between those, and beyond the 95th percentile as steeply as the mean wants; a token is so many characters as was
measured, and a row is cut at `max_length`.

Torch-free.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fastmtl.summary import Lengths

Floats = npt.NDArray[np.float64]

POINTS = 64
"""Quantiles that stand for a dataset's lengths, evenly spaced."""
SHORTEST = 1 / 3
"""Of the median: the length that the shortest rows are taken to have. Of GLUE's tasks they have 0.1 to 0.5 of it."""
TAIL = 0.05
STEEPEST = 20.0
MOST_CUT = 0.9
"""Of `max_length`: a mean beyond it tells no more how long rows would be uncut."""
RATES = (0.005, 8.0)
"""Tokens a character that are looked for: no tokenizer lies outside."""
MARKS = 2
"""Tokens that are added to a single text, [CLS] and [SEP]; a pair has one more."""


@dataclass(frozen=True)
class RowLengths:
    """Rows of a dataset as an encoder sees them."""

    rows: int
    tokens: tuple[float, ...]
    """Evenly spaced quantiles of a row's length, rising; none where there is no row."""
    characters: float
    """Mean of a row, both texts together."""
    doubt: float
    """Standard deviation of the logarithm of the mean length: how little is known of it."""

    @property
    def mean(self) -> float:
        """Tokens of a row."""
        return float(np.mean(self.tokens)) if self.tokens else 0.0

    def scaled(self, rows: int, mean: float) -> RowLengths:
        """Return as many rows of that mean, with lengths spread as these."""
        times = mean / self.mean if self.mean else 1.0
        return RowLengths(rows, tuple(times * each for each in self.tokens), times * self.characters, self.doubt)

    @property
    def square(self) -> float:
        """Mean square of a row's tokens."""
        return float(np.mean(np.square(self.tokens))) if self.tokens else 0.0


def in_tokens(
    rows: int, lengths: Lengths, *, pair: bool, per_character: float, max_length: int, doubt: float
) -> RowLengths:
    """Return the lengths that rows have in tokens, at so many tokens a character."""
    tokens = _tokens(_characters(lengths), pair, per_character, max_length)
    return RowLengths(rows, tuple(tokens.tolist()), lengths.mean, doubt)


def per_character(lengths: Lengths, *, pair: bool, mean_tokens: float, max_length: int) -> float:
    """Return how many tokens a character is where rows have so many on average.

    It says little of longer rows where `mostly_cut`.
    """
    characters = _characters(lengths)
    low, high = RATES
    for _ in range(60):
        middle = (low + high) / 2
        if float(_tokens(characters, pair, middle, max_length).mean()) < mean_tokens:
            low = middle
        else:
            high = middle
    return high


def mostly_cut(mean_tokens: float, max_length: int) -> bool:
    """Whether rows of that mean would be much longer if they were not cut."""
    return mean_tokens > MOST_CUT * max_length


def mixed(parts: Sequence[tuple[RowLengths, float]]) -> RowLengths:
    """Return the lengths of rows drawn from several datasets, each with the number drawn of it."""
    drawn = [(part, rows) for part, rows in parts if rows > 0 and part.tokens]
    if not drawn:
        return RowLengths(0, (), 0.0, 0.0)
    shares = np.array([rows for _, rows in drawn])
    values = np.concatenate([part.tokens for part, _ in drawn])
    weights = np.repeat(shares / shares.sum(), [len(part.tokens) for part, _ in drawn])
    order = np.argsort(values, kind="stable")
    places = np.cumsum(weights[order]) - weights[order] / 2
    tokens = np.interp(_places() * places[-1], places, values[order])
    characters = float(np.average([part.characters for part, _ in drawn], weights=shares))
    doubt = float(np.average([part.doubt for part, _ in drawn], weights=shares))
    return RowLengths(round(float(shares.sum())), tuple(tokens.tolist()), characters, doubt)


def _places() -> Floats:
    return (np.arange(POINTS) + 0.5) / POINTS


def _characters(lengths: Lengths) -> Floats:
    """Return quantiles of a row's characters whose mean is the summary's, [POINTS]."""
    values = _rising(lengths, SHORTEST * lengths.median)
    short = lengths.mean - float(values.mean())
    if short > 0:  # the shortest are not that short, then: they weigh a quarter
        values = _rising(lengths, min(lengths.median, SHORTEST * lengths.median + 4 * short))
    mean = float(values.mean())
    scaled: Floats = np.minimum(values * (lengths.mean / mean if mean else 1.0), lengths.longest)
    return scaled


def _rising(lengths: Lengths, shortest: float) -> Floats:
    """Return quantiles from the shortest to the longest row, the last of them as steep as the mean wants."""
    places = _places()
    values = np.interp(places, [0, 0.5, 1 - TAIL], [shortest, lengths.median, lengths.p95])
    tail = places > 1 - TAIL
    room = float(lengths.longest - lengths.p95)
    wanted = (lengths.mean * POINTS - float(values[~tail].sum())) / int(tail.sum()) - lengths.p95
    steepness = float(np.clip(room / wanted - 1, 1, STEEPEST)) if wanted > 0 else STEEPEST
    values[tail] = lengths.p95 + room * ((places[tail] - 1 + TAIL) / TAIL) ** steepness
    return values


def _tokens(characters: Floats, pair: bool, rate: float, max_length: int) -> Floats:
    tokens: Floats = np.minimum(max_length, MARKS + pair + rate * characters)
    return tokens
