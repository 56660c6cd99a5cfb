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
from collections.abc import Iterator, Sequence
from itertools import chain

import numpy as np
import numpy.typing as npt
import torch
from transformers import PreTrainedModel

from fastmtl import device, memory
from fastmtl.batches import INFERENCE_TOKENS, inference_batches
from fastmtl.datasets import Dataset
from fastmtl.device import Machine
from fastmtl.encoders import resolve
from fastmtl.masked_lm import MaskableRows, MaskedRows, keys, load_masked_lm, logits_bytes, masked_losses
from fastmtl.plan import Json, Progress, StepSpec, Workspace, folders, silent
from fastmtl.tokens import Rows, counted, joined, read_span


def run(spec: StepSpec, workspace: Workspace) -> Json:
    """Tell both losses of the shard's rows."""
    params = spec.params
    (adapted,) = folders(workspace, spec)
    device.make_deterministic()
    machine = device.describe(workspace.device, params["precision"])
    max_length = params["encoder"]["max_length"]
    model, tokenizer = load_masked_lm(resolve(params["encoder"]["location"]), max_length)
    _check_memory(model, max(INFERENCE_TOKENS, max_length), params["mask_share"], machine)
    models = (model, load_masked_lm(adapted / "model", max_length).model)
    parts = [
        (digest, read_span(Dataset.open(workspace.datasets[digest]), start, stop, tokenizer, max_length))
        for digest, start, stop in params["pieces"]
    ]
    tokens = joined([part for _, part in parts])
    named = list(chain.from_iterable(keys(*piece) for piece in params["pieces"]))
    rows = MaskableRows(tokens, named, tokenizer, params["mask_share"], params["seed"])
    losses = row_losses(models, rows, params["passes"], machine, workspace.progress)  # [n, 2]
    np.save(workspace.output / "losses.npy", losses)
    (workspace.output / "pieces.json").write_text(json.dumps(params["pieces"]))
    read = counted(params["encoder"], parts)
    return {"rows": len(losses), "device": machine.name, "precision": machine.precision, "read": read}


def row_losses(
    models: Sequence[PreTrainedModel], rows: MaskableRows, passes: int, machine: Machine, progress: Progress = silent
) -> npt.NDArray[np.float32]:
    """Return the mean loss of every row's masked tokens over the masks 0 ... passes - 1, [n, len(models)]."""
    totals = np.zeros((len(rows.tokens), len(models)))
    done = 0
    for draw in range(passes):
        masked = rows.masked(draw)
        for column, model in enumerate(models):
            for batch, means in _batch_means(model, masked, machine):
                totals[batch, column] += means
                done += len(batch)
                progress(done, passes * totals.size, "rows")
    return (totals / passes).astype(np.float32)


def _batch_means(
    model: PreTrainedModel, masked: MaskedRows, machine: Machine
) -> Iterator[tuple[Rows, npt.NDArray[np.float64]]]:
    """Yield rows and the mean loss of each row's masked tokens, until all rows had their turn."""
    model.eval().to(machine.device)  # type: ignore[no-untyped-call]
    for batch in inference_batches(masked.inputs.lengths):
        with torch.inference_mode():
            losses = masked_losses(model, masked, batch, machine).cpu().numpy()  # [M]
        counts = masked.counts[batch]
        sums = np.bincount(np.repeat(np.arange(len(batch)), counts), weights=losses, minlength=len(batch))
        yield batch, sums / np.maximum(counts, 1)


def _check_memory(model: PreTrainedModel, max_tokens: int, share: float, machine: Machine) -> None:
    """Raise NotEnoughMemory where both models and a batch of `max_tokens` tokens would not fit."""
    weights = memory.FLOAT_BYTES * sum(parameter.numel() for parameter in model.parameters())
    memory.check(
        memory.inference_bytes(model, max_tokens) + weights + logits_bytes(model, max_tokens, share),
        machine.free_bytes,
        f"Make config.options.lm_loss.mask_share ({share}) smaller, use a smaller encoder, or a machine with more "
        "memory.",
    )
