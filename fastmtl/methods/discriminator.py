"""The paper's method: the task discriminator's probability that a row belongs to the primary (paper, section 3.3).

CE-trained discriminators are read through a softmax over the tasks, BCE-trained ones through a sigmoid a task (and CE
ones too with `read_as: sigmoid`, as published). That happens in the `score` step, which writes float32 probabilities
[rows, T] for every task; a primary is a column of them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from fastmtl.config import JobConfig
from fastmtl.methods import Scored, ScoreRequest
from fastmtl.plan import TRAINING_COST, Json, StepSpec, TaskRef, in_order

summary = "The paper's: how sure a discriminator, trained with the tasks, is that the row belongs to the primary."

SHARD_ROWS = 50_000
"""Rows of one score step: two minutes of two CPU cores, seconds of a GPU; what a crash can cost."""
DISCRIMINATOR_VERSION = 3
SCORE_VERSION = 3


class Piece(NamedTuple):
    """Rows [start, stop) of one dataset, a part of a shard."""

    digest: str
    start: int
    stop: int


def rows_seen(config: JobConfig) -> int:
    """Return how many rows of each task train the discriminator."""
    return config.discriminator.rows_per_task


def plan(config: JobConfig, encoder: Json, tasks: Sequence[TaskRef]) -> list[StepSpec]:
    """Train TD-MTDNN once for this set of tasks, then score all rows of all tasks in shards."""
    ordered = in_order(tasks)
    digests = tuple(task.digest for task in ordered)
    training = StepSpec(
        kind="discriminator",
        name="discriminator",
        version=DISCRIMINATOR_VERSION,
        params={
            "encoder": encoder,
            "discriminator": config.discriminator.model_dump(exclude={"read_as"}),
            "precision": config.precision,
            "seed": config.seed,
        },
        datasets=digests,
        cost=TRAINING_COST * config.discriminator.epochs * sum(min(rows_seen(config), task.rows) for task in tasks),
    )
    cut = list(shards(ordered))
    scoring = [
        StepSpec(
            kind="score",
            name=f"score {index + 1}/{len(cut)}",
            version=SCORE_VERSION,
            params={
                "pieces": [list(piece) for piece in pieces],
                "precision": config.precision,
                "read_as": config.discriminator.read_as,
            },
            datasets=tuple(dict.fromkeys(piece.digest for piece in pieces)),
            needs=(training.fingerprint,),
            cost=sum(piece.stop - piece.start for piece in pieces),
        )
        for index, pieces in enumerate(cut)
    ]
    return [training, *scoring]


def shards(tasks: Sequence[TaskRef], size: int = SHARD_ROWS) -> Iterator[list[Piece]]:
    """Cut the rows of all tasks, end to end, into runs of `size` rows; the last may be shorter."""
    pieces: list[Piece] = []
    room = size
    for task in tasks:
        start = 0
        while start < task.rows:
            stop = min(start + room, task.rows)
            pieces.append(Piece(task.digest, start, stop))
            room -= stop - start
            start = stop
            if room == 0:
                yield pieces
                pieces, room = [], size
    if pieces:
        yield pieces


def score(request: ScoreRequest) -> list[Scored]:
    """Read the primary's column of the probabilities, and which rows trained the discriminator."""
    training, *scored = request.inputs
    tasks: list[str] = json.loads((training / "tasks.json").read_text())
    column = tasks.index(request.primary.digest)
    result = {
        task.digest: Scored(np.full(task.rows, np.nan, dtype=np.float32), np.zeros(task.rows, dtype=np.bool_))
        for task in request.auxiliary
    }
    for digest, found in result.items():
        found.seen[np.load(training / f"seen-{tasks.index(digest)}.npy")] = True
    for folder in scored:
        probabilities = np.load(folder / "probabilities.npy", mmap_mode="r")  # [rows of the shard, T]
        offset = 0
        for digest, start, stop in json.loads((folder / "pieces.json").read_text()):
            if digest in result:
                result[digest].scores[start:stop] = probabilities[offset : offset + stop - start, column]
            offset += stop - start
    return [result[task.digest] for task in request.auxiliary]
