"""The best rows under bounds: at least so many rows of a dataset, at most so many.

The floors are filled first, with the best rows of each dataset; what is left of the budget goes to the best of the
other rows whose dataset is still below its cap. Without bounds this is `top`.

Letters: N eligible rows of all datasets · K budget · T auxiliary datasets.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from typing import Annotated

import numpy as np
import numpy.typing as npt
from pydantic import Field, PlainValidator

from fastmtl.config import Frozen, JobConfig
from fastmtl.errors import InvalidConfig, UnknownName
from fastmtl.plan import Json, StepSpec, TaskRef
from fastmtl.selectors import Pool, Selection, ranked

summary = "The best rows, but of each dataset at least its floor and at most its cap."

OTHERS = "*"
"""Stands for each dataset that is not named."""

Counts = npt.NDArray[np.int64]


def _amount(value: object) -> int | float:
    """Refuse what is neither rows nor a share, in one sentence."""
    rows = isinstance(value, int) and not isinstance(value, bool) and value >= 1
    if not (rows or (isinstance(value, float) and 0 < value <= 1)):
        raise ValueError("needed is a whole number of rows from 1, or a share of the budget above 0 and at most 1")
    assert isinstance(value, int | float)
    return value


_Rows = Annotated[int, Field(ge=1)]
_Share = Annotated[float, Field(gt=0, le=1)]
Amount = Annotated[int | float, PlainValidator(_amount, json_schema_input_type=_Rows | _Share)]


class Options(Frozen):
    """Bounds by dataset: an int is rows, a float a share of the budget."""

    caps: dict[str, Amount] = Field(
        {},
        description="Most rows of a dataset, by its key, or '*' for each that is not named: a whole number of rows, or "
        "a share of the budget written with a decimal point, rounded up to whole rows.",
        examples=[{"mnli": 0.5, "*": 2000}],
    )
    floors: dict[str, Amount] = Field(
        {},
        description="Fewest rows of a dataset, written as caps are; a share is rounded down to whole rows.",
        examples=[{"qnli": 100}],
    )


def plan(config: JobConfig, encoder: Json, tasks: Sequence[TaskRef]) -> list[StepSpec]:
    """Plan no step; raise InvalidConfig for bounds that cannot be kept even were every row eligible."""
    options = Options.model_validate(config.options.get("caps", {}))
    auxiliary = tasks[1:]
    bounds(options, [task.key for task in auxiliary], [task.rows for task in auxiliary], config.budget)
    return []


def select(pool: Pool, budget: int) -> Selection:
    """Choose the best rows within the bounds, in order of score; raises InvalidConfig where they contradict."""
    assert isinstance(pool.options, Options)
    order = ranked(pool.scores)
    eligible = np.bincount(order.datasets, minlength=len(pool.auxiliary)).tolist()
    floors, caps = bounds(pool.options, [task.key for task in pool.auxiliary], eligible, budget)
    turn = turns(order.datasets)  # [N]
    needed = turn < floors[order.datasets]
    allowed = ~needed & (turn < caps[order.datasets])
    rest = np.flatnonzero(allowed)[: budget - int(needed.sum())]
    return order.take(np.sort(np.concatenate([np.flatnonzero(needed), rest])))


def turns(groups: npt.NDArray[np.integer]) -> Counts:
    """Return for every entry how many earlier ones are of its group, [N]; groups are numbers from 0."""
    sizes = np.bincount(groups)
    order = np.argsort(groups, kind="stable")
    found = np.empty(len(groups), dtype=np.int64)
    found[order] = np.arange(len(groups)) - (np.cumsum(sizes) - sizes)[groups[order]]
    return found


def bounds(options: Options, keys: Sequence[str], eligible: Sequence[int], budget: int) -> tuple[Counts, Counts]:
    """Return floors [T] and caps [T] in rows.

    Raises UnknownName for a dataset that is not there, else InvalidConfig for floors and caps that contradict each
    other, the budget or the number of eligible rows.
    """
    floors = _rows("floors", options.floors, keys, budget, math.floor, absent=0)
    caps = _rows("caps", options.caps, keys, budget, math.ceil, absent=budget)
    for key, floor, cap, rows in zip(keys, floors, caps, eligible, strict=True):
        if floor > cap:
            raise _refusal("floors", f"{key!r} has a floor of {floor:,} rows above its cap of {cap:,}")
        if floor > rows:
            raise _refusal("floors", f"{key!r} has a floor of {floor:,} rows, but only {rows:,} are eligible")
    if sum(floors) > budget:
        raise _refusal("floors", f"the floors sum to {sum(floors):,} rows, more than the budget of {budget:,}")
    reachable = sum(min(cap, rows) for cap, rows in zip(caps, eligible, strict=True))
    if reachable < budget <= sum(eligible):
        told = f"the caps leave {reachable:,} of {sum(eligible):,} eligible rows, fewer than the budget of {budget:,}"
        raise _refusal("caps", f"{told}; raise a cap or lower the budget")
    return np.array(floors, dtype=np.int64), np.array([min(cap, budget) for cap in caps], dtype=np.int64)


def _rows(
    option: str,
    amounts: Mapping[str, int | float],
    keys: Sequence[str],
    budget: int,
    whole: Callable[[Fraction], int],
    absent: int,
) -> list[int]:
    """Return the rows that the amounts are worth, by dataset.

    A share is taken as it is written: 0.1 of 30 is 3, though the nearest float to 0.1 lies above it. Floors are rounded
    down and caps up, so that shares that sum to 1 can always be kept.
    """
    for key in amounts:
        if key != OTHERS and key not in keys:
            raise UnknownName(f"config.options.caps.{option}", key, keys)
    worth = {
        key: amount if isinstance(amount, int) else whole(Fraction(repr(amount)) * budget)
        for key, amount in amounts.items()
    }
    return [worth.get(key, worth.get(OTHERS, absent)) for key in keys]


def _refusal(option: str, told: str) -> InvalidConfig:
    return InvalidConfig(f"config.options.caps.{option}", f"{told}.")
