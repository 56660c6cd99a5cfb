"""The encoder's passes while it is trained, as CUDA graphs.

A batch of some dozen rows takes a GPU less time than Python needs to tell it each of some thousand kernels. A graph is
told once and replayed with one call.

A graph has one shape, [B, L]: B the rows of a whole batch, L the next of at most eight lengths that holds the batch's
longest row. What does not fit, such as a task's last batch, is read without a graph.

Source: the CUDA programming guide, "CUDA Graphs"; `torch.cuda.make_graphed_callables`.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from fastmtl import ragged
from fastmtl.backward import strictly
from fastmtl.batches import Batch
from fastmtl.device import Machine
from fastmtl.model import MtDnn
from fastmtl.tokens import send

SHAPES = 8
"""Graphs at most."""
STEP = 16
"""Lengths are multiples of it."""
LEAST_STEPS = 40
"""A training of fewer steps is over before its graphs have paid for themselves: eight captures cost so many steps."""
WARM_UPS = 1
"""Passes before a capture, so that nothing is set up while it runs."""
ROOM = 2.0
"""How many times what the graphs keep for good has to be free."""


class Graphs:
    """The graphs of one training."""

    def __init__(self, model: MtDnn, batch_size: int, longest: int, machine: Machine) -> None:
        """Capture nothing yet; `longest` is the most tokens that a row has."""
        self._model = model
        self._rows = batch_size
        self._longest = longest
        self._step = STEP * -(-longest // (STEP * SHAPES))
        self._machine = machine
        self._captured: dict[int, nn.Module] = {}
        # A graph's gradients come from the stream of its capture: torch waits for it, and would warn each time.
        if hasattr(torch.autograd.graph, "set_warn_on_accumulate_grad_stream_mismatch"):
            torch.autograd.graph.set_warn_on_accumulate_grad_stream_mismatch(False)

    @staticmethod
    def pay(model: MtDnn, steps: int, machine: Machine) -> bool:
        """Whether a training of so many steps is worth capturing on this machine, and its memory allows it."""
        if not (machine.device.startswith("cuda") and model.reads_lines and steps >= LEAST_STEPS):
            return False
        kept = SHAPES * sum(each.numel() * each.element_size() for each in model.parameters())
        return machine.free_bytes > ROOM * kept

    def fits(self, batch: Batch) -> bool:
        """Whether a batch, or a part of one, has the shape of a graph."""
        return len(batch.rows) == self._rows

    def features(self, batch: Batch) -> torch.Tensor:
        """Return what `MtDnn.features` does for a batch that fits, [B, H] float32."""
        tokens = batch.source.tokens
        length = min(self._longest, self._step * -(-int(tokens.lengths[batch.rows].max()) // self._step))
        inputs = tokens.padded(batch.rows, "cpu", length)
        mask = inputs.pop("attention_mask").bool()
        given = [send(each, self._machine.device) for each in (mask, *inputs.values())]
        if length not in self._captured:
            self._captured[length] = self._capture(length, list(inputs), given)
        features: torch.Tensor = self._model.dropout(self._captured[length](*given))
        return features

    def _capture(self, length: int, names: list[str], given: list[torch.Tensor]) -> nn.Module:
        """Capture both passes at one length; what dropout draws meanwhile is not missing afterwards."""
        reader = _Rectangle(self._model, names, length, self._machine)
        samples = tuple(each.clone() for each in given)
        drawn_on = [torch.device(self._machine.device)] if self._machine.device != "cpu" else []
        with torch.random.fork_rng(drawn_on), _nothing_collected(), strictly():
            captured = torch.cuda.make_graphed_callables(
                reader, samples, num_warmup_iters=WARM_UPS, allow_unused_input=True
            )
        assert isinstance(captured, nn.Module)
        return captured


@contextmanager
def _nothing_collected() -> Iterator[None]:
    """Keep garbage until afterwards: an older graph that is freed while one is captured breaks the capture."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


class _Rectangle(nn.Module):
    """Reads rows of a batch that are padded to one length."""

    def __init__(self, model: MtDnn, names: list[str], length: int, machine: Machine) -> None:
        super().__init__()
        self.encoder = model.encoder
        self._pooling = model.pooling
        self._names = names
        self._machine = machine
        first = ragged.first_position(model.encoder)
        self._positions = torch.arange(first, first + length, device=machine.device)

    def forward(self, mask: torch.Tensor, *inputs: torch.Tensor) -> torch.Tensor:
        """Return [B, H] of the mask [B, L] and the encoder's inputs, [B, L] each."""
        rows, length = mask.shape
        named = {name: each.view(1, -1) for name, each in zip(self._names, inputs, strict=True)}
        named["position_ids"] = self._positions.expand(rows, length).reshape(1, -1)
        line = ragged.Line(named, [ragged.Span(rows, length, mask)])
        with torch.autocast(
            "cuda", dtype=torch.bfloat16, enabled=self._machine.precision == "bf16", cache_enabled=False
        ):
            return ragged.read(self.encoder, line, self._pooling)
