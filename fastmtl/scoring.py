"""A forward pass over many rows. Letters: B rows in a batch · n rows · T tasks · C outputs of a head."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from fastmtl.batches import InferenceOrder
from fastmtl.checkpoints import Checkpoints, State
from fastmtl.device import Machine
from fastmtl.model import MtDnn
from fastmtl.plan import Progress, silent
from fastmtl.portion import Portion
from fastmtl.ragged import RaggedEncoder
from fastmtl.tokens import Rows, Tokens

PART = "scoring"


def compute_rows(
    order: InferenceOrder,
    compute: Callable[[Rows], npt.NDArray[Any]],
    portion: Portion,
    progress: Progress = silent,
    checkpoints: Checkpoints | None = None,
) -> npt.NDArray[Any]:
    """Return what `compute` gives for every row, [n, width], by the row's number; it is asked for a batch at a time.

    A batch that does not fit in memory is asked for again in smaller ones. What `checkpoints` hold of an attempt before
    is not computed again.
    """
    checkpoints = checkpoints or Checkpoints.none()
    result: npt.NDArray[Any] | None = None
    done = 0
    if kept := checkpoints.take(PART):
        result, done = kept.tensors["values"].numpy(), kept.facts["done"]
        portion.size = min(portion.size, kept.facts["tokens_at_once"])

    def state() -> State:
        assert result is not None, "it is kept from the first batch on"
        return State({"values": torch.from_numpy(result)}, {"done": done, "tokens_at_once": portion.size})

    while done < len(order.rows):
        rows = order.batch(done, portion.size)
        longest = int(order.lengths[rows[0]])
        try:
            values = compute(rows)
        except (RuntimeError, MemoryError) as error:
            portion.shrink(error, len(rows), len(rows) * longest, longest)
            continue
        if result is None:
            result = np.zeros((len(order.rows), values.shape[1]), dtype=values.dtype)
        result[rows] = values
        done += len(rows)
        progress(done, len(order.rows), "rows")
        checkpoints.keep(PART, state)
        checkpoints.tick()
    checkpoints.drop(PART)
    return result if result is not None else np.empty((0, 0), dtype=np.float32)


def score_rows(
    model: MtDnn,
    tokens: Tokens,
    read: Callable[[torch.Tensor], torch.Tensor],
    machine: Machine,
    progress: Progress = silent,
    checkpoints: Checkpoints | None = None,
    portion: Portion | None = None,
) -> npt.NDArray[np.float32]:
    """Return `read(features)` for every row, in the order of the rows: float32 [n, width of what `read` returns].

    The heads and what is made of them are float32. Rows are batched by length, so a row's numbers depend, in the last
    bits, on which rows it is scored with: the same rows give the same numbers.
    """
    model.eval().to(machine.device)
    encode = _encode(model, tokens, machine)

    def compute(rows: Rows) -> npt.NDArray[np.float32]:
        with torch.inference_mode():
            values: npt.NDArray[np.float32] = read(encode(rows)).float().cpu().numpy()  # [B, width]
        return values

    checkpoints = checkpoints or Checkpoints.none()
    portion = portion or Portion(checkpoints.at_once(machine.tokens_at_once), "tokens", progress)
    return compute_rows(InferenceOrder.of([tokens.lengths]), compute, portion, progress, checkpoints)


def predict(
    model: MtDnn,
    tokens: Tokens,
    task: int,
    machine: Machine,
    progress: Progress = silent,
    checkpoints: Checkpoints | None = None,
    portion: Portion | None = None,
) -> npt.NDArray[np.float32]:
    """Return a task head's logits for every row, [n, C]."""

    def read(features: torch.Tensor) -> torch.Tensor:
        return model.task_logits(features, task)

    return score_rows(model, tokens, read, machine, progress, checkpoints, portion)


def _encode(model: MtDnn, tokens: Tokens, machine: Machine) -> Callable[[Rows], torch.Tensor]:
    """Return what gives the features of rows, [B, H] float32: end to end where the encoder can be read so."""
    if model.reads_lines:
        ragged = RaggedEncoder(model.encoder, model.pooling, machine)
        return lambda rows: ragged.features(tokens, rows)

    def padded(rows: Rows) -> torch.Tensor:
        with machine.autocast():
            return model.features(tokens.padded(rows, machine.device))

    return padded
