"""The balanced random baseline: every auxiliary dataset gives as many rows as the others, as long as it has them.

The published code's random baseline is proportional to size, so that it is mostly the largest dataset.
"""

from __future__ import annotations

import numpy as np

from fastmtl.methods import Scored, ScoreRequest

summary = "A random draw that takes as many rows of every dataset, whatever its size: the balanced baseline."
seeded = True


def score(request: ScoreRequest) -> list[Scored]:
    """Shuffle each dataset; the k-th of its rows, from 0, has a score between 1 / (k + 2) and 1 / (k + 1)."""
    generator = np.random.default_rng(request.seed)
    scored = []
    for task in request.auxiliary:
        scores = np.empty(task.rows, dtype=np.float32)
        scores[generator.permutation(task.rows)] = 1 / (1 + np.arange(task.rows) + generator.random(task.rows))
        scored.append(Scored(scores, np.zeros(task.rows, dtype=np.bool_)))
    return scored
