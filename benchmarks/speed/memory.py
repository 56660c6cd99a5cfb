"""The memory that scoring takes at its peak, of few rows and of ten times as many.

    python benchmarks/speed/memory.py --data GLUE --rows 100000 1000000

GLUE's rows, drawn in proportion to the tasks' sizes and as often as it takes, in an order of their own each time, are
scored by the steps of a job: TD-MTDNN, which is trained on a few, the shards, and the ranking. Each step runs in a
process of its own, as a worker runs it, and tells its peak. The encoder is a small one with random weights: what is
asked is how memory grows.
"""

from __future__ import annotations

import json
import multiprocessing
import re
import sys
import tempfile
from pathlib import Path

import kit
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from fastmtl import methods, pipeline
from fastmtl.artifacts import Cache
from fastmtl.canonical import convert
from fastmtl.config import JobConfig
from fastmtl.encoders import Known, describe
from fastmtl.plan import Json, StepSpec, TaskRef, Workspace, in_order, silent

sys.path.insert(0, str(Path(__file__).parents[2] / "tests" / "support"))
from tiny import write_encoder

MIB = 2**20


def write_pool(data: Path, folder: Path, rows: int) -> dict[str, tuple[Path, TaskRef]]:
    """Write so many rows as datasets, single texts and pairs, and a small primary; return them by name."""
    drawn = kit.in_proportion(data, min(rows, 200_000))
    found = {}
    for texts in drawn:
        wanted = round(rows * len(texts) / sum(map(len, drawn)))
        order = np.concatenate(
            [np.random.default_rng(turn).permutation(len(texts)) for turn in range(wanted // len(texts) + 1)]
        )
        found[texts.task] = kept(folder, texts.task, table_of(texts).take(pa.array(order[:wanted])))
    return found


def table_of(texts: kit.Texts) -> pa.Table:
    """Return rows as a table."""
    second = texts.text_b or [None] * len(texts)
    return pa.table({"text_a": texts.text_a, "text_b": second, "label": list(map(str, texts.labels))})


def kept(folder: Path, name: str, table: pa.Table) -> tuple[Path, TaskRef]:
    """Write a dataset in its canonical form."""
    source, target = folder / f"{name}.parquet", folder / f"{name}.canonical"
    pq.write_table(table if table["text_b"].null_count == 0 else table.drop_columns("text_b"), source)
    summary = convert(source, target)
    source.unlink()
    return target, TaskRef(name, summary.digest, summary.rows)


def run(step: StepSpec, datasets: dict[str, Path], inputs: dict[str, Path], output: Path) -> None:
    """Run a step and leave its result and its peak beside its output."""
    tokens = {digest: path.with_suffix(".tokens") for digest, path in datasets.items()}
    result = pipeline.run(step, Workspace(datasets, inputs, output, "cpu", silent, tokens=tokens))
    output.with_suffix(".json").write_text(json.dumps([result, peak()]))


def peak() -> int:
    """Return the most bytes that this process has held; what `getrusage` tells counts the one that started it, too."""
    told = re.search(r"^VmHWM:\s+(\d+) kB$", Path("/proc/self/status").read_text(), re.MULTILINE)
    assert told, "only Linux tells it"
    return 1024 * int(told[1])


def peaks(data: Path, folder: Path, rows: int, known: Known) -> Json:
    """Score so many rows; return the peaks of the steps."""
    pool = write_pool(data, folder, rows)
    datasets = {ref.digest: path for path, ref in pool.values()}
    refs = [ref for _, ref in pool.values()]
    config = JobConfig.model_validate(
        {
            "preset": "small",
            "encoder": {"name": "small", "max_length": 64},
            "budget": 1_000,
            "discriminator": {"rows_per_task": 50},
        }
    )
    ordered = [refs[0], *in_order(refs[1:])]
    steps = methods.plan("discriminator", config, describe(config.encoder, known), ordered, label="rank")
    cache, folders, found = Cache(folder / "cache"), {}, []
    for step in steps:
        with cache.writing() as output:
            inputs = {need: folders[need] for need in step.needs}
            process = multiprocessing.get_context("spawn").Process(target=run, args=(step, datasets, inputs, output))
            process.start()
            process.join()
            assert process.exitcode == 0, step.name
            result, most = json.loads(output.with_suffix(".json").read_text())
            output.with_suffix(".json").unlink()
            folders[step.fingerprint] = cache.keep(output, step.fingerprint, result)
        found.append((step.kind, most / MIB))
    scored = [most for kind, most in found if kind != "discriminator"]
    by_kind = {kind: round(max(most for each, most in found if each == kind), 1) for kind, _ in found}
    return {"rows": sum(ref.rows for ref in refs), "shards": len(scored), "peak_mib": max(scored), "by_step": by_kind}


def main() -> None:
    """Measure and write down."""
    parser = kit.parser(__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--rows", type=int, nargs=2, default=[100_000, 1_000_000])
    given = parser.parse_args()
    about = kit.machine()
    runs = []
    for rows in given.rows:
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch)
            known = {"small": f"folder:{write_encoder('bert', folder / 'encoder')}"}
            runs.append(peaks(given.data, folder, rows, known))
            print(runs[-1], flush=True)
    ratio = runs[1]["peak_mib"] / runs[0]["peak_mib"]
    kit.write("memory", {"runs": runs, "ratio": round(ratio, 3), "machine": about}, given.results)


if __name__ == "__main__":
    main()
