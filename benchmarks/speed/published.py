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

from fastmtl.model import MtDnn

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
