"""The grid of runs: every primary with every method, budget and seed, and the two ends it is read against.

    BCE-TD, CE-TD   the paper's method, by the loss of its discriminator
    METHOD          any other method of this project, with the same budgets
    primary only    no auxiliary row; trained once a seed, with as many optimiser steps as the smallest budget makes
    full MT-DNN     every auxiliary row in every epoch; trained once a seed

A run is a training with its measurement on the primary's validation rows. Its seed is that of the selection and, but
under the protocol "as published", of the training too. Torch-free.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, TypeVar

from fastmtl import arms, encoders, methods, pipeline
from fastmtl.config import JobConfig
from fastmtl.errors import InvalidConfig, UnknownName
from fastmtl.plan import StepSpec
from fastmtl.reproduce.glue import PRIMARIES, Glue

Value = TypeVar("Value")
Protocol = Literal["ours", "as published"]
OURS: Protocol = "ours"
AS_PUBLISHED: Protocol = "as published"

FULL = "full MT-DNN"
PRIMARY_ONLY = "primary only"
ENDS = {PRIMARY_ONLY: arms.PRIMARY_ONLY, FULL: arms.FULL}
"""The arms without a budget, and what the pipeline calls them."""
DISCRIMINATORS: dict[str, Literal["bce", "ce"]] = {"BCE-TD": "bce", "CE-TD": "ce"}

METHODS = ("BCE-TD", "CE-TD", "random")
BUDGETS = (500, 1_000, 2_000, 5_000, 10_000, 20_000)
SEEDS = (0, 1, 2, 3, 4)
GRID_FIELDS = {"method", "budget", "seed", "training_seed", "compare", "repeats", "repeat", "budget_curve"}
GRID_FIELDS |= {"leave_one_out", "explain", "map_points", "holdout_share"}
"""Fields of a config that the grid sets, or that ask for what it does not do."""


@dataclass(frozen=True)
class Grid:
    """What is asked for; `grid` makes one of what a user wrote."""

    primaries: tuple[str, ...]
    arms: tuple[str, ...]
    """Of those with a budget, as the table calls them."""
    budgets: tuple[int, ...]
    """Rising."""
    seeds: tuple[int, ...]


@dataclass(frozen=True)
class Run:
    """One training of the grid, planned."""

    protocol: Protocol
    primary: str
    arm: str
    budget: int | None
    """None of the two ends."""
    seed: int
    config: JobConfig
    steps: tuple[StepSpec, ...]
    """All that it takes, inputs before outputs; the last one measures."""

    @cached_property
    def key(self) -> str:
        """SHA-256 (hex) over the run's place in the grid and the fingerprint of its last step, so over all it does."""
        place = [self.protocol, self.primary, self.arm, self.budget, self.seed, self.steps[-1].fingerprint]
        return hashlib.sha256(json.dumps(place).encode()).hexdigest()


def grid(
    primaries: Sequence[str], wanted: Sequence[str], budgets: Sequence[int], seeds: Sequence[int], base: JobConfig
) -> Grid:
    """Check what a user asks for; what is named twice counts once. Raises UnknownName and InvalidConfig."""
    for name in primaries:
        if name not in PRIMARIES:
            raise UnknownName("primaries", name, PRIMARIES)
    if wrong := [budget for budget in budgets if budget < 1]:
        raise InvalidConfig("budgets", f"budgets: every one must be at least 1, found {wrong[0]}")
    if wrong := [seed for seed in seeds if not 0 <= seed < 2**32]:
        raise InvalidConfig("seeds", f"seeds: every one must be from 0 to 4,294,967,295, found {wrong[0]}")
    for name, values in {"primaries": primaries, "methods": wanted, "budgets": budgets, "seeds": seeds}.items():
        if not values:
            raise InvalidConfig(name, f"{name}: at least one is needed")
    if set_twice := sorted(base.model_fields_set & GRID_FIELDS):
        told = f"{set_twice[0]}: the protocol sets it; leave it out of the config file"
        raise InvalidConfig(set_twice[0], f"{told} (--methods, --budgets and --seeds say what is run)")
    named = [_arm(name, base) for name in wanted]
    return Grid(_once(primaries), _once(named), _once(sorted(budgets)), _once(seeds))


def runs(wanted: Grid, base: JobConfig, protocol: Protocol, glue: Glue, known: encoders.Known) -> list[Run]:
    """Plan all runs of a protocol, seed by seed, in the order in which they are computed.

    Raises what `pipeline.plan` raises: nothing that cannot be run is begun.
    """
    planned = []
    for seed in wanted.seeds:
        for primary in wanted.primaries:
            places: list[tuple[str, int | None]] = [(arm, None) for arm in ENDS]
            places += [(arm, budget) for arm in wanted.arms for budget in wanted.budgets]
            planned += [_run(protocol, primary, *place, seed, wanted, base, glue, known) for place in places]
    return planned


def settings(base: JobConfig, protocol: Protocol, arm: str, budget: int, seed: int) -> JobConfig:
    """Return the config of a run."""
    compare = (ENDS[arm],) if arm in ENDS else ()
    # An end needs no scores: the cheapest method stands in for the selection, whose steps are then left out.
    method = "discriminator" if arm in DISCRIMINATORS else "random" if arm in ENDS else arm
    loss = DISCRIMINATORS.get(arm, base.discriminator.loss)
    config = base.model_copy(
        update={
            "method": method,
            "budget": budget,
            "seed": seed,
            "training_seed": seed,
            "compare": compare,
            "discriminator": base.discriminator.model_copy(update={"loss": loss}),
        }
    )
    if protocol == AS_PUBLISHED:
        config = as_published(config)
    # An end chooses nothing: its seed is the training's, so that no other one makes it look like another training.
    return config.model_copy(update={"seed": config.training_seed}) if arm in ENDS else config


def as_published(config: JobConfig) -> JobConfig:
    """Return the config with the four choices of the published code that a job can imitate.

    It reads a discriminator through a sigmoid however it was trained, chooses the epoch on the very rows that it
    reports, trains with one seed, and keeps no row out.
    """
    return config.model_copy(
        update={
            "discriminator": config.discriminator.model_copy(update={"read_as": "sigmoid"}),
            "finetuning": config.finetuning.model_copy(update={"choose_on": "measured"}),
            "training_seed": 0,
            "leak_guard": "off",
        }
    )


def needed(steps: Sequence[StepSpec], last: StepSpec) -> tuple[StepSpec, ...]:
    """Return the steps, of those planned, that a step takes, itself included, in their order."""
    by_fingerprint = {step.fingerprint: step for step in steps}
    wanted: set[str] = set()
    todo = [last.fingerprint]
    while todo:
        fingerprint = todo.pop()
        if fingerprint not in wanted:
            wanted.add(fingerprint)
            todo += by_fingerprint[fingerprint].needs
    return tuple(step for step in steps if step.fingerprint in wanted)


def _once(values: Sequence[Value]) -> tuple[Value, ...]:
    return tuple(dict.fromkeys(values))


def _arm(name: str, base: JobConfig) -> str:
    """Return what the table calls a method: the discriminator goes by its loss."""
    if name == "discriminator":
        return f"{base.discriminator.loss.upper()}-TD"
    if name.upper() in DISCRIMINATORS:
        return name.upper()
    if name not in methods.names():
        raise UnknownName("methods", name, [*DISCRIMINATORS, *methods.names()])
    return name


def _run(
    protocol: Protocol,
    primary: str,
    arm: str,
    budget: int | None,
    seed: int,
    wanted: Grid,
    base: JobConfig,
    glue: Glue,
    known: encoders.Known,
) -> Run:
    config = settings(base, protocol, arm, budget or wanted.budgets[0], seed)
    planned = pipeline.plan(config, glue.tasks(primary), known)
    name = arms.step_name("finetune", ENDS.get(arm, arms.SELECTION), 0)
    last = next(step for step in planned if step.name == name)
    return Run(protocol, primary, arm, budget, seed, config, needed(planned, last))
