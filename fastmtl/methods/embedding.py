"""Nearest neighbours: how close a row lies to the primary's rows in the frozen encoder's space. Trains nothing.

The score is the mean cosine to the `nearest` primary rows: to one alone, a single odd row of the primary draws a crowd.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from pydantic import Field

from fastmtl import embeddings
from fastmtl.config import Frozen, JobConfig
from fastmtl.embeddings import Embeddings, Vectors
from fastmtl.methods import Scored, ScoreRequest
from fastmtl.plan import Json, StepSpec, TaskRef
from fastmtl.telling import Counted

summary = "How close the row lies to its nearest rows of the primary in the frozen encoder's space; trains nothing."

ROWS_AT_ONCE = 4_096


class Options(Frozen):
    """How near is near."""

    nearest: int = Field(
        8, ge=1, le=10_000, description="Primary rows that a row is compared with, or all where there are fewer."
    )


def plan(config: JobConfig, encoder: Json, tasks: Sequence[TaskRef]) -> list[StepSpec]:
    """Embed every row of every task."""
    return embeddings.plan(config, encoder, tasks)


def score(request: ScoreRequest) -> list[Scored]:
    """Return the mean cosine, in [-1, 1], to the nearest rows of the primary."""
    assert isinstance(request.options, Options)
    nearest = request.options.nearest
    vectors = Embeddings(request.inputs)
    primary = np.concatenate([part for _, part in vectors.parts(request.primary.digest)])  # [n, H]
    told = Counted(request.progress, sum(task.rows for task in request.auxiliary))
    return [
        Scored(
            np.concatenate([closeness(part, primary, nearest, told.add) for _, part in vectors.parts(task.digest)]),
            np.zeros(task.rows, dtype=np.bool_),
        )
        for task in request.auxiliary
    ]


def closeness(
    rows: Vectors, primary: Vectors, nearest: int, done: Callable[[int], None] = lambda rows: None
) -> Vectors:
    """Return [len(rows)]: the mean of the `nearest` largest products with rows of the primary."""
    nearest = min(nearest, len(primary))
    result = np.empty(len(rows), dtype=np.float32)
    for start in range(0, len(rows), ROWS_AT_ONCE):
        products = rows[start : start + ROWS_AT_ONCE] @ primary.T  # [rows, n]
        largest = np.partition(products, -nearest, axis=1)[:, -nearest:]
        result[start : start + ROWS_AT_ONCE] = np.sort(largest, axis=1).mean(axis=1)
        done(len(largest))
    return result
