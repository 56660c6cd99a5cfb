"""The arms of a job: what is trained on, besides the primary, to tell what the selection is worth.

    selection       the chosen rows; the arm that the job is about, and whose model is delivered
    primary_only    none
    METHOD          as many rows, chosen by another method with the same selector
    all_data        every eligible row; an epoch visits as many as the budget, each time others
    full            every eligible row in every epoch: MT-DNN on everything, with more optimiser steps than the others
    best N          the first N chosen rows: a point of the budget curve
    without KEY     the chosen rows but those of one auxiliary dataset

All but `full` take the same number of optimiser steps (fastmtl/steps/target.py) and are paired by seed.

Torch-free.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fastmtl.config import JobConfig
from fastmtl.errors import InvalidConfig, UnknownName
from fastmtl.plan import TRAINING_COST, Json, StepSpec, TaskRef

SELECTION = "selection"
PRIMARY_ONLY = "primary_only"
ALL_DATA = "all_data"
FULL = "full"
EVERY_ROW = (ALL_DATA, FULL)

# Versions: raise one when the step's code changes what it computes; results of the older one are then not reused.
TARGET_VERSION = 4
FINETUNE_VERSION = 4


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


@dataclass(frozen=True)
class Arm:
    """One arm; `name` is what a report calls it."""

    name: str
    rows_of: str | None
    """Whose chosen rows it trains on: SELECTION, a method's, ALL_DATA for every row; None for none."""
    best: int | None = None
    """Only so many of them, the best."""
    without: str | None = None
    """Key of an auxiliary whose rows are left out."""


def arms(config: JobConfig, tasks: Tasks, methods: Sequence[str]) -> list[Arm]:
    """Return the arms that a config asks for, the selection first. Raises UnknownName and InvalidConfig."""
    known = [PRIMARY_ONLY, *EVERY_ROW, *methods]
    found = [Arm(SELECTION, SELECTION)]
    for index, name in enumerate(config.compare):
        if name not in known:
            raise UnknownName(f"config.compare.{index}", name, known)
        found.append(Arm(name, None if name == PRIMARY_ONLY else ALL_DATA if name in EVERY_ROW else name))
    found += [Arm(f"best {budget}", SELECTION, best=budget) for budget in sorted(config.budget_curve)]
    if config.leave_one_out:
        if len(tasks.auxiliary) < 2:
            raise InvalidConfig("config.leave_one_out", "leaving one dataset out needs at least two auxiliary datasets")
        found += [Arm(f"without {task.key}", SELECTION, without=task.key) for task in tasks.auxiliary]
    return found


def step_name(what: str, arm: str, repeat: int) -> str:
    """Return the name of an arm's step: `target (random)`, and of a repetition `target (random, 2)`, from 2 on."""
    return f"{what} ({arm}, {repeat + 1})" if repeat else f"{what} ({arm})"


def train(
    arm: Arm, repeat: int, chosen: StepSpec | None, config: JobConfig, tasks: Tasks, encoder: Json
) -> list[StepSpec]:
    """Plan one repetition of an arm: TO-MTDNN, then fine-tuning (fastmtl/steps/target.py and finetune.py)."""
    # Rows that choose nothing train.
    choice_share = config.finetuning.choice_share if config.finetuning.choose_on == "primary" else 0.0
    shared: Json = {
        "encoder": encoder,
        "primary": {"key": tasks.primary.key, "digest": tasks.primary.digest},
        "holdout_share": None if tasks.validation else config.holdout_share,
        "choice_share": choice_share,
        "precision": config.precision,
        "split_seed": config.training_seed,
        "seed": (config.training_seed + repeat) % 2**32,
    }
    auxiliary = [{"key": task.key, "digest": task.digest} for task in tasks.auxiliary] if chosen else []
    visits = None if arm.name == FULL else config.budget
    added = sum(task.rows for task in tasks.auxiliary) if arm.name == FULL else config.budget
    target = StepSpec(
        kind="target",
        name=step_name("target", arm.name, repeat),
        version=TARGET_VERSION,
        params={
            **shared,
            "auxiliary": auxiliary,
            "training": config.target.model_dump(),
            "visits": visits,
            "best": arm.best,
            "without": arm.without,
        },
        datasets=(tasks.primary.digest, *(task["digest"] for task in auxiliary)),
        needs=(chosen.fingerprint,) if chosen else (),
        cost=TRAINING_COST * config.target.epochs * (tasks.primary.rows + added),
    )
    return [target, _finetune(arm, repeat, target, shared, config, tasks)]


def _finetune(arm: Arm, repeat: int, target: StepSpec, shared: Json, config: JobConfig, tasks: Tasks) -> StepSpec:
    validation = tasks.validation.digest if tasks.validation else None
    return StepSpec(
        kind="finetune",
        name=step_name("finetune", arm.name, repeat),
        version=FINETUNE_VERSION,
        params={**shared, "validation": validation, "training": config.finetuning.model_dump()},
        datasets=tuple(dict.fromkeys((tasks.primary.digest, validation or tasks.primary.digest))),
        needs=(target.fingerprint,),
        cost=TRAINING_COST * config.finetuning.epochs * tasks.primary.rows,
    )


def described(arm: str) -> str:
    """Return what an arm is trained on, in words."""
    fixed = {
        SELECTION: "the selected rows",
        PRIMARY_ONLY: "no auxiliary rows",
        ALL_DATA: "a tour of all auxiliary rows",
        FULL: "all auxiliary rows in every epoch",
    }
    if arm.startswith(("best ", "without ")):
        return f"the selected rows, {arm}"
    return fixed.get(arm, f"rows chosen by {arm}")
