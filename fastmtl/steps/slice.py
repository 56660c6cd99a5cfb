"""Slice: the auxiliary rows that a cheap method puts first, for an expensive one to look at.

Reads   the cheap method's `rank` step
Writes  slice.json           the digests of the auxiliary datasets, in the order of the files
        rows-{i}.npy         int64: the rows of dataset i in the slice, rising
        percentiles-{i}.npy  float32 [n] in [0, 1): the share of all auxiliary rows that the cheap method puts below

Of equal scores the first by (dataset, row) is the better one. Torch-free.
"""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt

from fastmtl.methods.gradient import SLICE_FILE
from fastmtl.plan import Json, StepSpec, Workspace, folders
from fastmtl.steps import rank


def run(spec: StepSpec, workspace: Workspace) -> Json:
    """Keep the best `rows` rows of all datasets."""
    (folder,) = folders(workspace, spec)
    digests: list[str] = spec.params["auxiliary"]
    scores = [each.scores for each in rank.read(folder, digests)]
    pool = np.concatenate(scores)  # [N]
    places = np.empty(len(pool), dtype=np.int64)
    places[np.argsort(-pool, kind="stable")] = np.arange(len(pool))  # the best row's is 0
    below = ((len(pool) - 1 - places) / len(pool)).astype(np.float32)  # [N]
    kept = places < spec.params["rows"]  # [N]
    for index, (start, stop) in enumerate(pairwise(np.cumsum([0, *map(len, scores)]).tolist())):
        np.save(workspace.output / f"rows-{index}.npy", np.flatnonzero(kept[start:stop]))
        np.save(workspace.output / f"percentiles-{index}.npy", below[start:stop])
    (workspace.output / SLICE_FILE).write_text(json.dumps(digests))
    return {"rows": int(kept.sum()), "of": len(pool)}


def part(folder: Path, start: int, stop: int) -> list[tuple[str, npt.NDArray[np.int64]]]:
    """Return the rows [start, stop) of a slice, counted by (dataset, row), by dataset; none of them without rows."""
    found = []
    for index, digest in enumerate(json.loads((folder / SLICE_FILE).read_text())):
        rows: npt.NDArray[np.int64] = np.load(folder / f"rows-{index}.npy")
        inside = rows[max(start, 0) : max(stop, 0)]
        if len(inside):
            found.append((digest, inside))
        start, stop = start - len(rows), stop - len(rows)
    return found
