"""A forward pass over many rows. Letters: B rows in a batch · n rows · T tasks · C outputs of a head."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

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


class Coming(NamedTuple):
    """What a GPU is still computing, and copies to the processor's memory."""

    values: torch.Tensor
    """[B, width], to be read once it is `there`."""
    there: torch.cuda.Event

    @staticmethod
    def of(values: torch.Tensor) -> Coming:
        """Begin to fetch values from a GPU."""
        fetched, there = values.to("cpu", non_blocking=True), torch.cuda.Event()  # type: ignore[no-untyped-call]
        there.record()
        return Coming(fetched, there)


def compute_rows(
    order: InferenceOrder,
    compute: Callable[[Rows], npt.NDArray[Any] | Coming],
    portion: Portion,
    progress: Progress = silent,
    checkpoints: Checkpoints | None = None,
) -> npt.NDArray[Any]:
    """Return what `compute` gives for every row, [n, width], by the row's number; it is asked for a batch at a time.

    A batch that does not fit in memory is asked for again in smaller ones. What `checkpoints` hold of an attempt before
    is not computed again.
    """
    checkpoints = checkpoints or Checkpoints.none()
    found = _Found(order, portion)
    if kept := checkpoints.take(PART):
        found.values, found.done = kept.tensors["values"].numpy(), kept.facts["done"]
        portion.size = min(portion.size, kept.facts["tokens_at_once"])
    begun = found.done
    while begun < len(order.rows):
        rows = order.batch(begun, portion.size)
        longest = int(order.lengths[rows[0]])
        try:
            values = compute(rows)
        except (RuntimeError, MemoryError) as error:
            portion.shrink(error, len(rows), len(rows) * longest, longest)
            continue
        begun += len(rows)
        if found.add(rows, values):
            progress(found.done, len(order.rows), "rows")
            checkpoints.keep(PART, found.state)
            checkpoints.tick()
    if found.settle():
        progress(found.done, len(order.rows), "rows")
    checkpoints.drop(PART)
    return found.values if found.values is not None else np.empty((0, 0), dtype=np.float32)


class _Found:
    """What is computed so far; of what a GPU computes the last batch is still coming while the next is begun."""

    def __init__(self, order: InferenceOrder, portion: Portion) -> None:
        self._order = order
        self._portion = portion
        self._coming: tuple[Rows, Coming] | None = None
        self.values: npt.NDArray[Any] | None = None
        """[n, width], by the row's number."""
        self.done = 0
        """Rows that are there, in the order."""

    def add(self, rows: Rows, values: npt.NDArray[Any] | Coming) -> bool:
        """Take a batch in; return whether `done` has risen."""
        before = self.done
        self.settle()
        if isinstance(values, Coming):
            self._coming = rows, values
        else:
            self._put(rows, values)
        return self.done > before

    def settle(self) -> bool:
        """Wait for the batch that is coming; return whether one was."""
        if self._coming is None:
            return False
        rows, (values, there) = self._coming
        there.synchronize()
        self._put(rows, values.numpy())
        self._coming = None
        return True

    def state(self) -> State:
        """Return what another attempt needs to go on."""
        assert self.values is not None, "it is kept from the first batch on"
        facts = {"done": self.done, "tokens_at_once": self._portion.size}
        return State({"values": torch.from_numpy(self.values)}, facts)

    def _put(self, rows: Rows, values: npt.NDArray[Any]) -> None:
        if self.values is None:
            self.values = np.zeros((len(self._order.rows), values.shape[1]), dtype=values.dtype)
        self.values[rows] = values
        self.done += len(rows)


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

    def compute(rows: Rows) -> npt.NDArray[np.float32] | Coming:
        with torch.inference_mode():
            values = read(encode(rows)).float()  # [B, width]
            return values.numpy() if machine.device == "cpu" else Coming.of(values)

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
