"""Sample: random rows of all tasks, scored in full, for a student to learn from and to be measured by.

Reads   the TD-MTDNN of the `discriminator` step and what the `tokens` steps left
Writes  rows.npy           int64 [S], rising: the rows drawn, counted through all tasks (see fastmtl/stored.py)
        probabilities.npy  float32 [S, T]: the discriminator's for every task

Every row is as likely to be drawn as any other. Neither the primary nor the budget is asked.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fastmtl.checkpoints import Checkpoints
from fastmtl.plan import Json, StepSpec, Workspace, folders
from fastmtl.steps import score
from fastmtl.stored import Span, Stored, spans
from fastmtl.telling import Standing
from fastmtl.tokens import Rows, Tokens, counted

STREAM = 7
"""Beside the seed: the rows that trained the discriminator are drawn by the same one."""


def run(spec: StepSpec, workspace: Workspace) -> Json:
    """Draw and score."""
    training, *shards = folders(workspace, spec)
    found = score.reader(spec, workspace, training)
    stored = Stored(shards)
    generator = np.random.default_rng([spec.params["seed"], STREAM])
    rows = np.sort(generator.choice(len(stored), spec.params["rows"], replace=False, shuffle=False))
    checkpoints = Checkpoints.of(spec, workspace, found.machine, [found.model])
    scores = found.probabilities(stored.take(rows), Standing(workspace.progress), checkpoints)  # [S, T]
    np.save(workspace.output / "rows.npy", rows)
    np.save(workspace.output / "probabilities.npy", scores)
    read = counted(found.encoder, by_task(stored, rows, spans(spec.params["tasks"])))
    machine = found.machine
    return {"rows": len(rows), "device": machine.name, "precision": machine.precision, "read": read}


def by_task(stored: Stored, rows: Rows, tasks: Sequence[Span]) -> list[tuple[str, Tokens]]:
    """Return the tokens of some rows, rising, task by task; a task of none is left out."""
    cut = [(task.digest, rows[(rows >= task.start) & (rows < task.stop)]) for task in tasks]
    return [(digest, stored.take(mine)) for digest, mine in cut if len(mine)]
