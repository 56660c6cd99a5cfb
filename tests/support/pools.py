"""Pools for selectors: scores alone, or with canonical files and embeddings of the datasets behind them."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fastmtl.canonical import convert
from fastmtl.datasets import Dataset, TaskKind
from fastmtl.plan import TaskRef
from fastmtl.selectors import Pool, Selection

PRIMARY = TaskRef("primary", f"{99:016x}", 3)


def bare(scores: Sequence[Sequence[float]], **more: Any) -> Pool:
    """A pool of datasets a, b, c ... of which nothing is known but the scores of their rows."""
    arrays = [np.array(one, dtype=np.float32) for one in scores]
    auxiliary = [TaskRef("abcdefgh"[i], f"{i + 1:016x}", len(one)) for i, one in enumerate(arrays)]
    return Pool(**{"scores": arrays, "primary": PRIMARY, "auxiliary": auxiliary, **more})


def write_dataset(folder: Path, key: str, rows: Sequence[Sequence[str]], kind: TaskKind | None = None) -> TaskRef:
    """Convert rows of (text, label) or (text_a, text_b, label) to the canonical file `folder / key`."""
    header = ["text", "label"] if len(rows[0]) == 2 else ["text_a", "text_b", "label"]
    with (folder / f"{key}.csv").open("w", newline="") as file:
        csv.writer(file).writerows([header, *rows])
    summary = convert(folder / f"{key}.csv", folder / key, kind=kind)
    assert Dataset.open(folder / key).pair == (len(header) == 3)
    return TaskRef(key, summary.digest, summary.rows)


def write_embeddings(folder: Path, task: TaskRef, vectors: np.ndarray, cut: int = 0) -> list[Path]:
    """Write what two `embed` steps of a dataset, up to row `cut` and from there, leave behind; one if it is 0."""
    written = []
    for start, stop in [(0, cut), (cut, task.rows)] if cut else [(0, task.rows)]:
        written.append(folder / f"{task.key}-{start}")
        written[-1].mkdir()
        np.save(written[-1] / "embeddings.npy", vectors[start:stop].astype(np.float32))
        (written[-1] / "piece.json").write_text(json.dumps({"dataset": task.digest, "start": start}))
    return written


def listed(selection: Selection) -> list[tuple[int, int, float]]:
    """A selection as (dataset, row, score), best first, of the columns' right types."""
    assert [column.dtype for column in selection] == [np.int32, np.int64, np.float32]
    return list(zip(*(column.tolist() for column in selection), strict=True))


def ordered(scores: Sequence[Sequence[float]]) -> list[tuple[int, int, float]]:
    """All eligible rows of a pool as (dataset, row, score), best first, by an independent sort."""
    single = [np.array(one, dtype=np.float32).tolist() for one in scores]
    rows = [(-score, d, r) for d, one in enumerate(single) for r, score in enumerate(one) if score == score]
    return [(dataset, row, -negative) for negative, dataset, row in sorted(rows)]
