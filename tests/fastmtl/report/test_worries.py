"""What is worth knowing about a dataset: the same sentences as on the web page."""

from __future__ import annotations

from pathlib import Path

import pytest
from pools import write_dataset

from fastmtl.datasets import Dataset, TaskKind
from fastmtl.report.worries import worries

MANY = [(f"text {row}", ("yes", "no")[row % 2]) for row in range(10)]


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        (MANY, []),
        ([*MANY, MANY[0]], ["1 row says what an earlier row says already."]),
        ([*MANY, ("text 0", "no"), ("text 0", "yes")], ["2 rows say what an earlier row says already."]),
        ([*MANY, ("a", "rare")], ["Fewer than five rows each have the label rare."]),
        (
            [*MANY, *[(f"a {row}", f"c{row}") for row in range(7)]],
            ["Fewer than five rows each have the label c0, c1, c2, c3, c4 and 2 others."],
        ),
    ],
)
def test_repeated_rows_and_small_classes_are_told_of(tmp_path: Path, rows: list, told: list[str]):
    write_dataset(tmp_path, "mine", rows)
    assert worries(Dataset.open(tmp_path / "mine")) == told


def test_a_pair_repeats_another_if_both_texts_do_and_numbers_are_no_classes(tmp_path: Path):
    rows = [("a", "b", "0.5"), ("a", "c", "0.25"), ("a", "b", "2.5")]
    write_dataset(tmp_path, "mine", rows, TaskKind.REGRESSION)
    assert worries(Dataset.open(tmp_path / "mine")) == ["1 row says what an earlier row says already."]
