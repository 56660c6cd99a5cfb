"""The cascade against scoring everything: seconds, and how many of the same rows both put first.

    python benchmarks/speed/cascade.py --data GLUE                          # every row of the eight tasks
    python benchmarks/speed/cascade.py --data GLUE --slice-times 10 15 20   # what a larger slice brings and costs

One TD-MTDNN is trained; every row of all tasks is scored in full, once; then, for each primary, the cascade's own steps
choose. Seconds are the steps' own, tokenising and loading of the network included on both sides, the training that both
need on neither; of the cascade all its steps count for every primary, though tokens and sample are made once. The
overlap is of the `--budget` best rows that may be chosen, ties by (dataset, row), beside what the cascade says of
itself.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

import job
import kit
import numpy as np
import numpy.typing as npt

from fastmtl import cascade, cost, methods
from fastmtl.artifacts import Cache
from fastmtl.canonical import convert
from fastmtl.config import JobConfig
from fastmtl.device import make_deterministic
from fastmtl.encoders import KNOWN, describe
from fastmtl.local import run_steps
from fastmtl.plan import Json, StepSpec, TaskRef, in_order, silent
from fastmtl.steps import rank

METHOD = "discriminator"
PRIMARIES = ("rte", "mrpc", "stsb")
KINDS = ("score", "tokens", "sample", "cascade")
"""Steps whose seconds count."""


class World:
    """The datasets, and the steps that were run on them."""

    def __init__(self, data: Path, folder: Path, max_rows: int | None, device: str) -> None:
        """Write rows as a user would have them, and read them as a job does."""
        self._cache = Cache(folder / "cache")
        self._device = device
        self._paths: dict[str, Path] = {}
        self.tasks: dict[str, TaskRef] = {}
        for task in kit.TASKS:
            summary = convert(job.write(folder, kit.read(data, task, max_rows), task), folder / f"{task}.canonical")
            self._paths[summary.digest] = folder / f"{task}.canonical"
            self.tasks[task] = TaskRef(task, summary.digest, summary.rows)

    def rank(self, primary: str, config: JobConfig) -> tuple[Path, list[StepSpec]]:
        """Rank all rows of the other tasks; return the folder of the ranking and the steps that lead to it."""
        auxiliary = in_order(ref for task, ref in self.tasks.items() if task != primary)
        tasks = [self.tasks[primary], *auxiliary]
        steps = methods.plan(METHOD, config, describe(config.encoder, KNOWN), tasks, label="rank")
        folders, _, _ = run_steps(steps, self._cache, self._paths, self._device, lambda step: silent)
        return folders[steps[-1].fingerprint], steps

    def best(self, ranking: Path, primary: str, budget: int) -> npt.NDArray[np.int64]:
        """Return the best rows that may be chosen, counted through all datasets, best first."""
        digests = [ref.digest for ref in in_order(ref for task, ref in self.tasks.items() if task != primary)]
        found = rank.read(ranking, digests)
        scores = np.concatenate([np.where(each.seen, -np.inf, each.scores) for each in found])
        return np.argsort(-scores, kind="stable")[:budget]


def seconds(ranking: Path, steps: Sequence[StepSpec]) -> dict[str, float]:
    """Return what each kind of step took."""
    records = [record for record in cost.read(ranking).values() if record["kind"] in KINDS]
    assert {each.kind for each in steps if each.kind in KINDS} == {each["kind"] for each in records}
    kinds = dict.fromkeys(each["kind"] for each in records)
    return {kind: round(sum(each["seconds"] for each in records if each["kind"] == kind), 2) for kind in kinds}


def compared(world: World, primary: str, config: JobConfig, times: int, sample_rows: int) -> Json:
    """Return both sides' seconds, their overlap, and what the cascade says of itself."""
    everything, steps = world.rank(primary, config)
    full = seconds(everything, steps)
    options = {METHOD: {"slice_times": times, "sample_rows": sample_rows}}
    chosen, steps = world.rank(primary, config.model_copy(update={"options": options}))
    part = seconds(chosen, steps)
    told = cascade.read([chosen])
    assert told is not None, "the slice would hold every row: take more rows, or a smaller budget or slice"
    both = [world.best(each, primary, config.budget) for each in (everything, chosen)]
    return {
        "primary": primary,
        "slice_times": times,
        "seconds": {"everything": full, "cascade": part},
        "ratio": round(sum(full.values()) / sum(part.values()), 2),
        "overlap": len(np.intersect1d(*both)) / config.budget,
        "told": {
            "recall": told.recall,
            "interval": [round(each, 3) for each in told.interval],
            "sought": told.sought,
            "scored": told.slice + told.sample,
            "of": told.of,
        },
    }


def main() -> None:
    """Measure and write down."""
    parser = kit.parser(__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--max-rows", type=int, default=0, help="of every task; 0 takes all")
    parser.add_argument("--rows-per-task", type=int, default=500, help="that train the discriminator")
    parser.add_argument("--budget", type=int, default=1_000)
    parser.add_argument("--slice-times", type=int, nargs="+", default=[15])
    parser.add_argument("--sample-rows", type=int, default=4_000)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    given = parser.parse_args()
    make_deterministic()
    about = kit.machine(given.device)
    discriminator = {"rows_per_task": given.rows_per_task, "epochs": given.epochs}
    config = JobConfig.model_validate({"preset": "small", "budget": given.budget, "discriminator": discriminator})
    with tempfile.TemporaryDirectory() as scratch:
        world = World(given.data, Path(scratch), given.max_rows or None, given.device)
        found = [
            compared(world, primary, config, times, given.sample_rows)
            for times in given.slice_times
            for primary in PRIMARIES
        ]
        rows = {task: ref.rows for task, ref in world.tasks.items()}
    result = {"rows": rows, "budget": given.budget, "sample_rows": given.sample_rows, "found": found, "machine": about}
    kit.write(f"cascade_{given.device}", result, given.results)


if __name__ == "__main__":
    main()
