"""How large an encoder is, told from its checkpoint's config.json; no weight is loaded. Torch-free."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from fastmtl.encoders import cached
from fastmtl.errors import EncoderUnavailable

MADE_WITH = {"modernbert": 3}
"""Matrices of a feed-forward layer, by model type, where there are not two: a gated one has two that lead into it."""


class Size(NamedTuple):
    """How large an encoder is."""

    parameters: int
    """All of them: what an optimiser step goes over."""
    body: int
    """Those that every token is multiplied by: not the embeddings."""
    attention: int
    """Layers times hidden width."""


def size_at(location: str) -> Size | None:
    """Return the size of an encoder whose files are on this machine; None where they are not, or say too little.

    Nothing is fetched: what is on the hub is looked for in its cache.
    """
    try:
        folder = cached(location)
        return size_of(json.loads((folder / "config.json").read_text())) if folder else None
    except (EncoderUnavailable, OSError, ValueError):
        return None


def size_of(config: Mapping[str, Any]) -> Size | None:
    """Return the size that a config.json says; None where it says too little."""

    def first(*names: str) -> int:
        return int(next((config[name] for name in names if config.get(name)), 0))

    width, layers = first("hidden_size", "dim", "n_embd"), first("num_hidden_layers", "n_layers", "n_layer")
    if not width or not layers:
        return None
    inner = first("intermediate_size", "hidden_dim", "n_inner") or 4 * width
    body = layers * width * (4 * width + MADE_WITH.get(str(config.get("model_type")), 2) * inner)
    embedded = width * (first("vocab_size") + first("max_position_embeddings"))
    return Size(body + embedded, body, layers * width)
