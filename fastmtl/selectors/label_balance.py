"""Even classes: each dataset gives as many rows as under `top`, and its classes share that number equally.

In turns, every class of a dataset gives its best row that is left; one that has none left drops out. In the last turn,
where there is no place for all of them, the better rows go first. A regression's labels are cut into bins of equal
width between the dataset's lowest and highest, and a bin is a class.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from pydantic import Field

from fastmtl.config import Frozen
from fastmtl.datasets import Dataset, TaskKind
from fastmtl.selectors import Pool, Selection, ranked
from fastmtl.selectors.caps import turns

summary = "As many rows of each dataset as `top` takes, shared equally among its classes as far as they have rows."


class Options(Frozen):
    """How numbers become classes."""

    bins: int = Field(5, ge=1, le=1_000, description="Classes that the labels of a regression are cut into.")


def select(pool: Pool, budget: int) -> Selection:
    """Choose the best rows of every class, in order of score."""
    assert isinstance(pool.options, Options)
    order = ranked(pool.scores)
    counts = np.bincount(order.datasets[:budget], minlength=len(pool.auxiliary)).tolist()
    places = []
    for index, (task, count) in enumerate(zip(pool.auxiliary, counts, strict=True)):
        if count:
            mine = np.flatnonzero(order.datasets == index)
            found = classes(Dataset.open(pool.datasets[task.digest]), pool.options.bins)[order.rows[mine]]
            places.append(mine[np.argsort(turns(found), kind="stable")][:count])
    return order.take(np.sort(np.concatenate(places)))


def classes(dataset: Dataset, bins: int) -> npt.NDArray[np.int64]:
    """Return the class of every row, from 0, [n]; the highest label of a regression is in its last bin."""
    if dataset.kind is TaskKind.REGRESSION:
        return _cut(dataset.labels().astype(np.float64), bins)
    labels: npt.NDArray[np.int64] = dataset.labels().astype(np.int64)
    return labels


def _cut(values: npt.NDArray[np.float64], bins: int) -> npt.NDArray[np.int64]:
    """Return the bin of every value, [n]; values that are all equal are one class."""
    above = values - values.min()
    width = above.max() / bins
    if width == 0:
        return np.zeros(len(values), dtype=np.int64)
    found: npt.NDArray[np.int64] = np.minimum(np.floor(above / width), bins - 1).astype(np.int64)
    return found
