"""Does choosing help? One primary with few rows, every other GLUE task to choose from, several arms, several seeds.

The primary is `--rows` random rows of its training set, the auxiliaries are `--pool` random rows each of the other
seven, and what is measured on is the primary's whole validation set. All arms take the same number of optimiser steps
and are paired by seed; arms that draw (random, random_balanced, classifier) draw anew for every seed.

    python benchmarks/quality/run.py --data GLUE --primary rte --cache CACHE --seeds 3 --arms dsir embedding
    python benchmarks/quality/run.py --data GLUE --primary rte --cache CACHE --config '{"leak_guard": "off"}'

Appends one line of JSON to benchmarks/quality/results.jsonl; finished steps stand in CACHE, so a run that was stopped
goes on, and one more arm costs only itself. `benchmarks/quality/page.py` makes docs/evidence.md of the lines.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

import numpy as np
import psutil
import pyarrow.parquet as pq
import torch

from fastmtl.config import JobConfig
from fastmtl.device import describe
from fastmtl.local import select_rows

TASKS = ("rte", "mrpc", "stsb", "cola", "sst2", "mnli", "qqp", "qnli")
RESULTS = Path(__file__).parent / "results.jsonl"
BASE = {
    "preset": "small",
    "budget": 500,
    "explain": 0,
    "target": {"epochs": 2},
    "finetuning": {"epochs": 3},
    "options": {"gradient": {"slice_of": "embedding", "slice_times": 4}},
}
"""Fewer epochs than the preset's, and gradients of a slice only: sizes that finish on two CPU cores."""


def draw(data: Path, folder: Path, task: str, part: str, rows: int | None, name: str) -> Path:
    """Write `rows` random rows of a task (all if None), the same for every run."""
    table = pq.read_table(data / task / f"{part}.parquet", columns=["text_a", "text_b", "label"])
    if rows is not None and rows < table.num_rows:
        table = table.take(np.sort(np.random.default_rng(0).permutation(table.num_rows)[:rows]))
    target = folder / f"{name}.parquet"
    pq.write_table(table, target)
    return target


def measure(data: Path, primary: str, rows: int, pool: int, cache: Path, config: JobConfig) -> dict[str, object]:
    """Run one job and return its report with what it was made of."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        auxiliary = [draw(data, folder, task, "train", pool, task) for task in TASKS if task != primary]
        result = select_rows(
            draw(data, folder, primary, "train", rows, f"{primary}-few"),
            auxiliary,
            folder / "out",
            validation=draw(data, folder, primary, "validation", None, f"{primary}-validation"),
            config=config,
            cache=cache,
            device="cpu",
        )
        report = json.loads((result.folder / "report.json").read_text())
    machine = describe("cpu", config.precision)
    return {
        "primary": primary,
        "rows": rows,
        "pool": {key: summary.rows for key, summary in result.summaries.items()},
        "report": report,
        "machine": {
            "device": machine.name,
            "cores": psutil.cpu_count(),
            "precision": machine.precision,
            "torch": torch.__version__,
        },
    }


def main() -> None:
    """Run one job."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--primary", choices=TASKS, required=True)
    parser.add_argument("--rows", type=int, default=300)
    parser.add_argument("--pool", type=int, default=3000)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--arms", nargs="*", default=[], help="besides primary_only and random_balanced")
    parser.add_argument("--config", type=json.loads, default={}, help="more of a JobConfig, as JSON")
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--results", type=Path, default=RESULTS)
    given = parser.parse_args()
    compare = ["primary_only", "random_balanced", *given.arms]
    config = JobConfig.model_validate({**BASE, "repeats": given.seeds, "compare": compare, **given.config})
    line = json.dumps(measure(given.data, given.primary, given.rows, given.pool, given.cache, config))
    with given.results.open("a") as file:
        file.write(line + "\n")


if __name__ == "__main__":
    main()
