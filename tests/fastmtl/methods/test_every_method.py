"""What holds for all methods: the same seed gives the same bits, and every row gets a score."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from tiny import write_encoder
from worlds import config, run, write_world

from fastmtl import methods


@pytest.mark.parametrize("method", methods.names())
def test_the_same_seed_gives_the_same_bits_twice(method: str, tmp_path: Path):
    encoder = write_encoder("bert-mlm", tmp_path / "encoder")
    known = {"bert": f"folder:{encoder}"}
    world = write_world(tmp_path)
    settings = config(method=method, explain=0)
    first, again = (run(world, tmp_path / name, known, config=settings, train=False) for name in ("a", "b"))
    assert first.digest == again.digest
    same = [(each.folder / "scores.parquet").read_bytes() for each in (first, again)]
    assert same[0] == same[1]
    scores = pq.read_table(first.folder / "scores.parquet")["score"].to_numpy()
    assert len(scores) == 120 and np.isfinite(scores).all()
