"""Which points of a map a report shows."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fastmtl.report.points import MOST_POINTS, points


def write_map(path: Path, sizes: dict[str, int], chosen: int) -> Path:
    """A map of datasets of these sizes, the primary's first; of the last one the first rows are chosen."""
    keys = [key for key, size in sizes.items() for _ in range(size)]
    rows = np.concatenate([np.arange(size) for size in sizes.values()])
    first, last = next(iter(sizes)), list(sizes)[-1]
    scores = [
        None if key == first else float("nan") if row == 0 else row / 8 for key, row in zip(keys, rows, strict=True)
    ]
    table = {"dataset": keys, "row": rows, "score": pa.array(scores, pa.float32())}
    table |= {"selected": [key == last and row < chosen for key, row in zip(keys, rows, strict=True)]}
    table |= {"x": np.arange(len(rows)) / 3, "y": -np.arange(len(rows)) / 3}
    pq.write_table(pa.table(table), path)
    return path


def test_a_small_map_is_shown_as_it_is(tmp_path: Path):
    found = points(write_map(tmp_path / "map.parquet", {"mine": 2, "other": 3}, chosen=1))
    assert found == {
        **{"of": 5, "datasets": ["mine", "other"], "dataset": [0, 0, 1, 1, 1], "row": [0, 1, 0, 1, 2]},
        **{"x": [0.0, 0.33, 0.67, 1.0, 1.33], "y": [0.0, -0.33, -0.67, -1.0, -1.33]},
        "score": [None, None, None, 0.125, 0.25],  # of the primary; not a number; 1/8, 2/8
        "chosen": [False, False, True, False, False],
    }


def test_of_a_large_map_half_are_chosen_rows_and_the_others_keep_their_shares(tmp_path: Path):
    found = points(write_map(tmp_path / "map.parquet", {"mine": 4_000, "more": 2_000, "other": 6_000}, chosen=4_000))
    drawn = np.bincount(found["dataset"], weights=~np.array(found["chosen"]))
    assert (found["of"], len(found["x"]), sum(found["chosen"])) == (12_000, MOST_POINTS, MOST_POINTS // 2)
    assert drawn == pytest.approx([225, 112.5, 112.5], abs=1)  # of 450: 4,000, 2,000 and 2,000 are not chosen
    assert json.loads(json.dumps(found, allow_nan=False)) == found


def test_where_few_are_not_chosen_the_chosen_ones_take_their_places(tmp_path: Path):
    found = points(write_map(tmp_path / "map.parquet", {"mine": 100, "other": 6_000}, chosen=6_000))
    assert (len(found["x"]), sum(found["chosen"])) == (MOST_POINTS, MOST_POINTS - 100)
