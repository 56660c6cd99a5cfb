"""The one loop of all three trainings: TD-MTDNN, TO-MTDNN and fine-tuning differ in rows and loss, not in steps.

AdamW, linear decay to zero without warm-up, gradients clipped, bf16 autocast where the device has it. A batch that does
not fit in memory is taken in parts whose gradients add up to its own; one that several processes share (fastmtl.ranks)
is summed over them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch

from fastmtl import ragged
from fastmtl.backward import Backward
from fastmtl.batches import Batch, TaskRows, batches_per_epoch, training_batches
from fastmtl.checkpoints import Checkpoints
from fastmtl.config import TrainingConfig
from fastmtl.device import Machine
from fastmtl.graphs import Graphs
from fastmtl.losses import task_loss
from fastmtl.model import MtDnn
from fastmtl.plan import Progress
from fastmtl.portion import Portion
from fastmtl.ranks import Ranks
from fastmtl.run import Run
from fastmtl.telling import tell_metrics
from fastmtl.vocabulary import Vocabulary

LossOf = Callable[[MtDnn, torch.Tensor, Batch], torch.Tensor]
"""Model, features [B, H] float32 and their batch, to a scalar: the mean over the rows."""


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
    return task_loss(model.tasks[task].kind, logits, batch.labels(str(features.device)))


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
    checkpoints: Checkpoints | None = None,
) -> History:
    """Train a model in place; `after_epoch` is called with the epoch, from 0, while the model is in eval mode.

    With `steps` exactly so many optimiser steps are taken, in as many epochs as that needs, the last cut short; else
    as many as `config.epochs` hold. What `checkpoints` hold of an attempt before is not done again: on the same machine
    the result is that of one uninterrupted training, to the bit.
    """
    checkpoints = checkpoints or Checkpoints.none()
    vocabulary = Vocabulary(model.encoder, sources)
    with vocabulary.narrowed():
        an_epoch = batches_per_epoch(sources, config.batch_size)
        steps = config.epochs * an_epoch if steps is None else steps
        expected = round(steps / an_epoch * sum(source.visits for source in sources))
        portion = Portion(checkpoints.at_once(config.batch_size), "rows", progress)
        run = Run(model, config.learning_rate, steps, machine, portion, seed)
        run.go_on(checkpoints, progress)
        ranks = Ranks.here()
        ranks.agree(model)
        reader = Reader(model, ranks.rows_of(config.batch_size), vocabulary.sources, steps, machine)
        for epoch, batches in _epochs(vocabulary.sources, config.batch_size, seed, steps, run.epoch):
            model.train()
            for batch in batches[run.batch :]:
                ranks.seed(seed, epoch * an_epoch + run.batch)
                loss = _backward(model, batch, loss_of, reader, portion, ranks)
                run.step(len(batch.rows), ranks.sum(model.parameters(), loss))
                progress(min(run.rows, expected), expected, "rows", f"epoch {epoch + 1} of {-(-steps // an_epoch)}")
                checkpoints.tick()
            model.eval()
            mean = float(run.total) / len(batches)
            tell_metrics(progress, {"epoch": epoch + 1, "loss": mean})
            if after_epoch:
                with vocabulary.widened():
                    after_epoch(epoch)
            run.end_epoch(mean)
        run.end()
    return History(tuple(run.losses), steps, run.rows)


def _epochs(
    sources: Sequence[TaskRows], batch_size: int, seed: int, steps: int, first: int
) -> Iterator[tuple[int, list[Batch]]]:
    """Yield epochs from the `first` on with their batches, until there were `steps` of these, the skipped included."""
    an_epoch = batches_per_epoch(sources, batch_size)
    for epoch in range(first, -(-steps // an_epoch)):
        yield epoch, training_batches(sources, batch_size, seed, epoch)[: steps - epoch * an_epoch]


def _backward(
    model: MtDnn, batch: Batch, loss_of: LossOf, reader: Reader, portion: Portion, ranks: Ranks
) -> torch.Tensor:
    """Lay down in the model what this process's rows contribute to the gradients of the batch's mean loss.

    They are taken in parts that fit. Returns what they contribute to the loss itself.
    """
    share = ranks.share(batch)
    if not len(share.rows):
        return torch.zeros((), device=reader.device)
    while True:
        parts = share.parts(portion.size)
        try:
            losses = [_backward_of_part(model, part, batch, loss_of, reader) for part in parts]
            return losses[0] if len(losses) == 1 else torch.stack(losses).sum()
        except (RuntimeError, MemoryError) as error:
            model.zero_grad()
            if reader.backward.forgives(error):
                continue
            rows = len(parts[0].rows)
            portion.shrink(error, rows, rows, int(batch.source.tokens.lengths[share.rows].max()))


def _backward_of_part(model: MtDnn, part: Batch, batch: Batch, loss_of: LossOf, reader: Reader) -> torch.Tensor:
    """Add what a part's rows contribute to the gradients of the batch's mean loss; return what to the loss itself."""
    loss = loss_of(model, reader.features(part), part)
    if len(part.rows) < len(batch.rows):
        loss = loss * (len(part.rows) / len(batch.rows))
    reader.backward(loss)
    return loss.detach()


class Reader:
    """Reads a batch while the model is trained: by a graph where that pays and the batch has its shape.

    Else rows of like length are padded together, and all of them read at once where the encoder can.
    """

    def __init__(self, model: MtDnn, rows: int, sources: Sequence[TaskRows], steps: int, machine: Machine) -> None:
        """Read batches most of which have so many rows."""
        self.device = machine.device
        self.backward = Backward()
        self._model = model
        self._machine = machine
        longest = max((int(each.tokens.lengths.max()) for each in sources if len(each.tokens)), default=0)
        self._graphs = Graphs(model, rows, longest, machine) if Graphs.pay(model, steps, machine) else None

    def features(self, batch: Batch) -> torch.Tensor:
        """Return [B, H] float32."""
        if self._graphs and self._graphs.fits(batch):
            try:
                return self._graphs.features(batch)
            except RuntimeError:
                # What cannot be captured, or not in this memory, is read without; an error of the model comes again.
                self._graphs = None
                torch.cuda.empty_cache()
        with self._machine.autocast():
            return self._features(batch)

    def _features(self, batch: Batch) -> torch.Tensor:
        model, machine = self._model, self._machine
        groups, tokens = batch.groups(machine.groups), batch.source.tokens
        if model.reads_lines:
            return model.features_of_line(ragged.lay(tokens, groups, model.encoder, machine.device))
        return torch.cat([model.features(tokens.padded(rows, machine.device)) for rows in groups])
