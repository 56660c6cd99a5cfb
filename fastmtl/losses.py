"""The losses of the paper and the probabilities that belong to them: pure functions of logits and labels.

Letters: B rows in a batch · T tasks · C classes of a task.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch.nn import functional

from fastmtl.datasets import TaskKind

DiscriminatorLoss = Literal["ce", "bce"]


def task_loss(kind: TaskKind, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Return the mean loss of a batch of one task (MT-DNN): cross-entropy, or squared error for a regression.

    `logits` is [B, C] with int64 `labels` [B], or [B, 1] with float32 `labels` [B].
    """
    if kind == TaskKind.REGRESSION:
        return functional.mse_loss(logits.squeeze(-1), labels)
    return functional.cross_entropy(logits, labels)


def positive_weights(rows: Sequence[int]) -> torch.Tensor:
    """Return [T]: rows of the other tasks a row of this one, so that both sides of each sigmoid weigh the same.

    The published code counts batches; tasks smaller than a batch multiple are then weighted too low.
    """
    counts = torch.tensor(rows, dtype=torch.float32)
    return (counts.sum() - counts) / counts


def discriminator_loss(
    kind: DiscriminatorLoss, logits: torch.Tensor, task: int, positive: torch.Tensor
) -> torch.Tensor:
    """Return the mean loss of the discriminator for a batch [B, T] that came from `task` (paper, section 3.2).

    `ce`: one softmax over the tasks. `bce`: one sigmoid a task against a one-hot target, positives weighted by
    `positive` [T].
    """
    target = torch.full((len(logits),), task, device=logits.device)  # [B]
    if kind == "ce":
        return functional.cross_entropy(logits, target)
    one_hot = functional.one_hot(target, logits.shape[1]).to(logits.dtype)  # [B, T]
    return functional.binary_cross_entropy_with_logits(logits, one_hot, pos_weight=positive)


def probabilities(kind: DiscriminatorLoss, logits: torch.Tensor) -> torch.Tensor:
    """Return [B, T] in [0, 1]: how sure the discriminator is of each task. Higher is more alike.

    A CE-trained discriminator is read through the softmax it was trained with. The published code reads it through a
    sigmoid on one logit, which orders rows differently.
    """
    return logits.softmax(-1) if kind == "ce" else logits.sigmoid()
