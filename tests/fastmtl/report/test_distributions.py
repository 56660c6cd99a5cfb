"""How scores are spread: every finite score counted once, whatever row group it stands in."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import given
from hypothesis import strategies as st

from fastmtl.report.distributions import BARS, distributions

SCORES = st.lists(st.floats(width=32), min_size=1, max_size=30)


@given(SCORES, st.integers(1, 10), st.randoms(use_true_random=False))
def test_every_finite_score_is_counted_in_its_dataset_and_the_cut_is_the_lowest_chosen(
    tmp_path_factory, scores, rows, draw
):
    scores = [each for each in scores if abs(each) < 1e30 or not np.isfinite(each)] or [0.5]
    finite = [bool(np.isfinite(each)) for each in scores]
    names = [draw.choice("ab") for _ in scores]
    chosen = [here and draw.random() < 0.5 for here in finite]
    columns = {"dataset": names, "score": pa.array(scores, pa.float32()), "selected": chosen}
    path: Path = tmp_path_factory.mktemp("scores") / "scores.parquet"
    pq.write_table(pa.table(columns), path, rows)
    found = distributions(path, ["a", "b", "none"])
    for key in "ab":
        mine = [index for index, name in enumerate(names) if name == key]
        assert (sum(found.datasets[key][0]), sum(found.datasets[key][1])) == (
            sum(finite[index] for index in mine),
            sum(chosen[index] for index in mine),
        )
    lowest = min((np.float32(each) for each, here in zip(scores, chosen, strict=True) if here), default=None)
    assert (found.cut, found.datasets["none"]) == (lowest, ([0] * BARS, [0] * BARS))
    assert found.edges == sorted(found.edges) and len(found.edges) == BARS + 1
