"""Low-rank adapters on a frozen encoder, and the gradient of every single row's loss with respect to them.

An adapted layer computes base(x) + (x A') B' with A [r, I] and B [O, r] (Hu et al. 2022). A batch's rows meet nowhere
in an encoder in eval mode, so one backward pass of the sum of their losses carries every row's own gradient: with
delta [B, L, O], the gradient of the layer's output, a row's gradient of B is delta' (x A') and of A is (delta B)' x,
summed over its tokens. Padding is masked as a key, so its delta is zero.

Letters: B rows in a batch · L tokens · I inputs and O outputs of a layer · r rank · W weights of an adapter ·
n rows · D dimensions of a projected gradient.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from safetensors.torch import load_file, save_file
from torch import nn
from torch.nn import functional
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from fastmtl.batches import InferenceOrder, TaskRows
from fastmtl.checkpoints import Checkpoints
from fastmtl.datasets import TaskKind
from fastmtl.device import Machine
from fastmtl.encoders import resolve
from fastmtl.errors import InvalidConfig
from fastmtl.losses import task_loss
from fastmtl.model import MtDnn, Task, load_checkpoint
from fastmtl.plan import Json, Progress, silent
from fastmtl.portion import Portion
from fastmtl.scoring import compute_rows
from fastmtl.tokens import Rows

RANK = 8
ATTENTION = frozenset({"query", "value", "q_lin", "v_lin", "Wqkv"})
"""Names of the query and value layers: of BERT and RoBERTa, of DistilBERT, and of ModernBERT, where they are one."""
GRADIENT_TOKENS = 4_096
"""Tokens of a batch, padding included: as many as a training batch of 32 rows of 128 tokens has."""
BLOCK_ROWS = 8_192
"""Rows of the random matrix that stand in memory as floats at a time."""
WEIGHTS_FILE = "adapters.safetensors"
ABOUT_FILE = "adapters.json"

Take = Callable[[int, torch.Tensor], None]
"""Is handed an adapter's index and every row's gradient of its weights, [B, W]."""


class Adapter(nn.Module):
    """A frozen linear layer with an addition of rank r that can be trained and is zero at first."""

    def __init__(self, base: nn.Linear, rank: int, generator: torch.Generator) -> None:
        super().__init__()
        self.base = base
        drawn = torch.randn(rank, base.in_features, generator=generator) / math.sqrt(base.in_features)
        self.down = nn.Parameter(drawn)  # A, [r, I]
        self.up = nn.Parameter(torch.zeros(base.out_features, rank))  # B, [O, r]

    @property
    def size(self) -> int:
        """W, the weights of A and B."""
        return self.down.numel() + self.up.numel()

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """Return [B, L, O] from [B, L, I]."""
        low = functional.linear(inputs, self.down)  # [B, L, r]
        output: torch.Tensor = self.base(inputs) + functional.linear(low, self.up)  # [B, L, O]
        return output

    def gradients(self, inputs: torch.Tensor, delta: torch.Tensor) -> torch.Tensor:
        """Return every row's gradient of A and B, end to end, [B, W] float32, from that of the output, [B, L, O]."""
        inputs, delta = inputs.detach().float(), delta.float()
        down, up = self.down.detach(), self.up.detach()
        of_down = (delta @ up).mT @ inputs  # [B, r, I]
        of_up = delta.mT @ (inputs @ down.mT)  # [B, O, r]
        return torch.cat([of_down.flatten(1), of_up.flatten(1)], dim=1)  # [B, W]


class Adapted(NamedTuple):
    """A network whose encoder is frozen but for its adapters."""

    model: MtDnn
    adapters: list[Adapter]
    tokenizer: PreTrainedTokenizerBase
    max_length: int


def adapt(encoder: PreTrainedModel, seed: int, rank: int = RANK) -> list[Adapter]:
    """Freeze an encoder and adapt its query and value layers, in place; return the adapters in the encoder's order.

    Where no layer has such a name every linear layer that reads the hidden width is adapted. Raises InvalidConfig where
    there is none.
    """
    encoder.requires_grad_(False)
    layers = {name: layer for name, layer in encoder.named_modules() if isinstance(layer, nn.Linear)}
    chosen = {name: layer for name, layer in layers.items() if name.rpartition(".")[2] in ATTENTION}
    if not chosen:
        width = encoder.config.hidden_size
        chosen = {
            name: layer
            for name, layer in layers.items()
            if layer.in_features == width and not name.startswith("pooler")  # it reads one vector a row
        }
    if not chosen:
        raise _not_adaptable("it has no linear layers of its hidden width")
    generator = torch.Generator().manual_seed(seed)
    adapters = []
    for name, layer in chosen.items():
        adapters.append(Adapter(layer, rank, generator))
        encoder.set_submodule(name, adapters[-1])
    return adapters


def save_adapted(model: MtDnn, encoder: Json, folder: Path) -> None:
    """Write the adapters and heads, and what `load_adapted` must know; `encoder` is as `encoders.describe` says it."""
    trained = {
        name: value.detach().cpu().contiguous() for name, value in model.named_parameters() if value.requires_grad
    }
    save_file(trained, folder / WEIGHTS_FILE)
    about = {
        "encoder": encoder,
        "pooling": model.pooling,
        "rank": RANK,
        "tasks": [asdict(each) for each in model.tasks],
    }
    (folder / ABOUT_FILE).write_text(json.dumps(about, indent=1))


def load_adapted(folder: Path) -> Adapted:
    """Load the encoder as it comes and put on it what `save_adapted` wrote."""
    about = json.loads((folder / ABOUT_FILE).read_text())
    encoder = about["encoder"]
    checkpoint = load_checkpoint(resolve(encoder["location"]), about["pooling"], encoder["max_length"])
    tasks = [
        Task(**{**task, "kind": TaskKind(task["kind"]), "classes": tuple(task["classes"])}) for task in about["tasks"]
    ]
    adapters = adapt(checkpoint.encoder, seed=0, rank=about["rank"])
    model = MtDnn(checkpoint.encoder, checkpoint.pooling, tasks, discriminator=False)
    weights = load_file(folder / WEIGHTS_FILE)
    trained = {name for name, value in model.named_parameters() if value.requires_grad}
    assert trained == weights.keys(), trained ^ weights.keys()
    model.load_state_dict(weights, strict=False)
    return Adapted(model, adapters, checkpoint.tokenizer, checkpoint.max_length)


class Projection:
    """A fixed random matrix [all adapters' weights, D] of ±1/sqrt(D), an adapter's part a draw of its own.

    Products of projected gradients are those of the gradients, but for noise of about 1/sqrt(D) of their lengths. The
    signs are held as bits; only BLOCK_ROWS rows of the matrix are numbers at a time.
    """

    def __init__(self, sizes: Sequence[int], dimensions: int, seed: int, device: str) -> None:
        """`sizes` are the adapters' W; `dimensions` is D, a multiple of 8."""
        self.dimensions = dimensions
        self._signs = [
            torch.from_numpy(
                np.random.default_rng([seed, index]).integers(0, 256, (size, dimensions // 8), dtype=np.uint8)
            ).to(device)
            for index, size in enumerate(sizes)
        ]
        self._places = torch.arange(8, dtype=torch.uint8, device=device)

    def project(self, adapter: int, gradients: torch.Tensor) -> torch.Tensor:
        """Return what an adapter's gradients [B, W] add to the rows' projected gradients, [B, D]."""
        total = torch.zeros(len(gradients), self.dimensions, device=gradients.device)  # [B, D]
        for start in range(0, gradients.shape[1], BLOCK_ROWS):
            total += gradients[:, start : start + BLOCK_ROWS] @ self._block(adapter, start)
        return total / math.sqrt(self.dimensions)

    def _block(self, adapter: int, start: int) -> torch.Tensor:
        """Return some rows of the signs as numbers, [at most BLOCK_ROWS, D]."""
        signs = self._signs[adapter][start : start + BLOCK_ROWS, :, None]  # [rows, D / 8, 1]
        bits = signs >> self._places & 1  # [rows, D / 8, 8]
        numbers: torch.Tensor = bits.flatten(1).float() * 2 - 1  # [rows, D]
        return numbers


@contextmanager
def row_gradients(adapters: Sequence[Adapter], rows: int, take: Take) -> Iterator[None]:
    """While open, let the backward pass of a batch of so many rows hand `take` each adapter's gradients.

    A layer that is used more than once hands over one part of its gradient a use. Raises InvalidConfig where a layer
    reads something else than one vector a token and row.
    """
    handles = [
        adapter.register_forward_hook(_watch(index, adapter, rows, take)) for index, adapter in enumerate(adapters)
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def unit_gradients(
    adapted: Adapted,
    sources: Sequence[TaskRows],
    projection: Projection,
    machine: Machine,
    progress: Progress = silent,
    checkpoints: Checkpoints | None = None,
) -> npt.NDArray[np.float32]:
    """Return the projected gradient of each row's loss on its own task, [n, D], made 1 long, in the sources' order.

    A row whose loss is so small that it has no gradient stays zero. As in `score_rows`, a row's last bits depend on
    which rows it is computed with.
    """
    adapted.model.eval().to(machine.device)
    order = InferenceOrder.of([source.tokens.lengths for source in sources])

    def compute(rows: Rows) -> npt.NDArray[np.float32]:
        index = int(np.searchsorted(order.ends, rows[0], side="right"))
        source = sources[index]
        first = int(order.ends[index]) - len(source.tokens)
        found = _projected(adapted, source, rows - first, projection, machine)  # [B, D]
        unit: npt.NDArray[np.float32] = functional.normalize(found).cpu().numpy()
        return unit

    checkpoints = checkpoints or Checkpoints.none()
    portion = Portion(checkpoints.at_once(GRADIENT_TOKENS), "tokens", progress)
    return compute_rows(order, compute, portion, progress, checkpoints)


def _projected(
    adapted: Adapted, source: TaskRows, rows: Rows, projection: Projection, machine: Machine
) -> torch.Tensor:
    """Return the projected gradients of one batch, [B, D]."""
    model = adapted.model
    total = torch.zeros(len(rows), projection.dimensions, device=machine.device)  # [B, D]

    def take(adapter: int, gradients: torch.Tensor) -> None:
        total.add_(projection.project(adapter, gradients))

    with row_gradients(adapted.adapters, len(rows), take):
        with machine.autocast():
            features = model.features(source.tokens.padded(rows, machine.device))  # [B, H]
        logits = model.task_logits(features, source.task)  # [B, C]
        labels = source.labels[torch.from_numpy(rows)].to(machine.device)  # [B]
        losses = task_loss(model.tasks[source.task].kind, logits, labels) * len(rows)
        # Asked for the gradients of A, torch passes every adapter's output and lays nothing down in the weights.
        torch.autograd.grad(losses, [adapter.down for adapter in adapted.adapters], allow_unused=True)
    return total


def _watch(index: int, adapter: Adapter, rows: int, take: Take) -> Callable[..., None]:
    """Return a forward hook that waits for the gradient of the layer's output."""

    def watch(_: nn.Module, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
        (read,) = inputs  # [B, L, I]
        if read.ndim != 3 or len(read) != rows:
            raise _not_adaptable("its layers do not read one vector a token and row")

        def pass_on(delta: torch.Tensor) -> None:
            take(index, adapter.gradients(read, delta))

        output.register_hook(pass_on)  # type: ignore[no-untyped-call]

    return watch


def _not_adaptable(reason: str) -> InvalidConfig:
    """Say that the method cannot use an encoder."""
    told = f"the method 'gradient' cannot adapt this encoder: {reason}. Use another encoder or another method"
    return InvalidConfig("config.encoder.name", told)
