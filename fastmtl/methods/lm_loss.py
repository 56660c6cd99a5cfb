"""Cross-entropy difference: what the encoder's masked language model gains on a row by knowing the primary's texts.

Moore & Lewis (2010), with a masked language model in place of an n-gram one: the score is the mean loss of a row's
masked tokens under the encoder as it comes, minus that under the same encoder trained a little further on the
primary's texts. The difference cancels what makes a row hard for either, its length and its rare words. No label is
read, neither of the primary nor of a row.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np
from pydantic import Field

from fastmtl.config import JobConfig, LearningRate, TrainingConfig
from fastmtl.encoders import KNOWN, MASKED_LM, Abilities
from fastmtl.methods import Scored, ScoreRequest
from fastmtl.methods.discriminator import shards
from fastmtl.plan import TRAINING_COST, Json, StepSpec, TaskRef, in_order

summary = "How much better the encoder's masked language model predicts the row once it is adapted to the primary."

NAME = "lm_loss"
ADAPT_VERSION = 1
LOSS_VERSION = 2


class Options(TrainingConfig):
    """How the language model is adapted to the primary's texts, and how its loss is measured."""

    learning_rate: LearningRate = 5e-5
    mask_share: float = Field(
        0.15,
        gt=0,
        le=0.9,
        description="Share of a row's tokens that are masked, one at least, in the adaptation and in the measurement.",
    )
    passes: int = Field(
        1,
        ge=1,
        le=100,
        description="Random maskings that a row's loss is the mean of: more of them, less noise, as much more time.",
    )


def refusal(encoder: Abilities) -> str | None:
    """Refuse an encoder that is not known to carry the head of its masked language model."""
    if encoder.masked_lm:
        return None
    able = ", ".join(sorted(name for name, location in KNOWN.items() if location.endswith(MASKED_LM)))
    return (
        f"it measures the loss of the encoder's own masked language model, and the checkpoint of {encoder.name!r} is "
        f"not known to hold the head of one. Use an encoder whose checkpoint does, such as {able}, or another method"
    )


def plan(config: JobConfig, encoder: Json, tasks: Sequence[TaskRef]) -> list[StepSpec]:
    """Adapt the language model to the primary, then measure both models on all auxiliary rows in shards."""
    options = Options.model_validate(config.options.get(NAME, {}))
    primary, *auxiliary = tasks
    shared: Json = {
        "encoder": encoder,
        "mask_share": options.mask_share,
        "precision": config.precision,
        "seed": config.seed,
    }
    adapting = StepSpec(
        kind="adapt_lm",
        name=f"adapt the language model to {primary.key}",
        version=ADAPT_VERSION,
        params={**shared, "training": options.model_dump(include=set(TrainingConfig.model_fields))},
        datasets=(primary.digest,),
        cost=TRAINING_COST * options.epochs * primary.rows,
    )
    cut = list(shards(in_order(auxiliary)))
    measuring = [
        StepSpec(
            kind="lm_loss",
            name=f"language model loss {index + 1}/{len(cut)}",
            version=LOSS_VERSION,
            params={**shared, "passes": options.passes, "pieces": [list(piece) for piece in pieces]},
            datasets=tuple(dict.fromkeys(piece.digest for piece in pieces)),
            needs=(adapting.fingerprint,),
            cost=2 * options.passes * sum(piece.stop - piece.start for piece in pieces),
        )
        for index, pieces in enumerate(cut)
    ]
    return [adapting, *measuring]


def score(request: ScoreRequest) -> list[Scored]:
    """Return the loss as the model comes minus the adapted one's, in nats a token; 0 where nothing can be masked."""
    _, *measured = request.inputs
    result = {
        task.digest: Scored(np.full(task.rows, np.nan, dtype=np.float32), np.zeros(task.rows, dtype=np.bool_))
        for task in request.auxiliary
    }
    for folder in measured:
        losses = np.load(folder / "losses.npy")  # [rows of the shard, 2]
        gained = losses[:, 0] - losses[:, 1]  # [rows of the shard]
        offset = 0
        for digest, start, stop in json.loads((folder / "pieces.json").read_text()):
            result[digest].scores[start:stop] = gained[offset : offset + stop - start]
            offset += stop - start
    return [result[task.digest] for task in request.auxiliary]
