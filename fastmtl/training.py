"""The one loop of all three trainings: TD-MTDNN, TO-MTDNN and fine-tuning differ in rows and loss, not in steps.

AdamW, linear decay to zero without warm-up, gradients clipped, bf16 autocast where the device has it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import count

import torch
from torch import nn

from fastmtl.batches import Batch, TaskRows, batches_per_epoch, training_batches
from fastmtl.config import TrainingConfig
from fastmtl.device import Machine
from fastmtl.losses import task_loss
from fastmtl.model import MtDnn
from fastmtl.plan import Progress

MAX_GRADIENT_NORM = 1.0

LossOf = Callable[[MtDnn, torch.Tensor, Batch], torch.Tensor]
"""Model, features [B, H] float32 and their batch, to a scalar."""


@dataclass(frozen=True)
class History:
    """What a training leaves behind to be looked at."""

    losses: tuple[float, ...]
    """Mean loss of each epoch, over batches; the last may have been cut short."""
    steps: int
    """Optimiser steps taken."""
    rows: int
    """Rows seen, repetitions counted."""


def batch_task_loss(model: MtDnn, features: torch.Tensor, batch: Batch) -> torch.Tensor:
    """Return the loss of the batch's own task: what TO-MTDNN and fine-tuning minimise."""
    task = batch.source.task
    logits = model.task_logits(features, task)
    return task_loss(model.tasks[task].kind, logits, batch.labels(features.device.type))


def train(
    model: MtDnn,
    sources: Sequence[TaskRows],
    config: TrainingConfig,
    loss_of: LossOf,
    machine: Machine,
    seed: int,
    progress: Progress,
    after_epoch: Callable[[int], None] | None = None,
    steps: int | None = None,
) -> History:
    """Train a model in place; `after_epoch` is called with the epoch, from 0, while the model is in eval mode.

    With `steps` exactly so many optimiser steps are taken, in as many epochs as that needs, the last cut short; else
    as many as `config.epochs` hold.
    """
    model.to(machine.device)
    torch.manual_seed(seed)  # dropout draws from torch's own generator: there is no other way to seed it
    an_epoch = batches_per_epoch(sources, config.batch_size)
    steps = config.epochs * an_epoch if steps is None else steps
    expected = round(steps / an_epoch * sum(source.visits for source in sources))
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimiser = torch.optim.AdamW(trained, lr=config.learning_rate, weight_decay=0.0, fused=True)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: 1 - step / steps)
    losses = []
    rows = 0
    for epoch, batches in _epochs(sources, config.batch_size, seed, steps):
        model.train()
        total = torch.zeros((), device=machine.device)
        for batch in batches:
            total += _step(model, batch, loss_of, machine, optimiser)
            schedule.step()
            rows += len(batch.rows)
            progress(min(rows, expected), expected, "rows", f"epoch {epoch + 1} of {-(-steps // an_epoch)}")
        losses.append(float(total) / len(batches))
        model.eval()
        if after_epoch:
            after_epoch(epoch)
    return History(tuple(losses), steps, rows)


def _epochs(sources: Sequence[TaskRows], batch_size: int, seed: int, steps: int) -> Iterator[tuple[int, list[Batch]]]:
    """Yield epochs with their batches until there were `steps` of these."""
    left = steps
    for epoch in count():
        batches = training_batches(sources, batch_size, seed, epoch)[:left]
        yield epoch, batches
        left -= len(batches)
        if not left:
            return


def _step(
    model: MtDnn, batch: Batch, loss_of: LossOf, machine: Machine, optimiser: torch.optim.Optimizer
) -> torch.Tensor:
    """Take one optimiser step; return its loss."""
    with machine.autocast():
        groups = batch.groups(machine.groups, machine.device)
        features = torch.cat([model.features(inputs) for inputs in groups])  # [B, H]
    loss = loss_of(model, features, batch)
    loss.backward()  # type: ignore[no-untyped-call]
    nn.utils.clip_grad_norm_(model.parameters(), MAX_GRADIENT_NORM)
    optimiser.step()
    optimiser.zero_grad()
    return loss.detach()
