"""The table says what the records hold, whatever reads it."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from little_glue import little_glue

from fastmtl.config import JobConfig
from fastmtl.reproduce import glue, protocol, table
from fastmtl.reproduce.protocol import FULL, OURS, PRIMARY_ONLY, Grid, Run
from fastmtl.reproduce.table import Figure

SMALL = Grid(("mrpc",), ("random",), (5, 10), (0, 1))
BASE = JobConfig.model_validate({"encoder": {"name": "bert", "max_length": 16}})
SECONDS = {PRIMARY_ONLY: 10.0, FULL: 200.0, "random": 50.0}


@pytest.fixture
def data(tmp_path: Path) -> glue.Glue:
    return glue.prepare(little_glue(tmp_path / "glue"), tmp_path / "data", SMALL.primaries, 12)


@pytest.fixture
def runs(data: glue.Glue, known: dict[str, str]) -> list[Run]:
    return protocol.runs(SMALL, BASE, OURS, data, known)


def record(run: Run, accuracy: float | None) -> dict:
    machine = {"name": "a CPU", "precision": "fp32", "device": "cpu", "free_bytes": run.seed}
    metrics = {"accuracy": accuracy, "f1": 0.5, "matthews": 0.0}
    fingerprint = run.steps[-1].fingerprint
    seconds = SECONDS[run.arm]
    return {"key": run.key, "fingerprint": fingerprint, "metrics": metrics, "seconds": seconds, "machine": machine}


def test_a_line_is_mean_and_deviation_over_seeds_and_time_is_set_against_full(runs):
    records = {run.key: record(run, 0.6 + 0.02 * run.seed) for run in runs if run.budget != 10}
    found = table.rows(runs, records)
    assert [(row.arm, row.budget, row.relative_time) for row in found] == [
        (PRIMARY_ONLY, None, 0.05),
        (FULL, None, 1.0),
        ("random", 5, 0.25),
    ]
    assert found[2].metrics["f1"] == Figure(0.5, 0.0)
    # The deviation of 0.60 and 0.62 is 0.02 / √2 = 0.0141.
    shown = ["MRPC", "ours", "random", "5", "accuracy / f1", "61.0 ± 1.4 / 50.0 ± 0.0", "2", "50", "0.250"]
    assert table.cells(found[2]) == shown


def test_one_seed_has_no_deviation_and_a_metric_that_is_not_defined_no_mean(runs):
    some = {run.key: record(run, 0.6 if run.budget is None else None) for run in runs if run.seed == 0}
    found = table.rows(runs, some)
    assert [row.judged_by for row in found] == [*[Figure(0.6, None)] * 2, *[Figure(None, None)] * 2]
    assert (table.cells(found[0])[5:7], table.cells(found[2])[5:7]) == (
        ["60.0 / 50.0", "1 of 2"],
        ["- / 50.0", "1 of 2"],
    )


def test_the_files_hold_the_same_lines_and_what_is_needed_to_judge_them(runs, data, tmp_path):
    records = {run.key: record(run, 0.6) for run in runs}
    rows = table.rows(runs, records)
    told = table.write(tmp_path, rows, list(records.values()), SMALL, data, BASE.model_dump(mode="json"))
    with (tmp_path / "table.csv").open() as file:
        lines = list(csv.DictReader(file))
    assert [(each["arm"], each["budget"], each["accuracy_mean"], each["pearson_mean"]) for each in lines] == [
        (row.arm, str(row.budget or ""), "0.6", "") for row in rows
    ]
    markdown = (tmp_path / "table.md").read_text().splitlines()
    assert len(markdown) == 2 + len(rows) + 1 + len(told)
    results = json.loads((tmp_path / "results.json").read_text())
    assert "MNLI (12 of 392,702)" in results["data"]["training"]
    assert results["machines"] == [{"name": "a CPU", "precision": "fp32", "device": "cpu"}]
    assert (len(results["rows"]), results["grid"]["seeds"]) == (4, [0, 1])
    assert any("as many optimiser steps as a budget of 5" in note for note in told)
    assert [path.name for path in tmp_path.glob("*.part")] == []
