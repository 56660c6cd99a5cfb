"""A masked language model: which tokens are masked, how it is adapted to texts, what it loses on a row.

The loop is not the one of `fastmtl.training`: there a row is one vector with one label, here it is several masked
tokens, others in every epoch. Optimiser, schedule, clipping and precision are the same.

A chosen token always becomes [MASK]. BERT's pre-training leaves some as they are or swaps them, for the sake of later
uses without [MASK]; this model is only ever asked for masked tokens.

Letters: B rows in a batch · L tokens · M masked tokens of a batch · H hidden width · V vocabulary · n rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import nn
from torch.nn import functional
from transformers import AutoModelForMaskedLM, PreTrainedModel, PreTrainedTokenizerBase

from fastmtl import memory
from fastmtl.backward import Backward
from fastmtl.checkpoints import Checkpoints
from fastmtl.config import TrainingConfig
from fastmtl.device import Machine
from fastmtl.errors import EncoderUnavailable
from fastmtl.model import load_checkpoint
from fastmtl.plan import Progress
from fastmtl.portion import Portion
from fastmtl.run import Run
from fastmtl.telling import tell_metrics
from fastmtl.tokens import Rows, Tokens
from fastmtl.training import History

IGNORED = -100
"""The target where no token is masked: what torch's cross-entropy skips."""

Key = tuple[int, int]
"""What a row is called wherever it stands: a number of its dataset, and its row there."""


class MaskedLm(NamedTuple):
    """A masked language model with the tokenizer that belongs to it."""

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase


@dataclass(frozen=True)
class MaskedRows:
    """n rows with tokens masked."""

    inputs: Tokens
    """With [MASK] in place of the chosen tokens."""
    targets: Tokens
    """The chosen tokens, and IGNORED in every other place."""
    counts: npt.NDArray[np.int64]
    """[n]: chosen tokens of each row."""


@dataclass(frozen=True)
class MaskableRows:
    """n rows, and all that decides which of their tokens are masked: a row's masks do not depend on other rows."""

    tokens: Tokens
    keys: Sequence[Key]
    """[n]"""
    tokenizer: PreTrainedTokenizerBase
    share: float
    seed: int

    def masked(self, draw: int) -> MaskedRows:
        """Mask `share` of every row's tokens, rounded, but one at least where there is one; another `draw`, others.

        [CLS], [SEP] and [PAD], by whatever name, are never masked.
        """
        tokens, names = self.tokens, self.tokenizer
        kept = [names.cls_token_id, names.sep_token_id, names.pad_token_id, names.bos_token_id, names.eos_token_id]
        maskable = np.flatnonzero(~np.isin(tokens.ids, [each for each in kept if each is not None]))
        chosen = np.zeros(len(tokens.ids), dtype=np.bool_)
        bounds = pairwise(np.searchsorted(maskable, tokens.offsets).tolist())
        for key, (start, stop) in zip(self.keys, bounds, strict=True):
            generator = np.random.default_rng([self.seed, *key, draw])
            count = max(1, round(self.share * (stop - start)))
            chosen[generator.permutation(maskable[start:stop])[:count]] = True
        ids = np.where(chosen, names.mask_token_id, tokens.ids).astype(np.int32)
        targets = np.where(chosen, tokens.ids, IGNORED).astype(np.int32)
        return MaskedRows(
            inputs=Tokens(ids, tokens.types, tokens.offsets, tokens.pad_id),
            targets=Tokens(targets, None, tokens.offsets, IGNORED),
            counts=np.diff(np.concatenate([[0], np.cumsum(chosen)])[tokens.offsets]),
        )


def keys(digest: str, start: int, stop: int) -> list[Key]:
    """Return the keys of the rows [start, stop) of a dataset."""
    return [(int(digest[:16], 16), row) for row in range(start, stop)]


def load_masked_lm(folder: Path, max_length: int) -> MaskedLm:
    """Load an encoder with the head of its masked language model: safetensors only, never code.

    Raises EncoderUnavailable where it cannot be loaded or is not all there, InvalidConfig where it reads fewer tokens.
    """
    tokenizer = load_checkpoint(folder, "mean", max_length).tokenizer
    try:
        model, info = AutoModelForMaskedLM.from_pretrained(
            folder,
            local_files_only=True,
            use_safetensors=True,
            trust_remote_code=False,
            dtype=torch.float32,
            output_loading_info=True,
        )
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        reason = str(error).strip().splitlines()[0]
        raise EncoderUnavailable(f"{folder.name} cannot be loaded as a masked language model: {reason}") from error
    missing = sorted(info["missing_keys"])
    if tokenizer.mask_token_id is None:
        missing.append("a mask token of its tokenizer")
    if missing:
        raise EncoderUnavailable(
            f"the checkpoint {folder.name} holds no whole masked language model: {missing[0]} is missing"
            + (f", and {len(missing) - 1} more" if missing[1:] else "")
            + ". Use an encoder that was published with the head of its masked language model, or another method"
        )
    return MaskedLm(model, tokenizer)


def adapt(
    model: PreTrainedModel,
    rows: MaskableRows,
    config: TrainingConfig,
    machine: Machine,
    progress: Progress,
    checkpoints: Checkpoints | None = None,
) -> History:
    """Train a masked language model in place; what `checkpoints` hold of an attempt before is not done again."""
    checkpoints = checkpoints or Checkpoints.none()
    n = len(rows.tokens)
    steps = config.epochs * -(-n // config.batch_size)
    portion = Portion(checkpoints.at_once(config.batch_size), "rows", progress)
    run = Run(model, config.learning_rate, steps, machine, portion, rows.seed)
    run.go_on(checkpoints, progress)
    backward = Backward()
    for epoch in range(run.epoch, config.epochs):
        model.train()
        masked = rows.masked(epoch)
        for batch in _batches(rows.tokens.lengths, config.batch_size, rows.seed, epoch)[run.batch :]:
            run.step(len(batch), _backward(model, masked, batch, machine, portion, backward))
            progress(run.rows, config.epochs * n, "rows", f"epoch {epoch + 1} of {config.epochs}")
            checkpoints.tick()
        loss = float(run.total) * config.epochs / steps
        tell_metrics(progress, {"epoch": epoch + 1, "loss": loss})
        run.end_epoch(loss)
    model.eval()  # type: ignore[no-untyped-call]
    run.end()
    return History(tuple(run.losses), steps, run.rows)


def masked_losses(model: PreTrainedModel, masked: MaskedRows, rows: Rows, machine: Machine) -> torch.Tensor:
    """Return the cross-entropy of every masked token of `rows`, [M] float32, in the order of the rows."""
    targets = masked.targets.padded(rows, machine.device)["input_ids"]  # [B, L]
    chosen = targets != IGNORED  # [B, L]

    def keep_chosen(_: nn.Module, hidden: tuple[torch.Tensor]) -> torch.Tensor:
        return hidden[0][chosen]  # [M, H]

    output_layer = model.get_output_embeddings()  # type: ignore[no-untyped-call]
    assert isinstance(output_layer, nn.Module), "load_masked_lm loads a head"
    # The output layer is the widest of all: [B, L, V] would take seven times the memory that [M, V] takes.
    with output_layer.register_forward_pre_hook(keep_chosen), machine.autocast():
        logits = model(**masked.inputs.padded(rows, machine.device)).logits  # [M, V]
    return functional.cross_entropy(logits.float(), targets[chosen], reduction="none")


def logits_bytes(model: PreTrainedModel, tokens: int, share: float) -> int:
    """Return what the output layer needs for a batch of `tokens`: logits, their logarithms, their gradient [M, V]."""
    return int(3 * memory.FLOAT_BYTES * tokens * share * model.config.vocab_size)


def _backward(
    model: PreTrainedModel,
    masked: MaskedRows,
    batch: Rows,
    machine: Machine,
    portion: Portion,
    backward: Backward,
) -> torch.Tensor:
    """Lay the gradients of a batch's loss, the mean over its masked tokens, down in the model, in parts that fit."""
    tokens = max(1, int(masked.counts[batch].sum()))  # a batch of special tokens alone has nothing masked
    while True:
        parts = np.array_split(batch, -(-len(batch) // portion.size))
        try:
            losses = [_backward_of_part(model, masked, part, tokens, machine, backward) for part in parts]
            return losses[0] if len(losses) == 1 else torch.stack(losses).sum()
        except (RuntimeError, MemoryError) as error:
            model.zero_grad()
            if backward.forgives(error):
                continue
            rows = len(parts[0])
            portion.shrink(error, rows, rows, int(masked.inputs.lengths[batch].max()))


def _backward_of_part(
    model: PreTrainedModel, masked: MaskedRows, part: Rows, tokens: int, machine: Machine, backward: Backward
) -> torch.Tensor:
    """Add what a part's rows contribute to the gradients of a mean over `tokens`; return what to the mean itself."""
    groups = np.array_split(part, min(machine.groups, len(part)))
    losses = torch.cat([masked_losses(model, masked, group, machine) for group in groups])  # [m of the M]
    loss = losses.sum() / tokens
    backward(loss)
    return loss.detach()


def _batches(lengths: npt.NDArray[np.int64], batch_size: int, seed: int, epoch: int) -> list[Rows]:
    """Cut all rows, shuffled, into batches, each with its shortest rows first."""
    order = np.random.default_rng([seed, epoch]).permutation(len(lengths))
    cut = [order[start : start + batch_size] for start in range(0, len(order), batch_size)]
    return [batch[np.argsort(lengths[batch], kind="stable")] for batch in cut]
