"""The paper's method: the task discriminator's probability that a row belongs to the primary (paper, section 3.3).

CE-trained discriminators are read through a softmax over the tasks, BCE-trained ones through a sigmoid a task (and CE
ones too with `read_as: sigmoid`, as published). That happens in the `score` step, which writes float32 probabilities
[rows, T] for every task; a primary is a column of them.

With `slice_times` it is a cascade: a student of the discriminator (fastmtl/student.py), taught by a random sample of
rows that was scored in full, guesses every row, and only `slice_times` * budget rows that it puts first are scored in
full. Every other row gets less than any probability, in [-1, 0), in the student's order. What the slice is expected to
hold of the rows that full scoring puts first is reckoned from the sample, and told with the selection.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from pydantic import Field, SerializerFunctionWrapHandler, model_serializer

from fastmtl import cascade
from fastmtl.config import Frozen, JobConfig
from fastmtl.methods import Scored, ScoreRequest
from fastmtl.plan import TRAINING_COST, Json, StepSpec, TaskRef, in_order

summary = "The paper's: how sure a discriminator, trained with the tasks, is that the row belongs to the primary."

SHARD_ROWS = 50_000
"""Rows of one score step: two minutes of two CPU cores, seconds of a GPU; what a crash can cost."""
MOST_SHARDS, MOST_SHARD_ROWS = 4_000, 2_000_000
"""Of more rows than so many steps hold, the steps grow rather than their number, as far as memory goes."""
NAME = "discriminator"
DISCRIMINATOR_VERSION = 3
SCORE_VERSION = 3
TOKENS_VERSION = 1
SAMPLE_VERSION = 1
CASCADE_VERSION = 1


class Options(Frozen):
    """Whether every row is scored in full, or a cascade chooses those that are."""

    slice_times: int | None = Field(
        None,
        ge=2,
        le=10_000,
        description="Score only so many times the budget in full: the rows that a cheap student of the discriminator "
        "puts first. The report says what that is expected to miss. Without it, every row is scored in full.",
    )
    sample_rows: int = Field(
        4_000,
        ge=20,
        le=50_000,
        description="Random rows that the student learns from and the expected miss is told by; only with "
        "`slice_times`.",
    )

    @model_serializer(mode="wrap")
    def _settings(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Say nothing where every row is scored in full: what was ranked before there was a choice stays known."""
        return {} if self.slice_times is None else write(self)


class Piece(NamedTuple):
    """Rows [start, stop) of one dataset, a part of a shard."""

    digest: str
    start: int
    stop: int


def rows_seen(config: JobConfig) -> int:
    """Return how many rows of each task train the discriminator."""
    return config.discriminator.rows_per_task


def plan(config: JobConfig, encoder: Json, tasks: Sequence[TaskRef]) -> list[StepSpec]:
    """Train TD-MTDNN once for this set of tasks, then score all rows of all tasks in shards, or those of a cascade.

    Of a cascade only the last step knows the primary, tasks[0], and the budget.
    """
    ordered = in_order(tasks)
    training = _training(config, encoder, ordered)
    wanted = _slice_rows(config, tasks[1:])
    if wanted is None:
        return [training, *_scoring(config, training, ordered)]
    tokens = _tokens(training, ordered)
    sample = _sample(config, training, tokens, ordered)
    return [training, *tokens, sample, _cascade(config, [training, *tokens, sample], tasks, wanted)]


def _training(config: JobConfig, encoder: Json, ordered: Sequence[TaskRef]) -> StepSpec:
    """Train (fastmtl/steps/discriminator.py)."""
    return StepSpec(
        kind="discriminator",
        name="discriminator",
        version=DISCRIMINATOR_VERSION,
        params={
            "encoder": encoder,
            "discriminator": config.discriminator.model_dump(exclude={"read_as"}),
            "precision": config.precision,
            "seed": config.seed,
        },
        datasets=tuple(task.digest for task in ordered),
        cost=TRAINING_COST * config.discriminator.epochs * sum(min(rows_seen(config), task.rows) for task in ordered),
    )


def _scoring(config: JobConfig, training: StepSpec, ordered: Sequence[TaskRef]) -> list[StepSpec]:
    """Score every row in full (fastmtl/steps/score.py)."""
    cut = list(shards(ordered))
    return [
        StepSpec(
            kind="score",
            name=f"score {index + 1}/{len(cut)}",
            version=SCORE_VERSION,
            params={"pieces": [list(piece) for piece in pieces], **_arithmetic(config)},
            datasets=tuple(dict.fromkeys(piece.digest for piece in pieces)),
            needs=(training.fingerprint,),
            cost=sum(piece.stop - piece.start for piece in pieces),
        )
        for index, pieces in enumerate(cut)
    ]


def _slice_rows(config: JobConfig, auxiliary: Sequence[TaskRef]) -> int | None:
    """Return how many rows a cascade scores in full beside its sample; None where it would save nothing."""
    options = Options.model_validate(config.options.get(NAME, {}))
    if options.slice_times is None:
        return None
    seen = rows_seen(config) if config.seen_rows == "exclude" else 0
    eligible = sum(task.rows - min(task.rows, seen) for task in auxiliary)
    wanted = options.slice_times * config.budget
    return wanted if wanted + options.sample_rows < eligible else None


def _tokens(training: StepSpec, ordered: Sequence[TaskRef]) -> list[StepSpec]:
    """Turn every row into tokens, in shards (fastmtl/steps/tokens.py)."""
    cut = list(shards(ordered))
    return [
        StepSpec(
            kind="tokens",
            name=f"tokens {index + 1}/{len(cut)}",
            version=TOKENS_VERSION,
            params={"pieces": [list(piece) for piece in pieces]},
            datasets=tuple(dict.fromkeys(piece.digest for piece in pieces)),
            needs=(training.fingerprint,),
        )
        for index, pieces in enumerate(cut)
    ]


def _sample(config: JobConfig, training: StepSpec, tokens: Sequence[StepSpec], ordered: Sequence[TaskRef]) -> StepSpec:
    """Score random rows in full (fastmtl/steps/sample.py)."""
    options = Options.model_validate(config.options.get(NAME, {}))
    return StepSpec(
        kind="sample",
        name="sample",
        version=SAMPLE_VERSION,
        params={
            "tasks": [[task.digest, task.rows] for task in ordered],
            "rows": options.sample_rows,
            "seed": config.seed,
            **_arithmetic(config),
        },
        needs=(training.fingerprint, *(step.fingerprint for step in tokens)),
        cost=options.sample_rows,
    )


def _cascade(config: JobConfig, inputs: Sequence[StepSpec], tasks: Sequence[TaskRef], wanted: int) -> StepSpec:
    """Let the student choose the rows that are scored in full (fastmtl/steps/cascade.py)."""
    primary, *auxiliary = tasks
    return StepSpec(
        kind="cascade",
        name="cascade",
        version=CASCADE_VERSION,
        params={
            "tasks": [[task.digest, task.rows] for task in in_order(tasks)],
            "primary": primary.digest,
            "auxiliary": [task.digest for task in in_order(auxiliary)],
            "seen_rows": config.seen_rows,
            "rows": wanted,
            "budget": config.budget,
            **_arithmetic(config),
        },
        needs=tuple(step.fingerprint for step in inputs),
        cost=wanted,
    )


def _arithmetic(config: JobConfig) -> Json:
    return {"precision": config.precision, "read_as": config.discriminator.read_as}


def shard_rows(rows: int) -> int:
    """Return how many rows a shard has where there are so many in all; however many workers there are."""
    return min(max(SHARD_ROWS, -(-rows // MOST_SHARDS)), MOST_SHARD_ROWS)


def shards(tasks: Sequence[TaskRef], size: int | None = None) -> Iterator[list[Piece]]:
    """Cut the rows of all tasks, end to end, into runs of `size` rows; the last may be shorter."""
    pieces: list[Piece] = []
    room = size = size or shard_rows(sum(task.rows for task in tasks))
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
    training, *others = request.inputs
    tasks: list[str] = json.loads((training / "tasks.json").read_text())
    result = {
        task.digest: Scored(np.full(task.rows, np.nan, dtype=np.float32), np.zeros(task.rows, dtype=np.bool_))
        for task in request.auxiliary
    }
    for digest, found in result.items():
        found.seen[np.load(training / f"seen-{tasks.index(digest)}.npy")] = True
    cascades = [folder for folder in others if (folder / cascade.FILE).is_file()]
    if cascades:
        _read_cascade(cascades[0], result)
    else:
        _read_shards(others, tasks.index(request.primary.digest), result)
    return [result[task.digest] for task in request.auxiliary]


def _read_shards(folders: Sequence[Path], column: int, result: dict[str, Scored]) -> None:
    """Read what `score` steps left."""
    for folder in folders:
        probabilities = np.load(folder / "probabilities.npy", mmap_mode="r")  # [rows of the shard, T]
        offset = 0
        for digest, start, stop in json.loads((folder / "pieces.json").read_text()):
            if digest in result:
                result[digest].scores[start:stop] = probabilities[offset : offset + stop - start, column]
            offset += stop - start


def _read_cascade(folder: Path, result: dict[str, Scored]) -> None:
    """Read what a `cascade` step left."""
    for index, digest in enumerate(json.loads((folder / "tasks.json").read_text())):
        result[digest].scores[:] = np.load(folder / f"scores-{index}.npy")
