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

from fastmtl.tokens import Rows, Tokens

INFERENCE_TOKENS = 8192
"""Tokens of an inference batch, padding included."""


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

    def groups(self, count: int, device: str) -> Iterator[dict[str, torch.Tensor]]:
        """Yield the encoder's inputs, [b, L] each, for at most `count` groups of like length: end to end, the rows."""
        for rows in np.array_split(self.rows, min(count, len(self.rows))):
            yield self.source.tokens.padded(rows, device)

    def labels(self, device: str) -> torch.Tensor:
        """Return [B]."""
        return self.source.labels[torch.from_numpy(self.rows)].to(device)


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


def inference_batches(lengths: npt.NDArray[np.int64], max_tokens: int = INFERENCE_TOKENS) -> Iterator[Rows]:
    """Yield every row once, longest first, as many as fit `max_tokens` when padded; always at least one."""
    order = np.argsort(-lengths, kind="stable")
    start = 0
    while start < len(order):
        count = max(1, max_tokens // max(1, int(lengths[order[start]])))
        yield order[start : start + count]
        start += count


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
