"""Rank: the method's score of every auxiliary row for this primary (paper, section 3.3).

Reads   what the method's own steps left behind and, for a method that reads texts, the datasets
Writes  tasks.json      the digests of the auxiliary datasets, in the order of the files
        scores-{i}.npy  float32 [n], higher is better; no NaN
        seen-{i}.npy    bool [n]: the row trained the method
        cascade.json    where a cascade scored: what it expects of itself (see fastmtl/cascade.py)

The budget is not asked, but by a cascade: another one ranks nothing again.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from fastmtl import cascade, methods
from fastmtl.methods import Scored, ScoreRequest
from fastmtl.plan import Json, StepSpec, TaskRef, Workspace, folders


def run(spec: StepSpec, workspace: Workspace) -> Json:
    """Score by the method."""
    params = spec.params
    method = methods.get(params["method"])
    auxiliary = [TaskRef(**each) for each in params["auxiliary"]]
    request = ScoreRequest(
        primary=TaskRef(**params["primary"]),
        auxiliary=auxiliary,
        inputs=folders(workspace, spec),
        seed=params["seed"],
        rows_seen=params["rows_seen"],
        options=method.Options(**params["options"]),
        datasets=workspace.datasets,
        progress=workspace.progress,
    )
    scored = method.score(request)
    for index, (task, each) in enumerate(zip(auxiliary, scored, strict=True)):
        assert each.scores.shape == each.seen.shape == (task.rows,), f"{params['method']} left rows of a dataset out"
        assert not np.isnan(each.scores).any(), f"{params['method']} gave a row no score"
        np.save(workspace.output / f"scores-{index}.npy", each.scores.astype(np.float32))
        np.save(workspace.output / f"seen-{index}.npy", each.seen)
    (workspace.output / "tasks.json").write_text(json.dumps([task.digest for task in auxiliary]))
    if told := cascade.read(request.inputs):
        cascade.write(workspace.output, told)
    return {"rows": sum(task.rows for task in auxiliary)}


def read(folder: Path, digests: Sequence[str]) -> list[Scored]:
    """Return the scores of some datasets, in the order given; they stay on disk until they are read."""
    places = [json.loads((folder / "tasks.json").read_text()).index(digest) for digest in digests]
    return [
        Scored(*(np.load(folder / f"{name}-{place}.npy", mmap_mode="r") for name in ("scores", "seen")))
        for place in places
    ]
