"""Figures are drawn of whatever there is, and the same twice."""

from __future__ import annotations

from pathlib import Path

from fastmtl.reproduce.figures import draw
from fastmtl.reproduce.protocol import FULL, PRIMARY_ONLY
from fastmtl.reproduce.table import METRICS, Figure, Row


def row(primary: str, arm: str, budget: int | None, mean: float | None, protocol: str = "ours") -> Row:
    metrics = {name: Figure(mean, None if mean is None else 0.01) for name in METRICS[primary]}
    return Row(primary, protocol, arm, budget, metrics, 2, 2, 10.0, 1.0 if arm == FULL else 0.1)


def rows(protocol: str = "ours") -> list[Row]:
    ends = [row(task, end, None, 0.6, protocol) for task in ("rte", "stsb") for end in (PRIMARY_ONLY, FULL)]
    return [*ends, *(row(task, "CE-TD", budget, 0.7, protocol) for task in ("rte", "stsb") for budget in (5, 10))]


def bytes_of(paths: list[Path]) -> list[bytes]:
    return [path.with_suffix(suffix).read_bytes() for path in paths for suffix in (".png", ".svg")]


def test_each_protocol_has_figures_of_its_own_and_they_are_the_same_twice(tmp_path):
    listed = [*rows(), *rows("as published")]
    first, again = draw(listed, None, 0, tmp_path / "a"), draw(listed, None, 0, tmp_path / "b")
    names = ["budget-ours.png", "time-ours.png", "budget-as-published.png", "time-as-published.png"]
    assert [path.name for path in first] == names
    assert bytes_of(first) == bytes_of(again)


def test_a_metric_that_is_not_defined_leaves_a_gap_and_no_rows_no_figure(tmp_path):
    assert len(draw([row("rte", FULL, None, 0.5), row("rte", "CE-TD", 5, None)], None, 0, tmp_path)) == 2
    assert draw([], None, 0, tmp_path) == []
