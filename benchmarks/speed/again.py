"""What another budget, and another primary among the same datasets, cost once a job is done: to the selection.

    python benchmarks/speed/again.py --data GLUE

All rows of GLUE, 165,000. The first job trains TD-MTDNN and scores every row; the encoder is a small one with random
weights, since neither is asked for again and what is left does not depend on it. Then budgets and primaries that were
not asked for before, in turn: which steps they compute and how long these take. The leak guard is on, so another
primary is compared with all rows.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import kit
from memory import kept, table_of

from fastmtl import pipeline
from fastmtl.artifacts import Cache
from fastmtl.config import JobConfig
from fastmtl.device import make_deterministic
from fastmtl.local import run_steps
from fastmtl.plan import StepSpec, TaskRef, silent

sys.path.insert(0, str(Path(__file__).parents[2] / "tests" / "support"))
from tiny import write_encoder

BUDGET = 1_000
PRIMARIES = ("rte", "mrpc", "stsb", "cola")


class Selections:
    """Jobs over the same datasets, to the selection."""

    def __init__(self, data: Path, folder: Path) -> None:
        encoder = write_encoder("bert", folder / "encoder")
        self._known = {"small": f"folder:{encoder}"}
        self._cache = Cache(folder / "cache")
        pool = {task: kept(folder, task, table_of(kit.read(data, task, None))) for task in kit.TASKS}
        self._paths = {ref.digest: path for path, ref in pool.values()}
        self._refs: dict[str, TaskRef] = {task: ref for task, (_, ref) in pool.items()}
        self.rows = sum(ref.rows for ref in self._refs.values())

    def run(self, primary: str, budget: int) -> tuple[float, list[str]]:
        """Return the seconds of a job's selection, and which kinds of step were computed for it."""
        others = tuple(ref for task, ref in self._refs.items() if task != primary)
        config = JobConfig.model_validate(
            {
                "preset": "small",
                "encoder": {"name": "small", "max_length": 64},
                "budget": budget,
                "compare": [],
                "explain": 0,
                "discriminator": {"rows_per_task": 50},
            }
        )
        steps = pipeline.plan(config, pipeline.Tasks(self._refs[primary], others, None), self._known)
        steps = steps[: 1 + next(index for index, step in enumerate(steps) if step.name == "select")]
        began = time.perf_counter()
        _, _, reused = run_steps(steps, self._cache, self._paths, "cpu", lambda _: silent)
        return time.perf_counter() - began, computed(steps, reused)


def computed(steps: Sequence[StepSpec], reused: Sequence[str]) -> list[str]:
    """Return the kinds of the steps that were not there."""
    return sorted({step.kind for step in steps if step.name not in reused})


def again(run: Callable[[int], tuple[float, list[str]]], turns: int) -> dict[str, object]:
    """Return what so many runs took, and what each of them computed."""
    found = [run(turn) for turn in range(turns)]
    return {"seconds": kit.spread([took for took, _ in found]), "computed": found[0][1]}


def main() -> None:
    """Measure and write down."""
    parser = kit.parser(__doc__)
    parser.add_argument("--data", type=Path, required=True)
    given = parser.parse_args()
    make_deterministic()
    about = kit.machine()
    with tempfile.TemporaryDirectory() as scratch:
        selections = Selections(given.data, Path(scratch))
        first, steps = selections.run(PRIMARIES[0], BUDGET)
        print(f"first: {first:.1f} s, {steps}", flush=True)
        turns = min(given.turns, len(PRIMARIES) - 1)
        result = {
            "rows": selections.rows,
            "first": {"seconds": round(first, 1), "computed": steps},
            "another budget": again(lambda turn: selections.run(PRIMARIES[0], BUDGET * (turn + 2)), turns),
            "another primary": again(lambda turn: selections.run(PRIMARIES[turn + 1], BUDGET), turns),
            "machine": about,
        }
    kit.write("again", result, given.results)


if __name__ == "__main__":
    main()
