"""The `random` baseline: every auxiliary row of all datasets is as good as any other."""

from __future__ import annotations

import numpy as np

from fastmtl.methods import Scored, ScoreRequest

summary = "A uniform draw from all auxiliary rows, so in proportion to the size of each dataset: the baseline."
seeded = True


def score(request: ScoreRequest) -> list[Scored]:
    """Draw a uniform score in [0, 1) for every row."""
    generator = np.random.default_rng(request.seed)
    return [
        Scored(generator.random(task.rows, dtype=np.float32), np.zeros(task.rows, dtype=np.bool_))
        for task in request.auxiliary
    ]
