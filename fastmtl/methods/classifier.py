"""A linear discriminator on frozen embeddings: what the paper's method would be without training the encoder.

A logistic regression over the tasks (scikit-learn) is fitted on as few rows of each as the paper's discriminator sees;
the score is its probability that the row belongs to the primary.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fastmtl import embeddings
from fastmtl.config import JobConfig
from fastmtl.embeddings import Embeddings
from fastmtl.methods import Scored, ScoreRequest, draw_rows
from fastmtl.plan import Json, StepSpec, TaskRef
from fastmtl.telling import Counted

summary = "How sure a logistic regression over the tasks, on the frozen encoder's vectors, is that it is the primary's."
seeded = True

INVERSE_REGULARISATION = 10.0
"""Vectors have length 1, so weights must be large to tell anything apart."""


def rows_seen(config: JobConfig) -> int:
    """Return how many rows of each task it is fitted on."""
    return config.discriminator.rows_per_task


def plan(config: JobConfig, encoder: Json, tasks: Sequence[TaskRef]) -> list[StepSpec]:
    """Embed every row of every task."""
    return embeddings.plan(config, encoder, tasks)


def score(request: ScoreRequest) -> list[Scored]:
    """Return the probability of the primary, in [0, 1]."""
    from sklearn.linear_model import LogisticRegression  # here: listing methods and planning need only numpy

    vectors = Embeddings(request.inputs)
    tasks = [request.primary, *request.auxiliary]
    drawn = [draw_rows(task.digest, task.rows, request.rows_seen, request.seed) for task in tasks]
    known = [vectors.rows(task.digest, rows) for task, rows in zip(tasks, drawn, strict=True)]
    model = LogisticRegression(C=INVERSE_REGULARISATION, max_iter=1_000)
    model.fit(np.concatenate(known), np.repeat(np.arange(len(tasks)), [len(rows) for rows in drawn]))
    scored = []
    told = Counted(request.progress, sum(task.rows for task in request.auxiliary))
    for task, rows in zip(request.auxiliary, drawn[1:], strict=True):
        sure = []
        for _, part in vectors.parts(task.digest):
            sure.append(model.predict_proba(part)[:, 0])
            told.add(len(part))
        seen = np.zeros(task.rows, dtype=np.bool_)
        seen[rows] = True
        scored.append(Scored(np.concatenate(sure).astype(np.float32), seen))
    return scored
