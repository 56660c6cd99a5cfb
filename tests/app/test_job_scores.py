"""How scores are spread: every row with a score counted once, in its dataset."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from looked_at import job_files

from app.job_scores import distributions_of
from fastmtl.report.distributions import BARS


def test_every_row_with_a_score_is_counted_in_its_dataset(tmp_path: Path):
    found = distributions_of(job_files(tmp_path))
    counted = {each.dataset: (sum(each.rows), sum(each.chosen)) for each in found.datasets}
    assert counted == {"animals": (5, 2), "shops": (6, 1)}  # one of the animals has no score
    assert (len(found.edges), found.edges[0], found.edges[-1]) == (BARS + 1, 0, pytest.approx(0.95))
    assert found.cut == pytest.approx(0.8)


def test_a_row_stands_in_the_bar_that_its_score_is_in(tmp_path: Path):
    found = distributions_of(job_files(tmp_path))
    (shops,) = [each for each in found.datasets if each.dataset == "shops"]
    bars = [index for index, rows in enumerate(shops.chosen) if rows]
    assert (bars, found.edges[47] < 0.95 <= found.edges[48] + 1e-6) == ([47], True)


@pytest.mark.parametrize("scores", [[0.5, 0.5], [float("nan")] * 2, [float("-inf"), 0.5]])
def test_odd_scores_have_bars_too(tmp_path: Path, scores: list[float]):
    files = job_files(tmp_path)
    columns = {"dataset": ["animals"] * 2, "row": [0, 1], "score": pa.array(scores, pa.float32())}
    pq.write_table(pa.table({**columns, "seen": [False] * 2, "selected": [False] * 2}), tmp_path / "scores.parquet")
    found = distributions_of(files)
    finite = sum(score == 0.5 for score in scores)
    assert (sum(found.datasets[0].rows), found.edges == sorted(found.edges), found.cut) == (finite, True, None)
