"""How scores become exactly K rows: one file a selector, and the folder is the registry.

A selector is a module of this package with
    summary                 one sentence for users
    select(pool, budget)    Selection: exactly `budget` unique rows, best first; runs in the `select` step
and, where what stands in `Selector` is not what it wants,
    plan(config, encoder, tasks)    list[StepSpec]: the steps that `select` reads; the primary is tasks[0]
    seeded                  whether it draws
    Options                 its settings with their bounds and defaults, a `Frozen`; users write config.options.NAME

A selector that cannot fill the budget raises InvalidConfig with the setting to change: exactly K means exactly K.
Listing selectors imports no torch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from fastmtl import registry
from fastmtl.config import Frozen, JobConfig
from fastmtl.plan import Json, Progress, StepSpec, TaskRef, silent

Scores = npt.NDArray[np.float32]


class NoOptions(Frozen):
    """There is nothing to set."""


@dataclass(frozen=True)
class Pool:
    """What a selector chooses from."""

    scores: Sequence[Scores]
    """One array [n] a dataset; higher is better, NaN where a row is not eligible."""
    primary: TaskRef
    auxiliary: Sequence[TaskRef]
    """In the order of `scores`; a key is what the user calls the dataset in this job."""
    datasets: Mapping[str, Path] = field(default_factory=dict)
    """Canonical files of the auxiliaries, by digest."""
    inputs: Sequence[Path] = ()
    """Folders of the steps that the selector planned, in that order."""
    seed: int | None = None
    """None for a selector that is not `seeded`."""
    options: Frozen = field(default_factory=NoOptions)
    """The selector's own `Options`."""
    progress: Progress = silent
    """To be told of whatever may take minutes."""


class Selection(NamedTuple):
    """K chosen rows, best first. A row is (position of its dataset, its number there), never a place in a pool."""

    datasets: npt.NDArray[np.int32]
    """[K] positions in the list of auxiliary datasets."""
    rows: npt.NDArray[np.int64]
    """[K] row numbers in the uploaded file."""
    scores: Scores
    """[K]; falling where the selector goes by score alone."""


@dataclass(frozen=True)
class Selector:
    """What a module of this package offers, with what it has where it says nothing."""

    summary: str
    select: Callable[[Pool, int], Selection]
    plan: Callable[[JobConfig, Json, Sequence[TaskRef]], list[StepSpec]] = lambda config, encoder, tasks: []
    seeded: bool = False
    Options: type[Frozen] = NoOptions


class Ranked(NamedTuple):
    """All eligible rows of a pool, best first, ties by (dataset, row)."""

    datasets: npt.NDArray[np.int32]
    """[N]"""
    rows: npt.NDArray[np.int64]
    """[N]"""
    scores: Scores
    """[N], falling."""

    def take(self, places: npt.NDArray[np.int64]) -> Selection:
        """Return the rows at these places of the order, as a selection in the order of the places."""
        return Selection(self.datasets[places], self.rows[places], self.scores[places])


def ranked(scores: Sequence[Scores], keys: Sequence[Scores] | None = None) -> Ranked:
    """Put all eligible rows in order by `keys`, or by their scores where there are no other keys."""
    pool = np.concatenate([*scores])  # [N], with rows that are not eligible
    order_by = pool if keys is None else np.concatenate([*keys])
    lengths = [len(each) for each in scores]
    datasets = np.repeat(np.arange(len(scores), dtype=np.int32), lengths)
    rows = np.concatenate([np.arange(length) for length in lengths])
    eligible = np.flatnonzero(~np.isnan(pool))
    order = eligible[np.argsort(-order_by[eligible], kind="stable")]
    return Ranked(datasets[order], rows[order], pool[order])


def names() -> list[str]:
    """Return the names of all selectors, sorted."""
    return registry.names(__path__)


def get(name: str) -> Selector:
    """Return the selector of that name, which must be one of `names()`."""
    return registry.read(Selector, __name__, name)
