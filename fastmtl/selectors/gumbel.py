"""Resampling: a draw without replacement in proportion to exp(score / temperature), by the Gumbel top-k trick.

Xie et al. (Data Selection for Language Models via Importance Resampling, 2023, section 3): where `top` takes only what
looks most like the primary, a draw keeps its variety. The K largest of score / temperature + Gumbel noise are the first
K rows of such a draw, in order.

Letters: N eligible rows of all datasets · n rows of a dataset · K budget.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from pydantic import Field

from fastmtl.config import Frozen
from fastmtl.errors import InvalidConfig
from fastmtl.plan import TaskRef
from fastmtl.selectors import Pool, Ranked, Selection, ranked

summary = "A draw without replacement in proportion to exp(score / temperature): better rows more often, not only they."
seeded = True


class Options(Frozen):
    """What a score weighs."""

    temperature: float = Field(
        1.0, gt=0, le=1e6, description="Near 0 the draw is that of `top`; the higher, the nearer to a uniform one."
    )
    log: bool = Field(
        False,
        description="Whether to take the logarithm of the scores first, for methods that give probabilities: rows are "
        "then drawn in proportion to score ** (1 / temperature). All scores must be above 0.",
    )


def select(pool: Pool, budget: int) -> Selection:
    """Draw `budget` rows, in the order of the draw; of equal keys the first by (score, dataset, row)."""
    assert isinstance(pool.options, Options)
    order = ranked(pool.scores)
    weights = _logarithms(order) if pool.options.log else order.scores.astype(np.float64)  # [N]
    starts = np.cumsum([0, *(task.rows for task in pool.auxiliary)])[:-1]
    noise = np.concatenate([_noise(task, pool.seed) for task in pool.auxiliary])
    # Multiplied by the temperature, the keys are in the same order, and none overflows.
    keys = weights + pool.options.temperature * noise[starts[order.datasets] + order.rows]
    return order.take(np.argsort(-keys, kind="stable")[:budget])


def _logarithms(order: Ranked) -> npt.NDArray[np.float64]:
    """Return log scores [N]; raises InvalidConfig where there are none."""
    low = int((order.scores <= 0).sum())
    if low:
        raise InvalidConfig(
            "config.options.gumbel.log",
            f"log is true, but {low:,} of {len(order.scores):,} eligible rows have a score of 0 or less, the lowest "
            f"{order.scores[-1]:g}: set it to false, or choose a method whose scores are probabilities above 0.",
        )
    return np.log(order.scores.astype(np.float64))


def _noise(task: TaskRef, seed: int | None) -> npt.NDArray[np.float64]:
    """Return standard Gumbel noise [n]: a row's depends neither on the job's other datasets nor on who is eligible."""
    return np.random.default_rng([seed or 0, int(task.digest[:16], 16)]).gumbel(size=task.rows)
