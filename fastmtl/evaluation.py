"""Metrics of each kind of task, honest splits, and what the difference of two arms is worth.

Letters: n rows · C classes.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats
from sklearn import metrics

from fastmtl.datasets import TaskKind

Rows = npt.NDArray[np.int64]
Floats = npt.NDArray[np.floating]
RESAMPLES = 2_000
CONFIDENCE = 0.95


@dataclass(frozen=True)
class Split:
    """The primary's own rows: what trains, what chooses the epoch, what is measured on."""

    train: Rows
    choice: Rows
    holdout: Rows
    """Empty where the user gave a validation dataset."""


def split(rows: int, holdout_share: float | None, choice_share: float, seed: int, choice_seed: int) -> Split:
    """Split `rows` rows; at least one always trains, and one is held out where a hold-out is asked for.

    `seed` draws what is held out, `choice_seed` which of the others choose the epoch: repetitions of a training are
    measured on the same rows.
    """
    order = np.random.default_rng(seed).permutation(rows)
    held = min(rows - 1, max(1, round(rows * holdout_share))) if holdout_share else 0
    chosen = round((rows - held) * choice_share) if rows - held > 1 else 0
    holdout, rest = np.split(order, [held])
    if choice_seed != seed:
        rest = np.random.default_rng(choice_seed).permutation(np.sort(rest))
    choice, train = np.split(rest, [chosen])
    return Split(np.sort(train), np.sort(choice), np.sort(holdout))


def headline(kind: TaskKind) -> str:
    """Return the one metric that an arm is judged by: accuracy, or Pearson's correlation. Higher is better."""
    return "accuracy" if kind == TaskKind.CLASSIFICATION else "pearson"


def predictions(kind: TaskKind, logits: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Return what the logits [n, C] say: class indices, or values; [n]."""
    if kind == TaskKind.REGRESSION:
        return logits[:, 0]
    return np.asarray(np.argmax(logits, axis=-1), dtype=np.float32)


def measure(kind: TaskKind, labels: Floats, predicted: Floats) -> dict[str, float | None]:
    """Return GLUE's metrics: accuracy, F1 and Matthews correlation, or Pearson's and Spearman's correlations.

    F1 is that of class 1 where there are two classes, else the mean over the classes. A correlation that is not
    defined, because either side is constant, is None.
    """
    if kind == TaskKind.CLASSIFICATION:
        average = "binary" if set(labels) | set(predicted) <= {0, 1} else "macro"
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a class without rows is told of by the dataset's own description
            return {
                "accuracy": float(metrics.accuracy_score(labels, predicted)),
                "f1": float(metrics.f1_score(labels, predicted, average=average, zero_division=0)),
                "matthews": float(metrics.matthews_corrcoef(labels, predicted)),
            }
    if len(labels) < 2 or np.ptp(labels) == 0 or np.ptp(predicted) == 0:
        return {"pearson": None, "spearman": None}
    return {
        "pearson": float(stats.pearsonr(labels, predicted).statistic),
        "spearman": float(stats.spearmanr(labels, predicted).statistic),
    }


@dataclass(frozen=True)
class Difference:
    """How much better the first of two arms is in the headline metric, on the same rows and with the same seeds."""

    value: float
    """Mean over the repetitions."""
    low: float
    high: float
    """Ends of the 95 % interval."""
    error: float
    """Standard error of `value`."""
    repeats: int
    """Paired repetitions; of one alone, the interval holds the chance of the rows only."""


def compare(
    kind: TaskKind, labels: Floats, first: Sequence[Floats], second: Sequence[Floats], seed: int
) -> Difference | None:
    """Compare two arms' predictions, one [n] a repetition, the r-th of both trained with the same seed.

    Two chances are in a figure: which rows were measured (a paired bootstrap over rows of the mean difference) and how
    the trainings fell out (Student's t over the repetitions' differences). The interval adds both in quadrature; what
    both share is counted twice, so it is too wide rather than too narrow. None where the metric is not defined.
    """
    gains = [_gain(kind, labels, *pair) for pair in zip(first, second, strict=True)]
    if len(labels) < 2 or any(gain is None for gain in gains):
        return None
    values = np.array(gains, dtype=np.float64)  # [R]
    value, repeats = float(values.mean()), len(values)
    drawn = np.random.default_rng(seed).integers(0, len(labels), (RESAMPLES, len(labels)))
    resampled = np.array([_mean_gain(kind, labels, first, second, rows) for rows in drawn])
    resampled = resampled[~np.isnan(resampled)]
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(resampled, [tail, 1 - tail])
    of_seeds = float(values.std(ddof=1) / np.sqrt(repeats)) if repeats > 1 else 0.0
    reach = of_seeds * float(stats.t.ppf(1 - tail, repeats - 1)) if repeats > 1 else 0.0
    return Difference(
        value=value,
        low=value - float(np.hypot(value - low, reach)),
        high=value + float(np.hypot(high - value, reach)),
        error=float(np.hypot(resampled.std(), of_seeds)),
        repeats=repeats,
    )


def _mean_gain(kind: TaskKind, labels: Floats, first: Sequence[Floats], second: Sequence[Floats], rows: Rows) -> float:
    """Return the mean difference over the repetitions on some rows; NaN where it is not defined for one."""
    gains = [_gain(kind, labels[rows], a[rows], b[rows]) for a, b in zip(first, second, strict=True)]
    return float(np.mean([np.nan if gain is None else gain for gain in gains]))


def _gain(kind: TaskKind, labels: Floats, first: Floats, second: Floats) -> float | None:
    """Return the difference of the headline metric, computed without the detours of `measure`."""
    if kind == TaskKind.CLASSIFICATION:
        return float(np.mean(first == labels) - np.mean(second == labels))
    if min(np.ptp(labels), np.ptp(first), np.ptp(second)) == 0:
        return None
    return float(np.corrcoef(labels, first)[0, 1] - np.corrcoef(labels, second)[0, 1])
