"""Carrying out the runs, one after another, and the file that remembers those that are finished.

OUTPUT/runs.jsonl holds one JSON object a finished run; what stopped halfway goes on with the first that is not in it,
and within that run with the first step that is not in the cache. One process an output folder. Torch-free.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from fastmtl import cost
from fastmtl.artifacts import Cache
from fastmtl.errors import DamagedArtifact
from fastmtl.local import run_steps
from fastmtl.plan import Json, Progress, StepSpec
from fastmtl.reproduce.protocol import Run

Told = Callable[[int, Run, Json, bool], None]
"""Takes the run's number from 1, the run, its record, and whether it had been finished before."""


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


def carry_out(
    runs: Sequence[Run],
    log: RunLog,
    kept: Cache,
    datasets: Mapping[str, Path],
    device: str,
    *,
    keeps_model: Callable[[Run], bool],
    progress: Callable[[StepSpec], Progress],
    told: Told,
) -> None:
    """Compute the runs that are not in the log and add each when it is done.

    The weights of a run are then removed from the cache, those of the fine-tuned model only where `keeps_model` says
    so: the whole grid's would be 600 copies of the encoder. What the next runs need, discriminators and scores, stays.
    """
    for number, run in enumerate(runs, 1):
        records = log.read()
        before = run.key in records
        if not before:
            same = [each for each in records.values() if each["fingerprint"] == run.steps[-1].fingerprint]
            log.add({**same[0], **_place(run)} if same else _compute(run, kept, datasets, device, progress))
            _forget_weights(run, kept, keeps_model(run))
        told(number, run, log.read()[run.key], before)


def folder_of(
    run: Run, last: StepSpec, kept: Cache, datasets: Mapping[str, Path], device: str, steps: Sequence[StepSpec]
) -> Path:
    """Return the folder of one of a run's steps, computing `steps`, which end with it, only where it is not kept."""
    raise NotImplementedError


def _compute(
    run: Run, kept: Cache, datasets: Mapping[str, Path], device: str, progress: Callable[[StepSpec], Progress]
) -> Json:
    """Compute a run and return its record; a step found in the cache counts the seconds that it took then."""
    folders, results, _ = run_steps(run.steps, kept, datasets, device, progress)
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
            found = kept.find(step.fingerprint)
            if found:
                shutil.rmtree(found[0])
