"""A forward pass over many rows. Letters: n rows · T tasks · C outputs of a head."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import torch

from fastmtl.batches import inference_batches
from fastmtl.device import Machine
from fastmtl.model import MtDnn
from fastmtl.plan import Progress, silent
from fastmtl.tokens import Tokens


def score_rows(
    model: MtDnn,
    tokens: Tokens,
    read: Callable[[torch.Tensor], torch.Tensor],
    machine: Machine,
    progress: Progress = silent,
) -> npt.NDArray[np.float32]:
    """Return `read(features)` for every row, in the order of the rows: float32 [n, width of what `read` returns].

    Rows are batched by length, so a row's numbers depend, in the last bits, on which rows it is scored with: the same
    rows give the same numbers.
    """
    model.eval().to(machine.device)
    result: npt.NDArray[np.float32] | None = None
    done = 0
    for rows in inference_batches(tokens.lengths):
        with torch.inference_mode(), machine.autocast():
            features = model.features(tokens.padded(rows, machine.device))  # [B, H]
        with torch.inference_mode():
            values = read(features).float().cpu().numpy()  # [B, width]
        if result is None:
            result = np.empty((len(tokens), values.shape[1]), dtype=np.float32)
        result[rows] = values
        done += len(rows)
        progress(done, len(tokens), "rows")
    return result if result is not None else np.empty((0, 0), dtype=np.float32)


def predict(model: MtDnn, tokens: Tokens, task: int, machine: Machine) -> npt.NDArray[np.float32]:
    """Return a task head's logits for every row, [n, C]."""
    return score_rows(model, tokens, lambda features: model.task_logits(features, task), machine)
