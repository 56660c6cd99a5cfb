"""The points of a map that a report shows: a part of them, the same from the same file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq

from fastmtl.plan import Json

MOST_POINTS = 900
"""More would make the page too heavy for a mail, and hide one another at its width."""
CHOSEN_SHARE = 0.5
"""Of them, at least, where so many chosen rows are on the map."""
DIGITS = 2
"""Of a place: the plane is some tens wide."""

Places = npt.NDArray[np.int64]


def points(path: Path) -> Json:
    """Return what is drawn of a map.parquet: {of, datasets, dataset, row, x, y, score, chosen}.

    `of` counts all its points, `dataset` is a place among `datasets`, the primary's first; the others' lists are as
    long as there are points. `score` is None of the primary's rows and of those that have none.
    """
    table = pq.read_table(path)
    selected = table["selected"].to_numpy()
    chosen, others = np.flatnonzero(selected), np.flatnonzero(~selected)
    best = _spread(chosen, max(round(CHOSEN_SHARE * MOST_POINTS), MOST_POINTS - len(others)))
    shown = table.take(np.sort(np.concatenate([best, _spread(others, MOST_POINTS - len(best))])))
    datasets = list(dict.fromkeys(table["dataset"].to_pylist()))  # the file has the primary's first
    places = {key: index for index, key in enumerate(datasets)}
    return {
        "of": table.num_rows,
        "datasets": datasets,
        "dataset": [places[key] for key in shown["dataset"].to_pylist()],
        "row": shown["row"].to_pylist(),
        "x": shown["x"].to_numpy().astype(float).round(DIGITS).tolist(),
        "y": shown["y"].to_numpy().astype(float).round(DIGITS).tolist(),
        "score": [each if each is None or each == each else None for each in shown["score"].to_pylist()],
        "chosen": shown["selected"].to_pylist(),
    }


def _spread(places: Places, count: int) -> Places:
    """Return so many of the places, evenly from all of them: each dataset keeps its share."""
    if len(places) <= count:
        return places
    return places[np.linspace(0, len(places) - 1, count).round().astype(np.int64)]
