"""The frozen encoder's vectors of all rows of a job: planned here, computed by the `embed` step, read by methods.

A dataset's vectors know no other dataset, so they are computed once for all jobs that embed it with that encoder.

Letters: n rows of a dataset · H hidden width.

Torch-free.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from fastmtl.config import JobConfig
from fastmtl.plan import Json, StepSpec, TaskRef

Vectors = npt.NDArray[np.float32]

VERSION = 2
SHARD_ROWS = 50_000
"""Rows of one step: what a crash can cost."""


def plan(config: JobConfig, encoder: Json, tasks: Sequence[TaskRef]) -> list[StepSpec]:
    """Return the steps that embed every row of every task."""
    return [
        StepSpec(
            kind="embed",
            name=f"embed {task.key}" + (f" from row {start:,}" if start else ""),
            version=VERSION,
            params={
                "encoder": encoder,
                "precision": config.precision,
                "start": start,
                "stop": min(start + SHARD_ROWS, task.rows),
            },
            datasets=(task.digest,),
            cost=min(start + SHARD_ROWS, task.rows) - start,
        )
        for task in tasks
        for start in range(0, task.rows, SHARD_ROWS)
    ]


class Embeddings:
    """What the planned steps left behind, by dataset; vectors have length 1 and stay on disk until they are read."""

    def __init__(self, folders: Sequence[Path]) -> None:
        self._parts: dict[str, list[tuple[int, Path]]] = {}
        for folder in folders:
            piece = json.loads((folder / "piece.json").read_text())
            self._parts.setdefault(piece["dataset"], []).append((piece["start"], folder / "embeddings.npy"))

    def parts(self, digest: str) -> Iterator[tuple[int, Vectors]]:
        """Yield (first row, vectors [rows, H]) over all rows of a dataset, in order."""
        for start, path in sorted(self._parts[digest]):
            yield start, np.load(path, mmap_mode="r")

    def rows(self, digest: str, rows: npt.NDArray[np.int64]) -> Vectors:
        """Return the vectors of some rows, which must rise, [len(rows), H]."""
        found = []
        for start, vectors in self.parts(digest):
            inside = rows[(rows >= start) & (rows < start + len(vectors))]
            found.append(vectors[inside - start])
        return np.concatenate(found)
