"""How auxiliary rows are scored: one file a method, and the folder is the registry.

A method is a module of this package with
    summary     one sentence for users
    seeded      whether its scores depend on `JobConfig.seed` beyond the steps it plans
    rows_seen(config) -> int
                how many rows of a task it trains on at most; they are left out unless the config includes them
    plan(config, encoder, tasks) -> list[StepSpec]
                the steps that must be done first; the primary is tasks[0] and must not matter to them
    score(request) -> list[Scored]
                the scores of every auxiliary row, from what those steps left behind

Listing methods imports no torch.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol, cast

import numpy as np
import numpy.typing as npt

from fastmtl.config import JobConfig
from fastmtl.plan import Json, StepSpec, TaskRef


@dataclass(frozen=True)
class ScoreRequest:
    """What a method is asked: score every row of `auxiliary` by its use to `primary`."""

    primary: TaskRef
    auxiliary: Sequence[TaskRef]
    inputs: Sequence[Path]
    """Folders of the steps that the method planned, in that order."""
    seed: int | None
    """None for a method that is not `seeded`."""
    rows_seen: int = 0
    """What the method's `rows_seen` said."""


class Scored(NamedTuple):
    """One auxiliary dataset, scored."""

    scores: npt.NDArray[np.float32]
    """[n]; higher is more useful to the primary; no NaN."""
    seen: npt.NDArray[np.bool_]
    """[n]; the row trained the method."""


class Method(Protocol):
    """What every module of this package offers."""

    summary: str
    seeded: bool

    def rows_seen(self, config: JobConfig) -> int:
        """Return how many rows of a task it trains on at most."""
        ...

    def plan(self, config: JobConfig, encoder: Json, tasks: Sequence[TaskRef]) -> list[StepSpec]:
        """Return the steps that must be done before `score`."""
        ...

    def score(self, request: ScoreRequest) -> list[Scored]:
        """Return the scores of every auxiliary row, one record a dataset in their order."""
        ...


def draw_rows(digest: str, rows: int, count: int, seed: int | None) -> npt.NDArray[np.int64]:
    """Draw min(count, rows) different rows, rising; a dataset's draw does not depend on the others of the job."""
    generator = np.random.default_rng([seed or 0, int(digest[:16], 16)])
    return np.sort(generator.permutation(rows)[:count])


def names() -> list[str]:
    """Return the names of all methods, sorted."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__))


def get(name: str) -> Method:
    """Return the method of that name, which must be one of `names()`."""
    return cast(Method, importlib.import_module(f"{__name__}.{name}"))
