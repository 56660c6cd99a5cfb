"""Gradient similarity, after LESS (Xia et al. 2024): how far a training step on the row lowers the primary's loss too.

A frozen encoder with low-rank adapters is warmed up on a few rows of every task. The gradient of each row's loss on its
own task and label, with respect to the adapters, is projected at random to a few hundred dimensions and made 1 long.
The score is its cosine with the mean of the primary's. LESS scales the auxiliary gradients by Adam's moments and sums
over checkpoints; here one checkpoint and plain gradients do.

`slice_of` names a cheap method. Gradients are then computed of the `slice_times` * budget auxiliary rows that it puts
first, and every other row gets -2 + the share of rows below it by the cheap method: less than any cosine.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from pydantic import Field

from fastmtl import methods
from fastmtl.config import Epochs, Frozen, JobConfig, LearningRate, TrainingConfig
from fastmtl.errors import UnknownName
from fastmtl.methods import Scored, ScoreRequest
from fastmtl.methods.discriminator import SHARD_ROWS, shards
from fastmtl.plan import TRAINING_COST, Json, StepSpec, TaskRef, in_order
from fastmtl.telling import Counted

summary = "How far a training step on the row, with its label, would also lower the primary's loss: gradients compared."

NAME = "gradient"
SLICE_OF = f"config.options.{NAME}.slice_of"
GRADIENTS_FILE = "gradients.npy"
SLICE_FILE = "slice.json"
WARM_UP_VERSION = 2
GRADIENTS_VERSION = 1
SLICE_VERSION = 1
ROWS_AT_ONCE = 8_192
BELOW_COSINES = np.nextafter(np.float32(-1), np.float32(-2))
"""The largest score of a row outside the slice."""

Piece = tuple[str, npt.NDArray[np.int64], npt.NDArray[np.float32]]
"""A dataset's digest, some of its rows and their gradients [rows, D]."""


class Options(Frozen):
    """How the gradients are made, and of which rows."""

    warm_up_epochs: Epochs = 2
    learning_rate: LearningRate = 1e-3
    dimensions: int = Field(
        512,
        ge=8,
        le=4_096,
        multiple_of=8,
        description="Dimensions that gradients are projected to: more are truer and take more room.",
    )
    slice_of: str | None = Field(
        None,
        max_length=100,
        description="A cheaper method that chooses the rows to compute gradients of; without one, those of all rows.",
    )
    slice_times: int = Field(
        10, ge=1, le=10_000, description="How many times the budget the cheaper method chooses; only with `slice_of`."
    )


def rows_seen(config: JobConfig) -> int:
    """Return how many rows of each task the adapters are warmed up on."""
    return config.discriminator.rows_per_task


def relies_on(config: JobConfig) -> dict[str, str]:
    """Return the method of the slice, where there is one. Raises UnknownName where it is no other method."""
    cheap = Options.model_validate(config.options.get(NAME, {})).slice_of
    if cheap is None:
        return {}
    others = [name for name in methods.names() if name != NAME]
    if cheap not in others:
        raise UnknownName(SLICE_OF, cheap, others)
    return {SLICE_OF: cheap}


def plan(config: JobConfig, encoder: Json, tasks: Sequence[TaskRef]) -> list[StepSpec]:
    """Warm up once for this set of tasks, then compute gradients: of all rows, or of the primary's and of a slice.

    Without a slice no step knows the primary.
    """
    options = Options.model_validate(config.options.get(NAME, {}))
    warm_up = _warm_up(config, options, encoder, in_order(tasks))
    if options.slice_of is None:
        return [warm_up, *_gradients(config, options, warm_up, in_order(tasks), "gradients")]
    primary, *rest = tasks
    auxiliary = in_order(rest)
    cheap = methods.plan(options.slice_of, config, encoder, tasks, label=f"rank by {options.slice_of} for a slice")
    chosen = StepSpec(
        kind="slice",
        name="slice",
        version=SLICE_VERSION,
        params={
            "auxiliary": [task.digest for task in auxiliary],
            "rows": min(options.slice_times * config.budget, sum(task.rows for task in auxiliary)),
        },
        needs=(cheap[-1].fingerprint,),
    )
    of_primary = _gradients(config, options, warm_up, [primary], "gradients of the primary")
    return [warm_up, *cheap, chosen, *of_primary, *_slice_gradients(config, options, warm_up, chosen)]


def _warm_up(config: JobConfig, options: Options, encoder: Json, ordered: Sequence[TaskRef]) -> StepSpec:
    """Train adapters and heads (fastmtl/steps/warm_up.py)."""
    training = TrainingConfig(
        epochs=options.warm_up_epochs,
        learning_rate=options.learning_rate,
        batch_size=config.discriminator.batch_size,
    )
    return StepSpec(
        kind="warm_up",
        name="warm-up",
        version=WARM_UP_VERSION,
        params={
            "encoder": encoder,
            "training": training.model_dump(),
            "rows_per_task": rows_seen(config),
            "precision": config.precision,
            "seed": config.seed,
        },
        datasets=tuple(task.digest for task in ordered),
        cost=TRAINING_COST * training.epochs * sum(min(rows_seen(config), task.rows) for task in ordered),
    )


def _gradients(
    config: JobConfig, options: Options, warm_up: StepSpec, tasks: Sequence[TaskRef], name: str
) -> list[StepSpec]:
    """Compute the gradients of all rows of some tasks, in shards (fastmtl/steps/gradients.py)."""
    cut = list(shards(tasks))
    return [
        StepSpec(
            kind="gradients",
            name=f"{name} {index + 1}/{len(cut)}",
            version=GRADIENTS_VERSION,
            params={"pieces": [list(piece) for piece in pieces], **_arithmetic(config, options)},
            datasets=tuple(dict.fromkeys(piece.digest for piece in pieces)),
            needs=(warm_up.fingerprint,),
            cost=TRAINING_COST * sum(piece.stop - piece.start for piece in pieces),
        )
        for index, pieces in enumerate(cut)
    ]


def _slice_gradients(config: JobConfig, options: Options, warm_up: StepSpec, chosen: StepSpec) -> list[StepSpec]:
    """Compute the gradients of a slice, in shards; which rows stand in each is known when the slice is."""
    rows: int = chosen.params["rows"]
    starts = range(0, rows, SHARD_ROWS)
    return [
        StepSpec(
            kind="gradients",
            name=f"gradients of the slice {index + 1}/{len(starts)}",
            version=GRADIENTS_VERSION,
            params={"slice": [start, min(start + SHARD_ROWS, rows)], **_arithmetic(config, options)},
            datasets=tuple(chosen.params["auxiliary"]),
            needs=(warm_up.fingerprint, chosen.fingerprint),
            cost=TRAINING_COST * (min(start + SHARD_ROWS, rows) - start),
        )
        for index, start in enumerate(starts)
    ]


def _arithmetic(config: JobConfig, options: Options) -> Json:
    return {"dimensions": options.dimensions, "precision": config.precision, "seed": config.seed}


def score(request: ScoreRequest) -> list[Scored]:
    """Return the cosine with the primary's mean gradient, in [-1, 1]; outside a slice less, in [-2, -1)."""
    training, *others = request.inputs
    computed = [folder for folder in others if (folder / GRADIENTS_FILE).is_file()]
    result = _unscored(request, training, [folder for folder in others if (folder / SLICE_FILE).is_file()])
    aim = _mean_direction(computed, request.primary.digest)  # [D]
    told = Counted(request.progress, sum(task.rows for task in request.auxiliary))
    for folder in computed:
        for digest, rows, gradients in _pieces(folder):
            if digest in result:
                told.add(len(rows))
                result[digest].scores[rows] = np.clip(gradients @ aim, -1, 1)
    return [result[task.digest] for task in request.auxiliary]


def _unscored(request: ScoreRequest, training: Path, slices: Sequence[Path]) -> dict[str, Scored]:
    """Return, by digest, the scores of rows outside a slice (all NaN where there is none), and what was seen."""
    warmed_up: list[str] = json.loads((training / "tasks.json").read_text())
    result = {}
    for task in request.auxiliary:
        seen = np.zeros(task.rows, dtype=np.bool_)
        seen[np.load(training / f"seen-{warmed_up.index(task.digest)}.npy")] = True
        result[task.digest] = Scored(np.full(task.rows, np.nan, dtype=np.float32), seen)
    for folder in slices:
        for index, digest in enumerate(json.loads((folder / SLICE_FILE).read_text())):
            below = np.load(folder / f"percentiles-{index}.npy")  # [n]
            result[digest].scores[:] = np.minimum(below - 2, BELOW_COSINES)
    return result


def _mean_direction(computed: Sequence[Path], primary: str) -> npt.NDArray[np.float32]:
    """Return the mean of the primary's gradients made 1 long, [D]; zero where they cancel out."""
    parts = [
        gradients.sum(0, dtype=np.float64)
        for folder in computed
        for digest, _, gradients in _pieces(folder)
        if digest == primary
    ]
    total = np.sum(parts, axis=0)  # [D]
    length = np.linalg.norm(total)
    direction: npt.NDArray[np.float32] = (total / length if length else total).astype(np.float32)
    return direction


def _pieces(folder: Path) -> Iterator[Piece]:
    """Yield what a `gradients` step left behind, some rows at a time."""
    gradients = np.load(folder / GRADIENTS_FILE, mmap_mode="r")  # [rows of the shard, D]
    rows = np.load(folder / "rows.npy")
    start = 0
    for digest, count in json.loads((folder / "pieces.json").read_text()):
        for first in range(start, start + count, ROWS_AT_ONCE):
            stop = min(first + ROWS_AT_ONCE, start + count)
            yield digest, rows[first:stop], gradients[first:stop]
        start += count
