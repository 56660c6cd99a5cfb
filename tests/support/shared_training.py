"""A small training that processes share: `python shared_training.py ENCODER MEETING RANK COUNT OUTPUT`."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch
from safetensors.torch import save_model

from fastmtl.batches import TaskRows
from fastmtl.config import TrainingConfig
from fastmtl.datasets import TaskKind
from fastmtl.device import Machine
from fastmtl.model import MtDnn, Task, load_checkpoint
from fastmtl.plan import silent
from fastmtl.ranks import Ranks
from fastmtl.tokens import tokenize
from fastmtl.training import History, batch_task_loss, train

CONFIG = TrainingConfig(epochs=3, learning_rate=1e-3, batch_size=11)
TEXTS = [f"{who} {what} in the river" for who in ("cat", "dog") for what in ("runs", "eats", "sings", "swims")]
TASKS = [Task(name * 64, TaskKind.CLASSIFICATION, ("cat", "dog")) for name in "ab"]


def world(folder: Path) -> tuple[MtDnn, list[TaskRows]]:
    """Two tasks of 12 and 8 rows, so that a batch of one row is among those of the first; nothing is dropped."""
    checkpoint = load_checkpoint(folder, "mean", 16)
    model = MtDnn(checkpoint.encoder, "mean", TASKS, discriminator=False)
    model.initialise_heads(0)
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    checkpoint.encoder.config.attention_probs_dropout_prob = 0.0
    tasks = [[*TEXTS, *TEXTS[:4]], TEXTS]
    return model, [
        TaskRows(index, tokenize(checkpoint.tokenizer, texts, None, 16), torch.arange(len(texts)) % 2)
        for index, texts in enumerate(tasks)
    ]


def trained(folder: Path) -> tuple[MtDnn, History]:
    """Train it, with whoever was joined."""
    torch.set_num_threads(1)
    model, sources = world(folder)
    machine = Machine("cpu", "fp32", "test", 2**34)
    return model, train(model, sources, CONFIG, batch_task_loss, machine, 3, silent)


def main() -> None:
    """Join the others, train, and leave weights and losses behind."""
    encoder, meeting, rank, count, output = sys.argv[1:]
    Ranks.join(int(rank), int(count), "cpu", Path(meeting))
    model, history = trained(Path(encoder))
    save_model(model, f"{output}-{rank}.safetensors")
    Path(f"{output}-{rank}.json").write_text(json.dumps([history.losses, history.steps, history.rows]))


if __name__ == "__main__":
    main()
