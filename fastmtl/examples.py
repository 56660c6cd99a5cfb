"""The labelled rows of one task, as a training wants them: read, tokenized, labels in the head's units."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from transformers import PreTrainedTokenizerBase

from fastmtl.batches import TaskRows
from fastmtl.datasets import Dataset, TaskKind
from fastmtl.methods import draw_rows
from fastmtl.model import Checkpoint, Task
from fastmtl.plan import Progress, silent
from fastmtl.reading import read_tokens
from fastmtl.tokens import Rows


def describe_task(digest: str, dataset: Dataset, rows: Rows) -> Task:
    """Return what a head must know; a regression's mean and standard deviation are those of `rows`."""
    if dataset.kind == TaskKind.CLASSIFICATION:
        return Task(digest, dataset.kind, dataset.classes)
    labels = dataset.labels(rows)
    return Task(digest, dataset.kind, (), float(labels.mean()), float(labels.std()) or 1.0)


def read_task(
    index: int,
    task: Task,
    dataset: Dataset,
    rows: Rows,
    tokenizer: PreTrainedTokenizerBase,
    max_length: int,
    progress: Progress = silent,
) -> TaskRows:
    """Read `rows` of a dataset for the task that is the model's number `index`."""
    labels = in_head_units(task, dataset, rows)
    return TaskRows(index, read_tokens(dataset, rows, tokenizer, max_length, progress), labels)


@dataclass(frozen=True)
class Drawn:
    """A few rows of every task, in the order of the digests that were asked for."""

    tasks: list[Task]
    sources: list[TaskRows]
    rows: list[Rows]
    """Of each task, rising."""


def draw_tasks(
    digests: Sequence[str],
    opened: Callable[[str], Dataset],
    rows_per_task: int,
    seed: int,
    checkpoint: Checkpoint,
    progress: Progress = silent,
) -> Drawn:
    """Draw and read min(rows_per_task, n) rows of each task; `opened` gives a dataset by its digest."""
    datasets = [opened(digest) for digest in digests]
    drawn = [
        draw_rows(digest, dataset.rows, rows_per_task, seed) for digest, dataset in zip(digests, datasets, strict=True)
    ]
    tasks = [describe_task(*each) for each in zip(digests, datasets, drawn, strict=True)]
    sources = [
        read_task(index, task, dataset, rows, checkpoint.tokenizer, checkpoint.max_length, progress)
        for index, (task, dataset, rows) in enumerate(zip(tasks, datasets, drawn, strict=True))
    ]
    return Drawn(tasks, sources, drawn)


def write_drawn(folder: Path, digests: Sequence[str], rows: Sequence[Rows]) -> None:
    """Write tasks.json, the digests, and seen-{i}.npy, the rows drawn of task i."""
    for index, each in enumerate(rows):
        np.save(folder / f"seen-{index}.npy", each)
    (folder / "tasks.json").write_text(json.dumps(list(digests)))


def in_head_units(task: Task, dataset: Dataset, rows: Rows) -> torch.Tensor:
    """Return the labels [n] as the task's head counts them: class indices int64, or standard units float32.

    The dataset may know fewer classes than the task, or in another order: they are matched by name.
    """
    labels = dataset.labels(rows)
    if task.kind == TaskKind.REGRESSION:
        return torch.from_numpy(((labels - task.mean) / task.std).astype(np.float32))
    index = np.array([task.classes.index(name) for name in dataset.classes], dtype=np.int64)
    return torch.from_numpy(index[labels])
