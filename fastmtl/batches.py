"""Which rows form a batch. Training: one task a batch, drawn at random, seeded. Inference: by tokens.

A training batch is a random draw, and only inside it are rows of like length encoded together. Batches of rows of like
length would need less padding still, but each would then tell its task apart by length, and a task of few rows would
give the same batches in every epoch: the discriminator learns less (`benchmarks/planted.py`).

Letters: B rows in a batch, b of them in a group · L tokens · n rows of a task.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from fastmtl.tokens import Rows, Tokens, send


@dataclass(frozen=True)
class TaskRows:
    """The training rows of one task."""

    task: int
    """Its position among the model's tasks."""
    tokens: Tokens
    labels: torch.Tensor
    """[n]: int64 class indices, or float32."""
    extra: int = 0
    """Rows drawn once more in every epoch, at random: what an arm without auxiliary rows trains on in their place."""
    limit: int | None = None
    """Rows of an epoch, where that is fewer than all: the next so many of one shuffled order, round and round."""

    @property
    def visits(self) -> int:
        """Rows of an epoch."""
        return (len(self.tokens) if self.limit is None else self.limit) + self.extra


@dataclass(frozen=True)
class Batch:
    """Rows of one task."""

    source: TaskRows
    rows: Rows
    """[B], the shortest first."""

    def parts(self, size: int) -> list[Batch]:
        """Return the batch in as few parts as hold at most `size` rows each, the largest first."""
        if len(self.rows) <= size:
            return [self]
        return [Batch(self.source, rows) for rows in np.array_split(self.rows, -(-len(self.rows) // size))]

    def groups(self, count: int) -> list[Rows]:
        """Return at most `count` groups of like length: end to end, the rows."""
        return np.array_split(self.rows, min(count, len(self.rows)))

    def labels(self, device: str) -> torch.Tensor:
        """Return [B]."""
        return send(self.source.labels[torch.from_numpy(self.rows)], device)


def training_batches(sources: Sequence[TaskRows], batch_size: int, seed: int, epoch: int) -> list[Batch]:
    """Cut the rows of every task into batches and shuffle the batches of all tasks.

    Every row stands in exactly one batch (and `extra` of them in one more), or so many rows as `limit` says. A task
    without rows gives no batch, so it takes no step.
    """
    generator = np.random.default_rng([seed, epoch])
    batches = [
        Batch(source, rows)
        for source in sources
        for rows in _cut(_epoch_rows(source, generator, seed, epoch), source.tokens.lengths, batch_size)
    ]
    return [batches[index] for index in generator.permutation(len(batches))]


def batches_per_epoch(sources: Sequence[TaskRows], batch_size: int) -> int:
    """Return how many batches `training_batches` makes, the same in every epoch."""
    return sum(-(-source.visits // batch_size) for source in sources)


@dataclass(frozen=True)
class InferenceOrder:
    """The order in which rows are computed: group by group, rows of two groups never in one batch, the longest first.

    Rows are counted through all groups.
    """

    rows: Rows
    """[n]"""
    lengths: npt.NDArray[np.int64]
    """[n] tokens of a row, by its number."""
    ends: npt.NDArray[np.int64]
    """Where each group ends in the order."""

    @staticmethod
    def of(groups: Sequence[npt.NDArray[np.int64]]) -> InferenceOrder:
        """Put the rows of groups, of whose lengths this is told, in order."""
        ends = np.cumsum([len(lengths) for lengths in groups], dtype=np.int64)
        ordered = [
            end - len(lengths) + np.argsort(-lengths, kind="stable")
            for lengths, end in zip(groups, ends.tolist(), strict=True)
        ]
        return InferenceOrder(np.concatenate(ordered), np.concatenate(groups), ends)

    def batch(self, start: int, max_tokens: int) -> Rows:
        """Return the rows from place `start` of the order on, as many as fit `max_tokens` when padded, at least one."""
        longest = max(1, int(self.lengths[self.rows[start]]))
        end = int(self.ends[np.searchsorted(self.ends, start, side="right")])
        return self.rows[start : min(end, start + max(1, max_tokens // longest))]


def _epoch_rows(source: TaskRows, generator: np.random.Generator, seed: int, epoch: int) -> Rows:
    """Return the rows of one epoch, shuffled."""
    if source.limit is not None:
        order = np.random.default_rng(seed).permutation(len(source.tokens))
        places = (epoch * source.limit + np.arange(source.limit)) % len(order)
        return generator.permutation(order[places])
    rows = generator.permutation(len(source.tokens))
    if not source.extra:
        return rows
    whole, rest = divmod(source.extra, len(rows))
    again = [generator.permutation(len(rows)) for _ in range(whole)] + [generator.permutation(len(rows))[:rest]]
    return np.concatenate([rows, *again])


def _cut(rows: Rows, lengths: npt.NDArray[np.int64], batch_size: int) -> Iterator[Rows]:
    """Cut shuffled rows into batches, each with its shortest rows first."""
    for start in range(0, len(rows), batch_size):
        batch = rows[start : start + batch_size]
        yield batch[np.argsort(lengths[batch], kind="stable")]
