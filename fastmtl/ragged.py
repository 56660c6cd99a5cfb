"""Rows read end to end instead of in a rectangle: N tokens at once, of which each attends to its own row's.

Everything but attention is done token by token, so linear layers need no rectangle and see [1, N, H]; attention takes
the rows of one span together. A span is rows of one length, or of like length and padded to the longest of them.

`RaggedEncoder` is for inference alone: a copy of an encoder in the machine's precision. On a CPU with bf16 its linear
layers keep their weights in the order in which oneDNN multiplies them; else they are put in that order anew for every
batch. What each of this is worth: docs/performance.md.

Letters: N tokens of a batch · B rows, b of them in a span, of length L · A heads · D width of a head · H hidden width.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn
from torch.nn import functional
from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedModel
from transformers.activations import GELUActivation
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from fastmtl.config import Pooling
from fastmtl.device import Machine
from fastmtl.dropout import drop
from fastmtl.tokens import Rows, Tokens, send

try:
    from torch.nn.attention.varlen import varlen_attn
except ImportError:  # torch before 2.10
    varlen_attn = None  # type: ignore[assignment]

ATTENTION = "fastmtl_ragged"
POSITIONS_FROM = {"bert": 0, "distilbert": 0, "electra": 0, "roberta": 1, "xlm-roberta": 1}
"""Encoders whose attention is over the whole row, by `model_type`; RoBERTa's positions begin behind the padding."""
LONG = 256
"""Rows from this length on are attended to by torch's own kernel, which keeps no [L, L]; shorter ones are faster so."""


class Span(NamedTuple):
    """Rows of one length that stand side by side."""

    rows: int
    length: int
    real: torch.Tensor | None
    """[b, L] bool: which tokens are not padding; None where all are."""


class Bounds(NamedTuple):
    """Where rows of any lengths begin and end, for a kernel that takes all of them at once."""

    ends: torch.Tensor
    """[B + 1] int32, from 0 to N."""
    longest: int


class Line(NamedTuple):
    """Rows end to end."""

    inputs: dict[str, torch.Tensor]
    """The encoder's, [1, N] each."""
    spans: Sequence[Span]
    bounds: Bounds | None = None
    """None where attention goes span by span."""


def can_read(encoder: PreTrainedModel) -> bool:
    """Whether rows end to end give what padded ones do; an encoder that attends in windows is read padded."""
    return encoder.config.model_type in POSITIONS_FROM


def prepare(encoder: PreTrainedModel) -> None:
    """Let an encoder that `can_read` allows read lines; what it is given padded it reads as before."""
    AttentionInterface.register(ATTENTION, _attend)
    AttentionMaskInterface.register(ATTENTION, sdpa_mask)
    encoder.set_attn_implementation(ATTENTION)


def lay(tokens: Tokens, groups: Sequence[Rows], encoder: PreTrainedModel, device: str) -> Line:
    """Lay groups of rows end to end, each padded to its longest row."""
    parts = [tokens.padded(rows, "cpu") for rows in groups]
    masks = [part.pop("attention_mask").bool() for part in parts]  # [b, L] each
    inputs = {name: send(torch.cat([part[name].flatten() for part in parts])[None], device) for name in parts[0]}
    first = first_position(encoder)
    places = [torch.arange(first, first + mask.shape[1]).expand(mask.shape).flatten() for mask in masks]
    inputs["position_ids"] = send(torch.cat(places)[None], device)  # [1, N]
    spans = [Span(len(mask), mask.shape[1], None if mask.all() else send(mask, device)) for mask in masks]
    return Line(inputs, spans)


def lay_bare(tokens: Tokens, rows: Rows, encoder: PreTrainedModel, device: str) -> Line:
    """Lay rows end to end without padding; rows of one length have to stand side by side."""
    lengths = tokens.lengths[rows]
    starts = np.concatenate([[0], np.cumsum(lengths)])
    inputs = tokens.laid(rows, device)
    places = first_position(encoder) + np.arange(starts[-1]) - np.repeat(starts[:-1], lengths)
    inputs["position_ids"] = send(torch.from_numpy(places)[None], device)  # [1, N]
    first = np.flatnonzero(np.diff(lengths, prepend=-1))
    counts = np.diff(first, append=len(rows))
    spans = [Span(int(count), int(lengths[row]), None) for row, count in zip(first, counts, strict=True)]
    ends = send(torch.from_numpy(starts.astype(np.int32)), device)
    return Line(inputs, spans, Bounds(ends, int(lengths.max())) if device != "cpu" else None)


def first_position(encoder: PreTrainedModel) -> int:
    """Return the number of a row's first position."""
    behind = POSITIONS_FROM[encoder.config.model_type]
    return behind and int(encoder.config.pad_token_id or 0) + behind


def read(encoder: PreTrainedModel, line: Line, pooling: Pooling) -> torch.Tensor:
    """Return one vector a row, [B, H] float32, in the order in which the rows lie."""
    hidden = encoder(**line.inputs, spans=line.spans, bounds=line.bounds).last_hidden_state[0]  # [N, H]
    parts = zip(_cut(hidden, line.spans), line.spans, strict=True)
    return torch.cat([_pooled(encoder, part, span.real, pooling) for part, span in parts])


class RaggedEncoder:
    """A copy of an encoder for inference."""

    def __init__(self, encoder: PreTrainedModel, pooling: Pooling, machine: Machine) -> None:
        """Copy an encoder that `can_read` allows."""
        self._pooling = pooling
        self._device = machine.device
        self._encoder = copy.deepcopy(encoder).to(torch.device(machine.device))  # type: ignore[arg-type]
        self._encoder.train(False)
        prepare(self._encoder)
        if machine.precision == "bf16":
            self._encoder.to(torch.bfloat16)
            if machine.device == "cpu":
                _pack(self._encoder)
            else:
                _fuse(self._encoder)

    def features(self, tokens: Tokens, rows: Rows) -> torch.Tensor:
        """Return one vector a row, [B, H] float32; rows of one length have to stand side by side."""
        return read(self._encoder, lay_bare(tokens, rows, self._encoder, self._device), self._pooling)


class _Packed(nn.Module):
    """A linear layer for inference in bf16, its weights in the order of oneDNN's product."""

    def __init__(self, layer: nn.Linear) -> None:
        super().__init__()
        self.weight = torch.ops.mkldnn._reorder_linear_weight(layer.weight.detach(), None)
        self.bias = None if layer.bias is None else layer.bias.detach()

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        outputs: torch.Tensor = torch.ops.mkldnn._linear_pointwise(inputs, self.weight, self.bias, "none", [], "")
        return outputs


def _pack(module: nn.Module) -> None:
    """Put the packed kind in the place of every linear layer, where torch and the CPU have such a product."""
    if not (hasattr(torch.ops.mkldnn, "_linear_pointwise") and torch.ops.mkldnn._is_mkldnn_bf16_supported()):
        return
    for name, child in module.named_children():
        if type(child) is nn.Linear:
            setattr(module, name, _Packed(child))
        else:
            _pack(child)


class _Fused(nn.Module):
    """A linear layer and the GELU behind it as one product on a GPU.

    cuBLAS computes GELU by its tanh: that differs from the exact one by at most 5e-4, less than bf16 resolves.
    """

    def __init__(self, layer: nn.Linear) -> None:
        super().__init__()
        self.weight, self.bias = layer.weight.detach(), layer.bias.detach()

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        flat = torch.ops.aten._addmm_activation(self.bias, inputs.flatten(0, -2), self.weight.t(), use_gelu=True)
        outputs: torch.Tensor = flat.view(*inputs.shape[:-1], -1)
        return outputs


def _fuse(module: nn.Module) -> None:
    """Put the fused kind in the place of the wide layer with its GELU, where the encoder is built like BERT."""
    for name, child in module.named_children():
        wide, act = getattr(child, "dense", None), getattr(child, "intermediate_act_fn", None)
        if isinstance(wide, nn.Linear) and wide.bias is not None and isinstance(act, GELUActivation):
            setattr(module, name, _Fused(wide))
        else:
            _fuse(child)


def _cut(hidden: torch.Tensor, spans: Sequence[Span]) -> list[torch.Tensor]:
    """Cut [N, ...] into [b, L, ...] a span."""
    parts = torch.split(hidden, [span.length * span.rows for span in spans])
    return [part.view(span.rows, span.length, *part.shape[1:]) for part, span in zip(parts, spans, strict=True)]


def _pooled(
    encoder: PreTrainedModel, hidden: torch.Tensor, real: torch.Tensor | None, pooling: Pooling
) -> torch.Tensor:
    """Return [b, H] float32 of [b, L, H]."""
    if pooling == "pooler":
        pooled: torch.Tensor = encoder.get_submodule("pooler")(hidden)
        return pooled.float()
    if pooling == "first":
        return hidden[:, 0].float()
    if real is None:
        return hidden.float().mean(1)
    mask = real.unsqueeze(-1)  # [b, L, 1]
    return (hidden.float() * mask).sum(1) / mask.sum(1)


def _attend(
    module: nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    mask: torch.Tensor | None,
    *,
    scaling: float | None = None,
    dropout: float = 0.0,
    spans: Sequence[Span] | None = None,
    bounds: Bounds | None = None,
    **others: Any,  # noqa: ANN401 - whatever else the library tells every attention
) -> tuple[torch.Tensor, None]:
    """Attend inside each row: from [1, A, N, D] to [1, N, A, D]; without spans as torch does."""
    if spans is None:
        usual: tuple[torch.Tensor, None] = sdpa_attention_forward(
            module, query, key, value, mask, scaling=scaling, dropout=dropout, **others
        )
        return usual
    scaling = scaling or query.shape[-1] ** -0.5
    query, key, value = (part[0].transpose(0, 1) for part in (query, key, value))  # [N, A, D]
    if bounds is not None and _takes_all_at_once(query, scaling):
        attended = varlen_attn(query, key, value, bounds.ends, bounds.ends, bounds.longest, bounds.longest)
        assert isinstance(attended, torch.Tensor)  # nothing was asked for besides
        return attended[None], None
    parts = zip(*(_cut(part, spans) for part in (query, key, value)), spans, strict=True)
    found = [_attend_span(q, k, v, span.real, scaling, dropout) for q, k, v, span in parts]  # [b, L, A, D]
    return torch.cat([part.flatten(0, 1) for part in found])[None], None


def _takes_all_at_once(query: torch.Tensor, scaling: float) -> bool:
    """Whether torch has a kernel here that attends inside rows of any lengths at once: FlashAttention, for bf16."""
    width = query.shape[-1]
    fits = query.dtype == torch.bfloat16 and width % 8 == 0 and scaling == width**-0.5
    return varlen_attn is not None and fits


def _attend_span(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    real: torch.Tensor | None,
    scaling: float,
    dropout: float,
) -> torch.Tensor:
    """Attend inside rows of one length: from [b, L, A, D] to the same."""
    query, key, value = (part.transpose(1, 2) for part in (query, key, value))  # [b, A, L, D]
    mask = None if real is None else real[:, None, None, :]  # [b, 1, 1, L]
    if query.shape[2] >= LONG or (query.device.type != "cpu" and not query.requires_grad):
        attended = functional.scaled_dot_product_attention(query, key, value, mask, dropout, scale=scaling)
        return attended.transpose(1, 2)
    # Copied row by row here: the product would copy it turned, element by element.
    scores = (query @ key.contiguous().transpose(2, 3)).float().mul_(scaling)  # [b, A, L, L]
    if mask is not None:
        scores = scores.masked_fill_(~mask, -torch.inf)
    # In float32: a softmax of bf16 is slower here wherever L is no multiple of the vector's width.
    weights = drop(scores.softmax(-1).to(value.dtype), dropout)
    return (weights @ value).transpose(1, 2)
