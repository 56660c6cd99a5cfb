"""How auxiliary rows are scored: one file a method, and the folder is the registry.

A method is a module of this package with
    summary             one sentence for users
    score(request)      list[Scored]: the scores of every auxiliary row; runs in the `rank` step
and, where what stands in `Method` is not what it wants,
    plan(config, encoder, tasks)    list[StepSpec]: the steps that `score` reads; the primary is tasks[0]
    rows_seen(config)   how many rows of a task it trains on at most; they are left out unless the config includes them
    seeded              whether its scores depend on the seed beyond the steps that it plans
    reads_texts         whether `score` opens the datasets themselves
    refusal(encoder)    why it cannot work with an encoder, or None: the end of a sentence
    relies_on(config)   the methods that it builds on, by the field that names each
    Options             its settings with their bounds and defaults, a `Frozen`; users write them as config.options.NAME

Listing methods imports no torch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from fastmtl import registry
from fastmtl.config import Frozen, JobConfig
from fastmtl.encoders import Abilities
from fastmtl.plan import Json, Progress, StepSpec, TaskRef, silent

RANK_VERSION = 1
"""Raise it when a method's `score` computes something else; results of the older one are then not reused."""


class NoOptions(Frozen):
    """There is nothing to set."""


@dataclass(frozen=True)
class ScoreRequest:
    """What a method is asked: score every row of `auxiliary` by its use to `primary`."""

    primary: TaskRef
    auxiliary: Sequence[TaskRef]
    inputs: Sequence[Path] = ()
    """Folders of the steps that the method planned, in that order."""
    seed: int | None = None
    """None for a method that is not `seeded`."""
    rows_seen: int = 0
    """What the method's `rows_seen` said."""
    options: Frozen = field(default_factory=NoOptions)
    """The method's own `Options`."""
    datasets: Mapping[str, Path] = field(default_factory=dict)
    """Canonical files of all tasks by digest, for a method that `reads_texts`."""
    progress: Progress = silent


class Scored(NamedTuple):
    """One auxiliary dataset, scored."""

    scores: npt.NDArray[np.float32]
    """[n]; higher is more useful to the primary; no NaN."""
    seen: npt.NDArray[np.bool_]
    """[n]; the row trained the method."""


@dataclass(frozen=True)
class Method:
    """What a module of this package offers, with what it has where it says nothing."""

    summary: str
    score: Callable[[ScoreRequest], list[Scored]]
    plan: Callable[[JobConfig, Json, Sequence[TaskRef]], list[StepSpec]] = lambda config, encoder, tasks: []
    rows_seen: Callable[[JobConfig], int] = lambda config: 0
    refusal: Callable[[Abilities], str | None] = lambda encoder: None
    relies_on: Callable[[JobConfig], Mapping[str, str]] = lambda config: {}
    Options: type[Frozen] = NoOptions
    seeded: bool = False
    reads_texts: bool = False


def draw_rows(digest: str, rows: int, count: int, seed: int | None) -> npt.NDArray[np.int64]:
    """Draw min(count, rows) different rows, rising; a dataset's draw does not depend on the others of the job."""
    generator = np.random.default_rng([seed or 0, int(digest[:16], 16)])
    return np.sort(generator.permutation(rows)[:count])


def names() -> list[str]:
    """Return the names of all methods, sorted."""
    return registry.names(__path__)


def get(name: str) -> Method:
    """Return the method of that name, which must be one of `names()`."""
    return registry.read(Method, __name__, name)


def plan(
    name: str, config: JobConfig, encoder: Json, tasks: Sequence[TaskRef], label: str, seed: int | None = None
) -> list[StepSpec]:
    """Return a method's own steps and, last, the `rank` step that scores every auxiliary row for the primary.

    `seed` stands in for the config's where a draw is repeated; `label` is the rank step's name.
    """
    method = get(name)
    steps = method.plan(config, encoder, tasks)
    primary, *auxiliary = tasks
    rank = StepSpec(
        kind="rank",
        name=label,
        version=RANK_VERSION,
        params={
            "method": name,
            "options": method.Options(**config.options.get(name, {})).model_dump(mode="json"),
            "primary": {**asdict(primary), "key": ""},
            "auxiliary": [{**asdict(task), "key": ""} for task in auxiliary],
            "seed": (config.seed if seed is None else seed) if method.seeded else None,
            "rows_seen": method.rows_seen(config),
        },
        datasets=tuple(task.digest for task in tasks) if method.reads_texts else (),
        needs=tuple(step.fingerprint for step in steps),
    )
    return [*steps, rank]
