"""Carrying out the runs, one after another, and the file that remembers those that are finished.

OUTPUT/runs.jsonl holds one JSON object a finished run; what stopped halfway goes on with the first that is not in it,
and within that run with the first step that is not in the cache. One process an output folder. Torch-free.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from fastmtl import cost
from fastmtl.artifacts import Cache
from fastmtl.config import Precision
from fastmtl.errors import DamagedArtifact
from fastmtl.local import run_steps
from fastmtl.plan import Json, Progress, StepSpec
from fastmtl.reproduce.glue import Prepared
from fastmtl.reproduce.protocol import Run

Told = Callable[[int, Run, Json, bool], None]
"""Takes the run's number from 1, the run, its record, and whether it had been finished before."""


@dataclass(frozen=True)
class Space:
    """What the figure of TD-MTDNN's space is drawn from."""

    folder: Path
    """Of the `discriminator` step."""
    tasks: Mapping[str, Prepared]
    rows_per_task: int
    device: str
    precision: Precision


class RunLog:
    """Finished runs by key, in the order in which they were finished."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self) -> dict[str, Json]:
        """Return all records. Raises DamagedArtifact where a line is none."""
        if not self._path.exists():
            return {}
        try:
            listed = [json.loads(line) for line in self._path.read_text().splitlines()]
            return {record["key"]: record for record in listed}
        except (ValueError, KeyError, TypeError) as error:
            told = f"{self._path} holds a line that is no record of a run: remove the line, and its run is made again"
            raise DamagedArtifact(told) from error

    def add(self, record: Json) -> None:
        """Write a record; the file is whole at every moment."""
        records = {**self.read(), record["key"]: record}
        partial = self._path.with_name(f"{self._path.name}.part")
        partial.write_text("".join(json.dumps(each) + "\n" for each in records.values()))
        os.replace(partial, self._path)


@dataclass(frozen=True)
class Bench:
    """What runs are computed with."""

    kept: Cache
    datasets: Mapping[str, Path]
    """Canonical files by digest."""
    device: str
    progress: Callable[[StepSpec], Progress]

    def folder_of(self, steps: Sequence[StepSpec]) -> Path:
        """Return the folder of the last of some steps; they are computed only where it is not kept."""
        last = steps[-1].fingerprint
        found = self.kept.find(last)
        return found[0] if found else self.run(steps)[0][last]

    def run(self, steps: Sequence[StepSpec]) -> tuple[dict[str, Path], dict[str, Json]]:
        """Compute steps; return folders and results by fingerprint."""
        folders, results, _ = run_steps(steps, self.kept, self.datasets, self.device, self.progress)
        return folders, results


def carry_out(
    runs: Sequence[Run], log: RunLog, bench: Bench, *, keeps_model: Callable[[Run], bool], told: Told
) -> None:
    """Compute the runs that are not in the log and add each when it is done.

    The weights of a run are then removed from the cache, but the fine-tuned model's where `keeps_model` holds: those of
    the whole grid would be 600 copies of the encoder. What other runs need, discriminators and scores, stays.
    """
    for number, run in enumerate(runs, 1):
        records = log.read()
        before = run.key in records
        if not before:
            same = [each for each in records.values() if each["fingerprint"] == run.steps[-1].fingerprint]
            log.add({**same[0], **_place(run)} if same else _compute(run, bench))
            _forget_weights(run, bench.kept, keeps_model(run))
        told(number, run, log.read()[run.key], before)


def _compute(run: Run, bench: Bench) -> Json:
    """Compute a run and return its record; a step found in the cache counts the seconds that it took then."""
    folders, results = bench.run(run.steps)
    final = folders[run.steps[-1].fingerprint]
    evaluation = json.loads((final / "evaluation.json").read_text())
    records = list(cost.read(final).values())
    chosen = [results[step.fingerprint]["counts"] for step in run.steps if step.kind == "select"]
    return {
        **_place(run),
        "fingerprint": run.steps[-1].fingerprint,
        **{name: evaluation[name] for name in ("metrics", "epoch", "rows", "machine")},
        "selected": {key: count["selected"] for key, count in chosen[0].items()} if chosen else {},
        "leaked": sum(count["leaked"] for count in chosen[0].values()) if chosen else 0,
        "seconds": cost.total(records)["seconds"],
        "steps": [{key: each[key] for key in ("step", "kind", "seconds")} for each in records],
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _place(run: Run) -> Json:
    """Return what says which run of the grid it is."""
    return {
        "key": run.key,
        "protocol": run.protocol,
        "primary": run.primary,
        "arm": run.arm,
        "budget": run.budget,
        "seed": run.seed,
        "config": run.config.model_dump(mode="json"),
    }


def _forget_weights(run: Run, kept: Cache, keep_final: bool) -> None:
    for step in run.steps:
        if step.kind == "target" or (step.kind == "finetune" and not keep_final):
            kept.remove(step.fingerprint)
