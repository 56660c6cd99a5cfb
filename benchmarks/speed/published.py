"""The loops of the published code (MiuLab/FastMTL), as the baselines of our speed: batches padded to 128 tokens.

Rewritten, not copied: it scores with the Trainer's prediction loop, every batch of 128 rows padded to 128 tokens, and
trains batches of 32 rows of one task padded to 128; float32 on a CPU, fp16 autocast on a GPU. The network and its
losses are ours, so only the loop differs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
import torch
from kit import Texts
from transformers import PreTrainedTokenizerBase

from fastmtl.batches import Batch, TaskRows
from fastmtl.model import MtDnn
from fastmtl.tokens import Tokens
from fastmtl.training import LossOf

LENGTH = 128
SCORED_AT_ONCE = 128


def autocast(device: str) -> torch.autocast:
    """Return its arithmetic."""
    return torch.autocast(device, dtype=torch.float16 if device == "cuda" else torch.bfloat16, enabled=device == "cuda")


def padded(
    tokenizer: PreTrainedTokenizerBase, texts: Texts, rows: Sequence[int], device: str
) -> dict[str, torch.Tensor]:
    """Return a batch, [B, 128]."""
    second = [texts.text_b[row] for row in rows] if texts.text_b else None
    batch = tokenizer(
        [texts.text_a[row] for row in rows],
        second,
        truncation=True,
        padding="max_length",
        max_length=LENGTH,
        return_tensors="pt",
    )
    return {name: values.to(device) for name, values in batch.items()}


def score(
    model: MtDnn, tokenizer: PreTrainedTokenizerBase, tasks: Sequence[Texts], device: str
) -> npt.NDArray[np.float32]:
    """Return the discriminator's logits of every row, [n, T]."""
    model.eval().to(device)
    found = []
    with torch.no_grad():
        for texts, rows in _batches(tasks):
            inputs = padded(tokenizer, texts, rows, device)
            with autocast(device):
                features = model.features(inputs)  # [B, H]
            found.append(model.discriminate(features.float()).float().cpu().numpy())  # [B, T]
    return np.concatenate(found)


def _batches(tasks: Sequence[Texts]) -> Iterator[tuple[Texts, Sequence[int]]]:
    for texts in tasks:
        for start in range(0, len(texts), SCORED_AT_ONCE):
            yield texts, range(start, min(start + SCORED_AT_ONCE, len(texts)))


def train(
    model: MtDnn,
    tokenizer: PreTrainedTokenizerBase,
    tasks: Sequence[Texts],
    labels: Sequence[torch.Tensor],
    loss_of: LossOf,
    device: str,
    epochs: int,
    seed: int,
    batch_size: int = 32,
    learning_rate: float = 1e-4,
) -> list[float]:
    """Train as the published code does; return the mean loss of every epoch. Labels are [n] a task, as heads count."""
    model.train().to(device)
    torch.manual_seed(seed)
    optimiser = torch.optim.AdamW(model.parameters(), lr=learning_rate, weight_decay=0.0)
    scaler = torch.amp.GradScaler(device, enabled=device == "cuda")
    steps = epochs * sum(-(-len(texts) // batch_size) for texts in tasks)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: 1 - step / steps)
    curve = []
    for epoch in range(epochs):
        losses = []
        for task, rows in _shuffled(tasks, batch_size, seed, epoch):
            inputs = padded(tokenizer, tasks[task], rows.tolist(), device)
            source = TaskRows(task, Tokens(np.zeros(0, np.int32), None, np.zeros(1, np.int64), 0), labels[task])
            with autocast(device):
                features = model.features(inputs)  # [B, H]
            loss = loss_of(model, features.float(), Batch(source, rows))
            scaler.scale(loss).backward()
            scaler.unscale_(optimiser)
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            scaler.step(optimiser)
            scaler.update()
            optimiser.zero_grad()
            schedule.step()
            losses.append(loss.item())
        curve.append(sum(losses) / len(losses))
    return curve


def _shuffled(
    tasks: Sequence[Texts], batch_size: int, seed: int, epoch: int
) -> Iterator[tuple[int, npt.NDArray[np.int64]]]:
    """Yield batches of one task each, in random order."""
    generator = np.random.default_rng([seed, epoch])
    batches = [
        (task, rows[start : start + batch_size])
        for task, texts in enumerate(tasks)
        for rows in [generator.permutation(len(texts))]
        for start in range(0, len(rows), batch_size)
    ]
    for index in generator.permutation(len(batches)):
        yield batches[index]
