"""Calibrate without an encoder: what steps take that only read texts; no step of a job.

Reads   nothing
Writes  nothing; its result has the measurement

Torch-free.
"""

from __future__ import annotations

import time
from itertools import repeat

import numpy as np

from fastmtl.leakage import LeakGuard
from fastmtl.plan import Json, StepSpec, Workspace
from fastmtl.sentences import SENTENCES

ROWS, HELD_ROWS, ROW_WORDS = 2_000, 200, 20


def run(spec: StepSpec, workspace: Workspace) -> Json:
    """Search rows of chance words for others; `seconds` is what that took after the start."""
    words = " ".join(SENTENCES).split()
    drawn = np.random.default_rng(0).integers(0, len(words), (ROWS + HELD_ROWS, ROW_WORDS))
    texts = [" ".join(words[index] for index in places) for places in drawn]
    rows = list(zip(texts, repeat(None), strict=False))
    began = time.monotonic()
    guard = LeakGuard(rows[:HELD_ROWS], near=True)
    leaks = sum(found is not None for found in guard.find(rows[HELD_ROWS:]))
    return {"seconds": time.monotonic() - began, "characters": sum(map(len, texts)), "leaks": leaks}
