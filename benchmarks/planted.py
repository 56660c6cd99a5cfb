"""Planted rows: how many of the rows of its own kind, hidden among others, the method finds.

Half of 2,400 rows of a task is the primary; the other half is hidden among 1,500 rows of each other task, as a dataset
of its own or mixed into another. The budget is the number of hidden rows left to choose (those that train the
discriminator are not). The figure is the share of the chosen rows that are hidden ones. The leak guard is off: a hidden
row that nearly repeats one of the primary is rightly chosen here.

    python benchmarks/planted.py --data GLUE --primary rte --host own --loss ce --seed 0
    python benchmarks/planted.py --data GLUE --primary mrpc --host qqp --seed 0
    python benchmarks/planted.py --data GLUE --primary rte --method dsir --cache planted-cache

GLUE is a folder with TASK/train.parquet (columns text_a, text_b, label). Prints one line of JSON. With --cache, steps
that methods share, the frozen encoder's vectors above all, are computed once; a run's seconds are those that its steps
took, whenever that was.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from fastmtl import cost
from fastmtl.artifacts import sha256
from fastmtl.canonical import convert
from fastmtl.config import JobConfig
from fastmtl.device import describe
from fastmtl.local import select_rows
from fastmtl.methods import draw_rows, get, names

TASKS = ("rte", "mrpc", "stsb", "cola", "sst2", "mnli", "qqp", "qnli")
PLANTED_ROWS, OTHER_ROWS = 2_400, 1_500


def build(data: Path, folder: Path, primary: str, host: str, seed: int) -> tuple[dict[str, Path], np.ndarray]:
    """Write the files; return them by name, primary first, and the numbers of the hidden rows in their dataset."""
    generator = np.random.default_rng(seed)
    tables = {}
    own = _draw(data / primary / "train.parquet", PLANTED_ROWS, generator)
    half = PLANTED_ROWS // 2
    tables["primary"], hidden = own.slice(0, half), own.slice(half)
    for task in TASKS:
        if task != primary:
            tables[task] = _draw(data / task / "train.parquet", OTHER_ROWS, generator)
    numbers = np.arange(half)
    if host == "own":
        tables["own"] = hidden
    else:
        mixed = pa.concat_tables([tables[host], hidden])
        order = generator.permutation(mixed.num_rows)
        tables[host], numbers = mixed.take(order), np.flatnonzero(order >= OTHER_ROWS)
    files = {name: folder / f"{name}.parquet" for name in tables}
    for name, table in tables.items():
        pq.write_table(table, files[name])
    return files, numbers


def _draw(path: Path, rows: int, generator: np.random.Generator) -> pa.Table:
    table = pq.read_table(path, columns=["text_a", "text_b", "label"])
    return table.take(generator.permutation(table.num_rows)[:rows])


def measure(data: Path, primary: str, host: str, config: JobConfig, seed: int, cache: Path | None) -> dict[str, object]:
    """Return precision and chance for one primary, one hiding place and one seed."""
    with tempfile.TemporaryDirectory() as scratch:
        files, hidden = build(data, Path(scratch), primary, host, seed)
        canonical = Path(scratch) / "canonical"
        rows = convert(files[host], canonical).rows
        trained_on = draw_rows(sha256(canonical), rows, get(config.method).rows_seen(config), config.seed)
        left = np.setdiff1d(hidden, trained_on)
        config = config.model_copy(update={"budget": len(left)})
        auxiliary = [path for name, path in files.items() if name != "primary"]
        result = select_rows(
            files["primary"],
            auxiliary,
            Path(scratch) / "out",
            config=config,
            cache=cache,
            device="cpu",
            train=False,
        )
        spent = _cost(cache or Path(scratch) / "out" / ".cache", result.digest)
        chosen = pq.read_table(result.folder / "selection.parquet").to_pylist()
        there = set(left.tolist())
        machine = describe("cpu", config.precision)
        found = sum(each["dataset"] == host and each["row"] in there for each in chosen)
        return {
            "primary": primary,
            "host": host,
            "method": config.method,
            "loss": config.discriminator.loss if config.method == "discriminator" else None,
            "options": config.options.get(config.method, {}),
            "seed": seed,
            "budget": len(left),
            "precision": round(found / len(left), 4),
            "chance": round(len(left) / sum(each["eligible"] for each in result.counts.values()), 4),
            **spent,
            "discriminator": config.discriminator.model_dump(),
            "machine": {"device": machine.name, "precision": machine.precision, "torch": torch.__version__},
        }


def _cost(cache: Path, digest: str) -> dict[str, float]:
    """Return seconds and peak memory of all steps that led to a selection, and rows scored a second."""
    (counts,) = (path for path in cache.glob("*/counts.json") if json.loads(path.read_text())["digest"] == digest)
    records = cost.read(counts.parent).values()
    rate = cost.rows_per_second(records)
    whole = cost.total(records)
    return {
        "seconds": round(whole["seconds"], 1),
        "peak_mib": round(whole["bytes"] / 2**20),
        "rows_per_second": rate and round(rate, 1),
    }


def main() -> None:
    """Measure once and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--primary", choices=TASKS, default="rte")
    parser.add_argument("--host", default="own", help="'own', or the task that the rows are mixed into")
    parser.add_argument("--method", choices=names(), default="discriminator")
    parser.add_argument("--loss", choices=("ce", "bce"), default="ce")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--config", type=json.loads, default={}, help="more of a JobConfig, as JSON")
    parser.add_argument("--cache", type=Path, help="keep finished steps here")
    given = parser.parse_args()
    settings = {
        "preset": "small",
        "leak_guard": "off",
        "explain": 0,
        "method": given.method,
        "seed": given.seed,
        **given.config,
    }
    settings["discriminator"] = {"loss": given.loss, **settings.get("discriminator", {})}
    config = JobConfig.model_validate(settings)
    print(json.dumps(measure(given.data, given.primary, given.host, config, given.seed, given.cache)), flush=True)


if __name__ == "__main__":
    main()
