"""The leakage step: every leak once, in order, however the rows are cut into parts and whoever is done first."""

from __future__ import annotations

import csv
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from fastmtl.canonical import convert
from fastmtl.plan import StepSpec, Workspace
from fastmtl.steps import leakage

HELD = [f"the {animal} sleeps on the {place}" for animal in ("cat", "dog", "crow") for place in ("mat", "roof", "wall")]
OTHERS = [f"number {number} is written with {number % 7 + 1} letters" for number in range(40)]


def dataset(folder: Path, name: str, texts: list[str]) -> tuple[str, Path]:
    source, target = folder / f"{name}.csv", folder / f"{name}.parquet"
    with source.open("w", newline="") as file:
        csv.writer(file).writerows([("text", "label"), *((text, "ab"[row % 2]) for row, text in enumerate(texts))])
    return convert(source, target).digest, target


@pytest.mark.parametrize("rows_at_once", [1, 7, leakage.ROWS_AT_ONCE])
def test_leaks_stand_by_dataset_and_row_however_they_were_searched(tmp_path, monkeypatch, rows_at_once):
    monkeypatch.setattr(leakage, "ROWS_AT_ONCE", rows_at_once)
    held, first, second = (
        dataset(tmp_path, name, texts)
        for name, texts in (
            ("held", HELD),
            ("first", [*OTHERS[:20], *(text.upper() for text in HELD)]),
            ("second", [HELD[4], *OTHERS, HELD[2] + "x"]),
        )
    )
    told = []
    output = tmp_path / "out"
    output.mkdir()
    spec = StepSpec("leakage", "leakage", 1, {"held": held[0], "near": True}, datasets=(first[0], held[0], second[0]))
    paths = dict([held, first, second])
    result = leakage.run(spec, Workspace(paths, {}, output, "cpu", lambda *counted, **_: told.append(counted[:2])))
    listed = [
        (each["dataset"], each["row"], each["held_row"]) for each in pq.read_table(output / "leaks.parquet").to_pylist()
    ]
    assert listed == [
        *((first[0], 20 + row, row) for row in range(len(HELD))),
        (second[0], 0, 4),
        (second[0], 41, 2),
    ]
    assert result == {"leaks": {first[0]: len(HELD), second[0]: 2}}
    assert told[-1] == (71, 71) and told == sorted(told)
