"""The steps of a job in their order: `plan` writes them down, `run` computes one. Nothing here knows about queues.

    discriminator ── score … score ─┬─ select ─┬─ target ── finetune ─┬─ report      (arm: selection)
                         leakage ───┤          ├─ target ── finetune ─┤              (arm: primary_only)
                                    └─ select ─┴─ target ── finetune ─┘              (arm: random)

What a step's fingerprint leaves out is what it does not depend on: the first two know neither the primary nor the
budget, so another primary among the same datasets, or another budget, finds them done.

Torch-free; `run` imports the step it runs.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Protocol, cast

from fastmtl import encoders, methods
from fastmtl.config import JobConfig
from fastmtl.errors import BudgetTooLarge, InvalidConfig, UnknownName
from fastmtl.plan import TRAINING_COST, Json, StepSpec, TaskRef, Workspace, in_order
from fastmtl.selectors import SELECTORS

SELECTION = "selection"
"""The arm that trains on the chosen rows; the others are named in `JobConfig.compare`."""

# Versions: raise one when the step's code changes what it computes; results of the older one are then not reused.
LEAKAGE_VERSION = 1
SELECT_VERSION = 2
TARGET_VERSION = 2
FINETUNE_VERSION = 2
REPORT_VERSION = 2


@dataclass(frozen=True)
class Tasks:
    """The datasets of a job by role."""

    primary: TaskRef
    auxiliary: tuple[TaskRef, ...]
    validation: TaskRef | None = None

    @property
    def all(self) -> tuple[TaskRef, ...]:
        """Primary first, then the auxiliaries as listed."""
        return (self.primary, *self.auxiliary)


class _Step(Protocol):
    def run(self, spec: StepSpec, workspace: Workspace) -> Json: ...


def plan(config: JobConfig, tasks: Tasks, known_encoders: encoders.Known) -> list[StepSpec]:
    """Write down the steps of a job, inputs before outputs.

    Raises UnknownName, BudgetTooLarge or InvalidConfig where the job could not be run.
    """
    _check(config, tasks, known_encoders)
    encoder = encoders.describe(config.encoder, known_encoders)
    scoring = methods.get(config.method).plan(config, encoder, tasks.all)
    guard = [] if config.leak_guard == "off" else [_leakage(config, tasks)]
    select = _select(config.method, [*scoring, *guard], config, tasks, name="select")
    steps = [*scoring, *guard, select]
    finals = []
    for arm in (SELECTION, *config.compare):
        chosen = select if arm == SELECTION else None
        if arm == "random":
            chosen = _select("random", guard, config, tasks, name="select random rows")
            steps.append(chosen)
        trained = _arm(arm, chosen, config, tasks, encoder)
        steps += trained
        finals.append(trained[-1])
    steps.append(_report(config, tasks, encoder, select, finals))
    first: dict[str, StepSpec] = {}
    for step in steps:
        first.setdefault(step.fingerprint, step)
    return list(first.values())


def eligible_rows(config: JobConfig, auxiliary: Sequence[TaskRef]) -> tuple[int, int]:
    """Count the auxiliary rows that may be chosen, and those that may not because the method trains on them."""
    seen = 0
    if config.seen_rows == "exclude":
        rows_seen = methods.get(config.method).rows_seen
        seen = sum(min(task.rows, rows_seen(config)) for task in auxiliary)
    return sum(task.rows for task in auxiliary) - seen, seen


def run(spec: StepSpec, workspace: Workspace) -> Json:
    """Compute one step: its files are in `workspace.output` when this returns what the step says of itself."""
    step = cast(_Step, importlib.import_module(f"fastmtl.steps.{spec.kind}"))
    return step.run(spec, workspace)


def urgency(kind: str) -> int:
    """Return a rank by which ready steps are begun, the lowest first: the way to the chosen rows before trainings."""
    order = ("select", "leakage", "discriminator", "score", "embed", "report", "finetune", "target")
    return order.index(kind) if kind in order else len(order)


def needs_torch(spec: StepSpec) -> bool:
    """Whether the step computes with torch, and so wants a device."""
    return spec.kind not in ("leakage", "select", "report")


def _check(config: JobConfig, tasks: Tasks, known_encoders: encoders.Known) -> None:
    """Refuse what no step could compute."""
    if config.encoder.name not in known_encoders:
        raise UnknownName("config.encoder.name", config.encoder.name, known_encoders)
    if config.method not in methods.names():
        raise UnknownName("config.method", config.method, methods.names())
    if config.selector not in SELECTORS:
        raise UnknownName("config.selector", config.selector, SELECTORS)
    if not tasks.auxiliary:
        raise InvalidConfig("auxiliary", "at least one auxiliary dataset is needed")
    seen: dict[str, TaskRef] = {}
    for task in tasks.all:
        if (other := seen.setdefault(task.digest, task)) is not task:
            role = "the primary" if other is tasks.primary else "an auxiliary"
            raise InvalidConfig("auxiliary", f"{task.key!r} holds the same rows as {other.key!r}, {role} of this job")
    if tasks.validation and (trained_on := seen.get(tasks.validation.digest)):
        told = f"{tasks.validation.key!r} holds the same rows as {trained_on.key!r}: what is measured on must be unseen"
        raise InvalidConfig("validation", told)
    if len({task.key for task in tasks.all}) != len(tasks.all):
        raise InvalidConfig("auxiliary", "two datasets of the job have the same key")
    eligible, trained = eligible_rows(config, tasks.auxiliary)
    if config.budget > eligible:
        raise BudgetTooLarge(config.budget, eligible, trained)


def _leakage(config: JobConfig, tasks: Tasks) -> StepSpec:
    """Find the rows that stand among those measured on (fastmtl/steps/leakage.py); the budget is not asked."""
    held = tasks.validation or tasks.primary
    return StepSpec(
        kind="leakage",
        name="leakage",
        version=LEAKAGE_VERSION,
        params={"held": held.digest, "near": config.leak_guard == "near"},
        datasets=tuple(dict.fromkeys(task.digest for task in [*in_order(tasks.all), held])),
    )


def _select(method: str, inputs: list[StepSpec], config: JobConfig, tasks: Tasks, name: str) -> StepSpec:
    """Turn scores into exactly `budget` rows (fastmtl/steps/select.py)."""
    params: Json = {
        "method": method,
        "selector": config.selector,
        "budget": config.budget,
        "seen_rows": config.seen_rows,
        "guarded": config.leak_guard != "off",
        "primary": asdict(tasks.primary),
        "auxiliary": [asdict(task) for task in tasks.auxiliary],
        "seed": config.seed if methods.get(method).seeded else None,
        "rows_seen": methods.get(method).rows_seen(config) if methods.get(method).seeded else 0,
    }
    return StepSpec(
        kind="select",
        name=name,
        version=SELECT_VERSION,
        params=params,
        datasets=tuple(task.digest for task in tasks.auxiliary),
        needs=tuple(step.fingerprint for step in inputs),
    )


def _arm(arm: str, chosen: StepSpec | None, config: JobConfig, tasks: Tasks, encoder: Json) -> list[StepSpec]:
    """Train one arm: TO-MTDNN (fastmtl/steps/target.py), then fine-tuning (fastmtl/steps/finetune.py)."""
    shared: Json = {
        "encoder": encoder,
        "primary": {"key": tasks.primary.key, "digest": tasks.primary.digest},
        "holdout_share": None if tasks.validation else config.holdout_share,
        "choice_share": config.finetuning.choice_share,
        "precision": config.precision,
        "seed": config.training_seed,
    }
    auxiliary = [{"key": task.key, "digest": task.digest} for task in tasks.auxiliary] if chosen else []
    target = StepSpec(
        kind="target",
        name=f"target ({arm})",
        version=TARGET_VERSION,
        # Without chosen rows the arm still takes as many optimiser steps as with `extra_rows` of them.
        params={
            **shared,
            "auxiliary": auxiliary,
            "training": config.target.model_dump(),
            "extra_rows": config.budget,
        },
        datasets=(tasks.primary.digest, *(task["digest"] for task in auxiliary)),
        needs=(chosen.fingerprint,) if chosen else (),
        cost=TRAINING_COST * config.target.epochs * (tasks.primary.rows + config.budget),
    )
    validation = tasks.validation.digest if tasks.validation else None
    finetune = StepSpec(
        kind="finetune",
        name=f"finetune ({arm})",
        version=FINETUNE_VERSION,
        params={**shared, "validation": validation, "training": config.finetuning.model_dump()},
        datasets=tuple(dict.fromkeys((tasks.primary.digest, validation or tasks.primary.digest))),
        needs=(target.fingerprint,),
        cost=TRAINING_COST * config.finetuning.epochs * tasks.primary.rows,
    )
    return [target, finetune]


def _report(config: JobConfig, tasks: Tasks, encoder: Json, select: StepSpec, finals: list[StepSpec]) -> StepSpec:
    """Gather what every arm reached (fastmtl/steps/report.py)."""
    return StepSpec(
        kind="report",
        name="report",
        version=REPORT_VERSION,
        params={
            "config": config.model_dump(),
            "encoder": encoder,
            "primary": tasks.primary.key,
            "validation": tasks.validation.key if tasks.validation else None,
            "arms": [SELECTION, *config.compare],
        },
        needs=(select.fingerprint, *(step.fingerprint for step in finals)),
    )
