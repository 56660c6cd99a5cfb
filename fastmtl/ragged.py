"""An encoder that reads rows end to end, without padding: N tokens at once, of which each attends to its own row's.

Everything but attention is done token by token, so a batch needs no rectangle: linear layers see [1, N, H], and
attention takes the rows of one length together. It reads with weights of the machine's precision, which is what
inference needs and training cannot have: a copy is made, and the encoder it is made of stays as it is. On a CPU with
bf16 the copy's linear layers keep their weights in the order in which oneDNN multiplies them; else they are put in that
order anew for every batch. What each of these is worth: docs/performance.md.

Letters: N tokens of a batch · B rows, b of them of one length L · A heads · D width of a head · H hidden width.
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

from fastmtl.config import Pooling
from fastmtl.device import Machine
from fastmtl.tokens import Rows, Tokens

ATTENTION = "fastmtl_ragged"
POSITIONS_FROM = {"bert": 0, "distilbert": 0, "electra": 0, "roberta": 1, "xlm-roberta": 1}
"""Encoders whose attention is over the whole row, by `model_type`; RoBERTa's positions begin behind the padding."""
LONG = 256
"""Rows from this length on are attended to by torch's own kernel, which keeps no [L, L]; shorter ones are faster so."""


class Span(NamedTuple):
    """Rows of one length that stand side by side."""

    length: int
    rows: int


def can_read(encoder: PreTrainedModel) -> bool:
    """Whether rows end to end give what padded ones do; an encoder that attends in windows is read padded."""
    return encoder.config.model_type in POSITIONS_FROM


class RaggedEncoder:
    """A copy of an encoder for inference."""

    def __init__(self, encoder: PreTrainedModel, pooling: Pooling, machine: Machine) -> None:
        """Copy an encoder that `can_read` allows."""
        AttentionInterface.register(ATTENTION, _attend)
        AttentionMaskInterface.register(ATTENTION, _no_mask)
        self._pooling = pooling
        self._device = machine.device
        self._encoder = copy.deepcopy(encoder).to(torch.device(machine.device))  # type: ignore[arg-type]
        self._encoder.train(False)
        self._encoder.set_attn_implementation(ATTENTION)
        config = encoder.config
        from_padding = POSITIONS_FROM[config.model_type]
        self._first_position = from_padding and int(config.pad_token_id or 0) + from_padding
        if machine.precision == "bf16":
            self._encoder.to(torch.bfloat16)
            if machine.device == "cpu":
                _pack(self._encoder)

    def features(self, tokens: Tokens, rows: Rows) -> torch.Tensor:
        """Return one vector a row, [B, H] float32; rows of one length have to stand side by side."""
        ids, types, lengths = tokens.end_to_end(rows)  # [N], [N], [B]
        spans = _spans(lengths)
        places = np.concatenate([np.arange(length) for length in lengths]) + self._first_position  # [N]
        inputs = {"input_ids": ids, "position_ids": places, **({} if types is None else {"token_type_ids": types})}
        placed = {
            name: torch.from_numpy(values.astype(np.int64)).to(self._device)[None]  # [1, N]
            for name, values in inputs.items()
        }
        hidden = self._encoder(**placed, spans=spans).last_hidden_state[0]  # [N, H]
        return torch.cat([self._pooled(part) for part in _cut(hidden, spans)])  # [B, H]

    def _pooled(self, hidden: torch.Tensor) -> torch.Tensor:
        """Return [b, H] float32 of [b, L, H]."""
        if self._pooling == "pooler":
            pooled: torch.Tensor = self._encoder.pooler(hidden)
            return pooled.float()
        return hidden[:, 0].float() if self._pooling == "first" else hidden.float().mean(1)


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
    """Put the packed kind in the place of every linear layer; where this torch has no such product, leave them."""
    if not hasattr(torch.ops.mkldnn, "_linear_pointwise"):
        return
    for name, child in module.named_children():
        if type(child) is nn.Linear:
            setattr(module, name, _Packed(child))
        else:
            _pack(child)


def _spans(lengths: Rows) -> list[Span]:
    """Return the runs of one length."""
    ends = np.flatnonzero(np.diff(lengths, append=-1)) + 1
    return [Span(int(lengths[end - 1]), int(count)) for end, count in zip(ends, np.diff(ends, prepend=0), strict=True)]


def _cut(hidden: torch.Tensor, spans: Sequence[Span]) -> list[torch.Tensor]:
    """Cut [N, ...] into [b, L, ...] a span."""
    parts = torch.split(hidden, [span.length * span.rows for span in spans])
    return [part.view(span.rows, span.length, *part.shape[1:]) for part, span in zip(parts, spans, strict=True)]


def _no_mask(*_: object, **__: object) -> None:
    """Stand for the mask that is not needed."""


def _attend(
    module: nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    mask: None,
    *,
    spans: Sequence[Span],
    scaling: float,
    **_: Any,  # noqa: ANN401 - whatever else the library tells every attention
) -> tuple[torch.Tensor, None]:
    """Attend inside each row: from [1, A, N, D] to [1, N, A, D]."""
    query, key, value = (part[0].transpose(0, 1) for part in (query, key, value))  # [N, A, D]
    parts = zip(_cut(query, spans), _cut(key, spans), _cut(value, spans), strict=True)
    attended = [
        _attend_span(q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2), scaling)  # [b, A, L, D]
        for q, k, v in parts
    ]
    return torch.cat([part.transpose(1, 2).flatten(0, 1) for part in attended])[None], None


def _attend_span(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scaling: float) -> torch.Tensor:
    """Attend inside rows of one length: from [b, A, L, D] to the same."""
    if query.device.type != "cpu" or query.shape[2] >= LONG:
        return functional.scaled_dot_product_attention(query, key, value, scale=scaling)
    shape = query.shape
    query, key, value = (part.reshape(-1, *shape[2:]) for part in (query, key, value))  # [b * A, L, D]
    scores = torch.bmm(query, key.transpose(1, 2))  # [b * A, L, L]
    # In float32: a softmax of bf16 is slower here wherever L is no multiple of the vector's width.
    weights = torch.softmax(scores.float().mul_(scaling), dim=-1).to(value.dtype)
    return torch.bmm(weights, value).view(shape)
