"""The map as it is told: a point a row."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from looked_at import job_files, stored

from app.errors import Conflict
from app.job_map import map_of


def test_a_point_says_whose_row_it_is_and_where_it_lies(tmp_path: Path):
    points = {"dataset": ["primary", "shops"], "row": [3, 1], "score": pa.array([None, 0.5], pa.float32())}
    points |= {"selected": [False, True], "x": [1.23456, -2.0], "y": [0.0, 4.00049]}
    pq.write_table(pa.table(points), tmp_path / "map.parquet")
    files = job_files(tmp_path, map_points=10)._replace(map=stored(tmp_path / "map.parquet"))
    assert map_of(files).model_dump() == {
        **{"datasets": ["primary", "animals", "shops"], "dataset": [0, 2], "row": [3, 1], "score": [None, 0.5]},
        **{"chosen": [False, True], "x": [1.235, -2.0], "y": [0.0, 4.0]},
    }


def test_a_map_that_is_not_drawn_yet_is_said_to_be_none(tmp_path: Path):
    with pytest.raises(Conflict, match="the map of 10 points is not drawn yet: its config says map_points 10"):
        map_of(job_files(tmp_path, map_points=10))
