"""Metrics of each kind of task, honest splits, and what the difference of two arms is worth.

Letters: n rows · C classes.
"""

from __future__ import annotations

import warnings
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


def split(rows: int, holdout_share: float | None, choice_share: float, seed: int) -> Split:
    """Split `rows` rows; at least one always trains, and one is held out where a hold-out is asked for."""
    order = np.random.default_rng(seed).permutation(rows)
    held = min(rows - 1, max(1, round(rows * holdout_share))) if holdout_share else 0
    chosen = round((rows - held) * choice_share) if rows - held > 1 else 0
    holdout, choice, train = np.split(order, [held, held + chosen])
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
    """How much better the first of two arms is, on the same rows."""

    value: float
    low: float
    high: float
    """Ends of the paired bootstrap interval over rows: chance of the rows, not of the seed."""


def compare(kind: TaskKind, labels: Floats, first: Floats, second: Floats, seed: int) -> Difference | None:
    """Return the headline metric of `first` less that of `second`; None where it is not defined."""
    value = _gain(kind, labels, first, second)
    if value is None or len(labels) < 2:
        return None
    generator = np.random.default_rng(seed)
    drawn = generator.integers(0, len(labels), (RESAMPLES, len(labels)))
    gains = [gain for rows in drawn if (gain := _gain(kind, labels[rows], first[rows], second[rows])) is not None]
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(gains, [tail, 1 - tail])
    return Difference(value, float(low), float(high))


def _gain(kind: TaskKind, labels: Floats, first: Floats, second: Floats) -> float | None:
    """Return the difference of the headline metric, computed without the detours of `measure`."""
    if kind == TaskKind.CLASSIFICATION:
        return float(np.mean(first == labels) - np.mean(second == labels))
    if min(np.ptp(labels), np.ptp(first), np.ptp(second)) == 0:
        return None
    return float(np.corrcoef(labels, first)[0, 1] - np.corrcoef(labels, second)[0, 1])
