"""A forward pass over many rows. Letters: B rows in a batch · n rows · T tasks · C outputs of a head."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from contextlib import suppress
from contextvars import copy_context
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
import torch

from fastmtl.batches import InferenceOrder
from fastmtl.checkpoints import Checkpoints, State
from fastmtl.device import Machine
from fastmtl.errors import is_out_of_memory
from fastmtl.lanes import lanes
from fastmtl.model import MtDnn
from fastmtl.plan import Progress, silent
from fastmtl.portion import Portion
from fastmtl.ragged import RaggedEncoder
from fastmtl.tokens import Rows, Tokens

PART = "scoring"


class Coming(Protocol):
    """What is still being computed, such as a Future."""

    def result(self) -> npt.NDArray[Any]:
        """Wait for it and return it, [B, width], or raise what went wrong."""


class OfGpu(NamedTuple):
    """What a GPU is still computing, and copies to the processor's memory."""

    values: torch.Tensor
    """[B, width], to be read once it is `there`."""
    there: torch.cuda.Event

    @staticmethod
    def of(values: torch.Tensor) -> OfGpu:
        """Begin to fetch values from a GPU."""
        fetched, there = values.to("cpu", non_blocking=True), torch.cuda.Event()  # type: ignore[no-untyped-call]
        there.record()
        return OfGpu(fetched, there)

    def result(self) -> npt.NDArray[Any]:
        """Wait for it and return it."""
        self.there.synchronize()
        return self.values.numpy()


def compute_rows(
    order: InferenceOrder,
    compute: Callable[[Rows], npt.NDArray[Any] | Coming],
    portion: Portion,
    progress: Progress = silent,
    checkpoints: Checkpoints | None = None,
    ahead: int = 0,
) -> npt.NDArray[Any]:
    """Return what `compute` gives for every row, [n, width], by the row's number; it is asked for a batch at a time.

    `ahead` batches that are still coming are not waited for. A batch that does not fit in memory is asked for again in
    smaller ones. What `checkpoints` hold of an attempt before is not computed again.
    """
    checkpoints = checkpoints or Checkpoints.none()
    found = _Found(order, portion, ahead)
    if kept := checkpoints.take(PART):
        found.values, found.done = kept.tensors["values"].numpy(), kept.facts["done"]
        portion.size = min(portion.size, kept.facts["tokens_at_once"])
    while found.done < len(order.rows):
        if found.advance(compute):
            progress(found.done, len(order.rows), "rows")
            checkpoints.keep(PART, found.state)
            checkpoints.tick()
    checkpoints.drop(PART)
    return found.values if found.values is not None else np.empty((0, 0), dtype=np.float32)


class _Found:
    """What is computed so far, and the batches that are still coming, the oldest first."""

    def __init__(self, order: InferenceOrder, portion: Portion, ahead: int) -> None:
        self._order = order
        self._portion = portion
        self._ahead = ahead
        self._coming: deque[tuple[Rows, npt.NDArray[Any] | Coming]] = deque()
        self._begun = 0
        """Rows of the batches that are coming."""
        self.values: npt.NDArray[Any] | None = None
        """[n, width], by the row's number."""
        self.done = 0
        """Rows that are there, in the order."""

    def advance(self, compute: Callable[[Rows], npt.NDArray[Any] | Coming]) -> bool:
        """Begin the next batch, or take in the oldest where enough have begun; return whether `done` has risen."""
        place = self.done + self._begun
        more = place < len(self._order.rows) and len(self._coming) <= self._ahead
        rows, coming = (self._order.batch(place, self._portion.size), None) if more else self._coming[0]
        try:
            values = compute(rows) if coming is None else _there(coming)
        except (RuntimeError, MemoryError) as error:
            alone = more or self._wait() == 0
            if alone or len(rows) > 1 or not is_out_of_memory(error):
                longest = int(self._order.lengths[rows[0]])
                self._portion.shrink(error, len(rows), len(rows) * longest, longest)
            else:
                self._ahead = 0  # one row did not fit beside others
            return False
        if more:
            self._coming.append((rows, values))
            self._begun += len(rows)
        else:
            self._take(rows, _there(values))
        return not more

    def state(self) -> State:
        """Return what another attempt needs to go on."""
        assert self.values is not None, "it is kept from the first batch on"
        facts = {"done": self.done, "tokens_at_once": self._portion.size}
        return State({"values": torch.from_numpy(self.values)}, facts)

    def _take(self, rows: Rows, values: npt.NDArray[Any]) -> None:
        if self.values is None:
            self.values = np.zeros((len(self._order.rows), values.shape[1]), dtype=values.dtype)
        self.values[rows] = values
        self.done += len(rows)
        self._begun -= len(rows)
        self._coming.popleft()

    def _wait(self) -> int:
        """Let what is coming end, and forget it: it stands behind one that failed. Return how many stood there."""
        _, *others = self._coming
        for _, coming in others:
            with suppress(RuntimeError, MemoryError):
                _there(coming)
        self._coming.clear()
        self._begun = 0
        return len(others)


def _there(coming: npt.NDArray[Any] | Coming) -> npt.NDArray[Any]:
    return coming if isinstance(coming, np.ndarray) else coming.result()


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

    def compute(rows: Rows) -> torch.Tensor:
        with torch.inference_mode():
            return read(encode(rows)).float()  # [B, width]

    def fetched(rows: Rows) -> npt.NDArray[np.float32]:
        return compute(rows).numpy()

    checkpoints = checkpoints or Checkpoints.none()
    portion = portion or Portion(checkpoints.at_once(machine.tokens_at_once), "tokens", progress)
    order = InferenceOrder.of([tokens.lengths])
    if machine.device != "cpu":
        return compute_rows(order, lambda rows: OfGpu.of(compute(rows)), portion, progress, checkpoints, ahead=1)
    with lanes(len(tokens.ids) // portion.size, machine.batches_at_once) as pool:
        if pool is None:
            return compute_rows(order, fetched, portion, progress, checkpoints)

        def submit(rows: Rows) -> Coming:
            return pool.submit(copy_context().run, fetched, rows)  # with what log lines say they are about

        return compute_rows(order, submit, portion, progress, checkpoints, ahead=pool.count)


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
