"""The paper's selector: all auxiliary rows in one pool, the best N of it (paper, section 3.3)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fastmtl.selectors import Pool, Scores, Selection

summary = "The paper's: all auxiliary rows in one pool, the best of them."


def select(pool: Pool, budget: int) -> Selection:
    """Choose the `budget` highest scores; of equal ones the first by (dataset, row)."""
    return top(pool.scores, budget)


def top(scores: Sequence[Scores], budget: int) -> Selection:
    """Return the `budget` highest scores of all datasets, falling; of equal ones the first by (dataset, row)."""
    pool = np.concatenate([*scores])  # [N]
    ends = np.cumsum([len(one) for one in scores])
    eligible = np.flatnonzero(~np.isnan(pool))
    assert len(eligible) >= budget, "the caller checks the budget against what is eligible"
    values = pool[eligible]
    # The K-th highest score splits the pool; argpartition alone would take any of the rows that share it.
    threshold = np.partition(values, len(values) - budget)[len(values) - budget]
    above = eligible[values > threshold]
    level = eligible[values == threshold][: budget - len(above)]
    chosen = np.concatenate([above, level])  # [K], each part in (dataset, row) order
    chosen = chosen[np.argsort(-pool[chosen], kind="stable")]
    datasets = np.searchsorted(ends, chosen, side="right").astype(np.int32)
    starts = np.concatenate([[0], ends[:-1]])
    return Selection(datasets, (chosen - starts[datasets]).astype(np.int64), pool[chosen])
