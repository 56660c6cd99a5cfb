"""Loss: how well the encoder's masked language model knows every row, as it comes and adapted to the primary.

Reads   the adapted model of the `adapt_lm` step, and the rows of one shard
Writes  losses.npy   float32 [rows of the shard, 2]: mean loss of a row's masked tokens, over all passes, as the model
                     comes and adapted; 0 and 0 for a row with nothing to mask
        pieces.json  [[digest, start, stop], ...]: which rows those are

Both models see the same masks, so that a hard token is hard for both. A mask is its row's own, whatever it is scored
with; only the last bits of a loss depend on the rows that share its batch.

Letters: n rows of the shard · M masked tokens of a batch.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import lru_cache
from itertools import chain

import numpy as np
import numpy.typing as npt
import torch
from transformers import PreTrainedModel

from fastmtl import device, memory
from fastmtl.batches import InferenceOrder
from fastmtl.checkpoints import Checkpoints
from fastmtl.datasets import dataset_of
from fastmtl.device import Machine
from fastmtl.encoders import resolve
from fastmtl.masked_lm import MaskableRows, MaskedRows, keys, load_masked_lm, logits_bytes, masked_losses
from fastmtl.plan import Json, Progress, StepSpec, Workspace, folders, silent
from fastmtl.portion import Portion
from fastmtl.reading import read_span
from fastmtl.scoring import compute_rows
from fastmtl.telling import Standing
from fastmtl.tokens import Rows, counted, joined


def run(spec: StepSpec, workspace: Workspace) -> Json:
    """Tell both losses of the shard's rows."""
    params = spec.params
    (adapted,) = folders(workspace, spec)
    device.make_deterministic()
    machine = device.describe(workspace.device, params["precision"])
    max_length = params["encoder"]["max_length"]
    told = Standing(workspace.progress)
    location = resolve(params["encoder"]["location"], told.beside("fetching the encoder"))
    model, tokenizer = load_masked_lm(location, max_length)
    _check_memory(model, max(machine.tokens_at_once, max_length), params["mask_share"], machine)
    models = (model, load_masked_lm(adapted / "model", max_length).model)
    reading = told.beside("reading")
    parts = [
        (digest, read_span(dataset_of(workspace, digest), start, stop, tokenizer, max_length, reading))
        for digest, start, stop in params["pieces"]
    ]
    tokens = joined([part for _, part in parts])
    named = list(chain.from_iterable(keys(*piece) for piece in params["pieces"]))
    rows = MaskableRows(tokens, named, tokenizer, params["mask_share"], params["seed"])
    checkpoints = Checkpoints.of(spec, workspace, machine, models)
    losses = row_losses(models, rows, params["passes"], machine, told, checkpoints)  # [n, 2]
    np.save(workspace.output / "losses.npy", losses)
    (workspace.output / "pieces.json").write_text(json.dumps(params["pieces"]))
    read = counted(params["encoder"], parts)
    return {"rows": len(losses), "device": machine.name, "precision": machine.precision, "read": read}


def row_losses(
    models: Sequence[PreTrainedModel],
    rows: MaskableRows,
    passes: int,
    machine: Machine,
    progress: Progress = silent,
    checkpoints: Checkpoints | None = None,
) -> npt.NDArray[np.float32]:
    """Return the mean loss of every row's masked tokens over the masks 0 ... passes - 1, [n, len(models)]."""
    n = len(rows.tokens)
    masked = lru_cache(1)(rows.masked)
    for model in models:
        model.eval().to(machine.device)  # type: ignore[no-untyped-call]

    def compute(batch: Rows) -> npt.NDArray[np.float64]:
        turn = int(batch[0]) // n
        draw, column = divmod(turn, len(models))
        return _means(models[column], masked(draw), batch - turn * n, machine)[:, None]  # [B, 1]

    # Every draw's every model goes over all rows: as many groups of n rows.
    order = InferenceOrder.of([rows.tokens.lengths] * (passes * len(models)))
    checkpoints = checkpoints or Checkpoints.none()
    portion = Portion(checkpoints.at_once(machine.tokens_at_once), "tokens", progress)
    found = compute_rows(order, compute, portion, progress, checkpoints)
    totals = np.zeros((n, len(models)))
    for each in found.reshape(passes, len(models), n):
        totals += each.T
    return (totals / passes).astype(np.float32)


def _means(model: PreTrainedModel, masked: MaskedRows, batch: Rows, machine: Machine) -> npt.NDArray[np.float64]:
    """Return the mean loss of each row's masked tokens, [B]."""
    with torch.inference_mode():
        losses = masked_losses(model, masked, batch, machine).cpu().numpy()  # [M]
    counts = masked.counts[batch]
    sums = np.bincount(np.repeat(np.arange(len(batch)), counts), weights=losses, minlength=len(batch))
    return sums / np.maximum(counts, 1)


def _check_memory(model: PreTrainedModel, max_tokens: int, share: float, machine: Machine) -> None:
    """Raise NotEnoughMemory where both models and a batch of `max_tokens` tokens would not fit."""
    weights = memory.FLOAT_BYTES * sum(parameter.numel() for parameter in model.parameters())
    memory.check(
        memory.inference_bytes(model, max_tokens) + weights + logits_bytes(model, max_tokens, share),
        machine.free_bytes,
        f"Make config.options.lm_loss.mask_share ({share}) smaller, use a smaller encoder, or a machine with more "
        "memory.",
    )
