"""Networks and rows for the benchmarks: the packaged encoder, or one of BERT-base's size with random weights."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from kit import Texts
from transformers import BertConfig, BertModel

from fastmtl.batches import Batch, TaskRows
from fastmtl.config import TrainingConfig
from fastmtl.datasets import TaskKind
from fastmtl.device import Machine
from fastmtl.encoders import KNOWN, resolve
from fastmtl.losses import discriminator_loss, positive_weights
from fastmtl.model import Checkpoint, MtDnn, Task, load_checkpoint
from fastmtl.plan import silent
from fastmtl.tokens import tokenize
from fastmtl.training import History, LossOf, batch_task_loss, train

LENGTH = 128


def checkpoint(width: int) -> Checkpoint:
    """Return the packaged encoder, width 384, or with its tokenizer one of BERT-base's size, width 768."""
    packaged = load_checkpoint(resolve(KNOWN["all-MiniLM-L6-v2"]), "auto", LENGTH)
    if width == 384:
        return packaged
    torch.manual_seed(0)
    base = BertModel(BertConfig(vocab_size=packaged.encoder.config.vocab_size))
    return Checkpoint(base, packaged.tokenizer, "mean", LENGTH)


def describe(texts: Texts) -> Task:
    """Return what a head has to know of a task."""
    if texts.task == "stsb":
        return Task(texts.task, TaskKind.REGRESSION, (), float(np.mean(texts.labels)), float(np.std(texts.labels)))
    return Task(texts.task, TaskKind.CLASSIFICATION, tuple(sorted({str(label) for label in texts.labels})))


def labels(texts: Texts, task: Task) -> torch.Tensor:
    """Return [n] as the task's head counts them."""
    if task.kind == TaskKind.REGRESSION:
        return torch.tensor([(float(label) - task.mean) / task.std for label in texts.labels])
    return torch.tensor([task.classes.index(str(label)) for label in texts.labels])


def td_mtdnn(made: Checkpoint, tasks: Sequence[Texts]) -> tuple[MtDnn, list[TaskRows]]:
    """Return an untrained TD-MTDNN and its training rows."""
    described = [describe(texts) for texts in tasks]
    model = MtDnn(made.encoder, made.pooling, described, discriminator=True)
    model.initialise_heads(0)
    sources = [
        TaskRows(
            index,
            tokenize(made.tokenizer, texts.text_a, texts.text_b, made.max_length),
            labels(texts, described[index]),
        )
        for index, texts in enumerate(tasks)
    ]
    return model, sources


def loss_of(model: MtDnn, features: torch.Tensor, batch: Batch) -> torch.Tensor:
    """Return TD-MTDNN's loss with CE."""
    positive = positive_weights([1] * len(model.tasks)).to(features.device)
    told_apart = discriminator_loss("ce", model.discriminate(features), batch.source.task, positive)
    return batch_task_loss(model, features, batch) + told_apart


def trained(
    model: MtDnn, sources: Sequence[TaskRows], machine: Machine, epochs: int = 1, loss: LossOf = loss_of
) -> History:
    """Train as a job does, TD-MTDNN where no other loss is given."""
    config = TrainingConfig(epochs=epochs, learning_rate=1e-4, batch_size=32)
    return train(model, sources, config, loss, machine, 0, silent)
