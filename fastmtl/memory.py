"""How much memory a step will need, said before it starts.

An estimate from the sizes in a checkpoint's config.json: weights, gradients and AdamW's two moments, and what one batch
keeps of every layer. It errs to the high side by up to a half, so that what it lets pass runs.

Letters: B rows in a batch · L tokens · H hidden width · F feed-forward width · A heads.
"""

from __future__ import annotations

from transformers import PreTrainedModel

from fastmtl.config import TrainingConfig
from fastmtl.device import Machine
from fastmtl.errors import NotEnoughMemory

FLOAT_BYTES = 4
RUNTIME_BYTES = 400 * 2**20
"""What Python, torch and the tokenizer take before the first batch."""


def training_bytes(encoder: PreTrainedModel, batch_size: int, length: int) -> int:
    """Return what a training step of [batch_size, length] needs at its peak, bytes."""
    weights = sum(parameter.numel() for parameter in encoder.parameters())
    return RUNTIME_BYTES + FLOAT_BYTES * (4 * weights + _layers(encoder) * _kept(encoder, batch_size, length))


def inference_bytes(encoder: PreTrainedModel, max_tokens: int, batches: int = 1) -> int:
    """Return what forward passes over `max_tokens` tokens need, so many at once: a layer's values; the weights twice.

    `fastmtl.ragged` reads with a copy of them.
    """
    weights = sum(parameter.numel() for parameter in encoder.parameters())
    return RUNTIME_BYTES + FLOAT_BYTES * (2 * weights + batches * _kept(encoder, 1, max_tokens, attention=False))


def check(needed_bytes: int, free_bytes: int, hint: str) -> None:
    """Raise NotEnoughMemory where more is needed than is free."""
    if needed_bytes > free_bytes:
        raise NotEnoughMemory(
            f"this step needs about {needed_bytes / 2**30:.1f} GiB of memory and {free_bytes / 2**30:.1f} GiB are "
            f"free. {hint}"
        )


def check_inference(encoder: PreTrainedModel, length: int, machine: Machine) -> None:
    """Raise NotEnoughMemory where rows of up to `length` tokens could not be scored on a machine as they are."""
    hint = "Use a smaller encoder, or a machine with more memory."
    needed = inference_bytes(encoder, max(machine.tokens_at_once, length), machine.batches_at_once)
    check(needed, machine.free_bytes, hint)


def check_training(
    encoder: PreTrainedModel, config: TrainingConfig, length: int, free_bytes: int, section: str
) -> None:
    """Raise NotEnoughMemory where a training step of full length would not fit; names the settings to change."""
    check(
        training_bytes(encoder, config.batch_size, length),
        free_bytes,
        f"Make config.{section}.batch_size ({config.batch_size}) or config.encoder.max_length ({length}) smaller, or "
        "use a smaller encoder.",
    )


def _layers(encoder: PreTrainedModel) -> int:
    return int(getattr(encoder.config, "num_hidden_layers", 12))


def _kept(encoder: PreTrainedModel, batch: int, length: int, *, attention: bool = True) -> int:
    """Return how many numbers one layer keeps: about 12 [B, L, H], 3 [B, L, F] and 2 [B, A, L, L]."""
    config = encoder.config
    hidden = int(config.hidden_size)
    inner = int(getattr(config, "intermediate_size", None) or 4 * hidden)
    heads = int(getattr(config, "num_attention_heads", None) or 12)
    kept = batch * length * (12 * hidden + 3 * inner)
    return kept + (2 * batch * heads * length * length if attention else 0)
