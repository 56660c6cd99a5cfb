"""The selection of the paper's first primary: RTE, the other seven GLUE tasks as auxiliaries, budget 1,000.

    python benchmarks/glue_select.py --data GLUE --max-rows 6000 --epochs 5

GLUE is a folder with TASK/train.parquet. Trains TD-MTDNN on 500 rows of each task, scores every row, selects; prints
one line of JSON with the rows chosen by dataset and, for each step, seconds and rows a second.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path

import numpy as np
import psutil
import pyarrow.parquet as pq
import torch

from fastmtl.config import JobConfig
from fastmtl.device import describe
from fastmtl.local import select_rows
from fastmtl.plan import Progress, StepSpec

PRIMARY = "rte"
AUXILIARY = ("mrpc", "stsb", "cola", "sst2", "mnli", "qqp", "qnli")


class Timer:
    """Notes when a step begins and how many rows it passes."""

    def __init__(self) -> None:
        self.began: dict[str, float] = {}
        self.rows: dict[str, int] = {}

    def __call__(self, step: StepSpec) -> Progress:
        """Return a progress for the step."""
        self.began[step.name] = time.monotonic()

        def progress(done: int, total: int, unit: str, message: str = "") -> None:
            self.rows[step.name] = done

        return progress

    def table(self, end: float) -> dict[str, dict[str, float]]:
        """Return seconds and rows a second by step."""
        starts = [*self.began.items()]
        ends = [*[start for _, start in starts[1:]], end]
        return {
            name: {
                "seconds": round(stop - start, 1),
                "rows": self.rows.get(name, 0),
                "rows_per_second": round(self.rows.get(name, 0) / (stop - start), 1),
            }
            for (name, start), stop in zip(starts, ends, strict=True)
        }


def sampled(data: Path, folder: Path, task: str, max_rows: int) -> Path:
    """Write at most `max_rows` rows of a task, drawn with a fixed seed."""
    table = pq.read_table(data / task / "train.parquet", columns=["text_a", "text_b", "label"])
    if task != PRIMARY and table.num_rows > max_rows:
        table = table.take(np.sort(np.random.default_rng(0).permutation(table.num_rows)[:max_rows]))
    pq.write_table(table, folder / f"{task}.parquet")
    return folder / f"{task}.parquet"


def main() -> None:
    """Run once and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--max-rows", type=int, default=6000)
    parser.add_argument("--budget", type=int, default=1000)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    config = JobConfig.model_validate(
        {
            "preset": "small",
            "budget": given.budget,
            "seed": given.seed,
            "discriminator": {"epochs": given.epochs},
        }
    )
    timer = Timer()
    with tempfile.TemporaryDirectory() as scratch:
        files = [sampled(given.data, Path(scratch), task, given.max_rows) for task in (PRIMARY, *AUXILIARY)]
        began = time.monotonic()
        result = select_rows(
            files[0], files[1:], Path(scratch) / "out", config=config, device="cpu", train=False, progress=timer
        )
        end = time.monotonic()
        chosen = pq.read_table(result.folder / "selection.parquet").to_pylist()
    machine = describe("cpu", config.precision)
    print(
        json.dumps(
            {
                "chosen": len({(each["dataset"], each["row"]) for each in chosen}),
                "by_dataset": {key: each["selected"] for key, each in result.counts.items()},
                "steps": timer.table(end),
                "seconds": round(end - began, 1),
                "config": {
                    "epochs": given.epochs,
                    "rows_per_task": 500,
                    "max_rows": given.max_rows,
                    "seed": given.seed,
                },
                "machine": {"device": machine.name, "precision": machine.precision, "torch": torch.__version__},
                "load_before": psutil.getloadavg()[0],
            }
        )
    )


if __name__ == "__main__":
    main()
