"""How scores are spread over each dataset, and where the cut lies.

A row group of scores.parquet is held at a time; between which bounds the scores lie its statistics tell unread.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow.compute as pc
import pyarrow.parquet as pq

BARS = 48

Counts = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Distributions:
    """How many rows of each dataset score how high."""

    edges: list[float]
    """Bounds of the bars, [BARS + 1]."""
    cut: float | None
    """The lowest score that was chosen; None where none was."""
    datasets: Mapping[str, tuple[list[int], list[int]]]
    """By key: all rows in each bar, and those of them that were chosen."""


def distributions(scores: Path, keys: Sequence[str]) -> Distributions:
    """Count the finite scores of a job's scores.parquet, dataset by dataset; `keys` are those of all its datasets."""
    with pq.ParquetFile(scores) as file:
        edges = _edges(file)
        counts = {key: (_none(), _none()) for key in keys}
        cut = np.inf
        for group in range(file.num_row_groups):
            table = file.read_row_group(group, columns=["dataset", "score", "selected"])
            values, selected = table["score"].to_numpy(), table["selected"].to_numpy()
            cut = min(cut, values[selected].min(initial=np.inf))
            for key in pc.unique(table["dataset"]).to_pylist():
                here = pc.equal(table["dataset"], key).to_numpy() & np.isfinite(values)
                everything, chosen = counts[key]
                everything += np.histogram(values[here], edges)[0]
                chosen += np.histogram(values[here & selected], edges)[0]
    return Distributions(
        edges=edges.tolist(),
        cut=float(cut) if np.isfinite(cut) else None,
        datasets={key: (of_all.tolist(), of_chosen.tolist()) for key, (of_all, of_chosen) in counts.items()},
    )


def _none() -> Counts:
    return np.zeros(BARS, dtype=np.int64)


def _edges(file: pq.ParquetFile) -> npt.NDArray[np.float64]:
    """Return the bounds of bars of one width that hold every finite score; [BARS + 1]."""
    place = file.schema_arrow.names.index("score")
    low, high = np.inf, -np.inf
    for group in range(file.num_row_groups):
        told = file.metadata.row_group(group).column(place).statistics
        if told is not None and told.has_min_max and np.isfinite([told.min, told.max]).all():
            bounds = told.min, told.max
        else:
            scores = file.read_row_group(group, columns=["score"])["score"].to_numpy()
            finite = scores[np.isfinite(scores)]
            bounds = finite.min(initial=np.inf), finite.max(initial=-np.inf)
        low, high = min(low, bounds[0]), max(high, bounds[1])
    if not low < high:
        low, high = (low - 0.5, low + 0.5) if np.isfinite(low) else (0.0, 1.0)
    edges = np.linspace(float(low), float(high), BARS + 1)
    edges[0], edges[-1] = min(edges[0], float(low)), max(edges[-1], float(high))
    return edges
