"""Training moves only the vectors of tokens that occur; a vocabulary is mostly tokens that do not.

Such a token's vector has no gradient, and AdamW without weight decay does not move what never had one. So while a model
is trained its table holds the rows of the tokens that occur, [U, H] of [V, H]: gradients, moments, norm and checkpoints
are of those alone, and the result is the same.

Letters: V tokens of the vocabulary, U of them occur · H width of their vectors.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import torch
from torch import nn
from transformers import PreTrainedModel

from fastmtl.batches import TaskRows


class Vocabulary:
    """The tokens that occur in some rows, and the encoder's table of them."""

    def __init__(self, encoder: PreTrainedModel, sources: Sequence[TaskRows]) -> None:
        """Look through the rows; the encoder stays as it is."""
        self._encoder = encoder
        self._tables: _Tables | None = None
        self.sources = list(sources)
        """The rows, their tokens counted as the narrow table has them."""
        whole = encoder.get_input_embeddings()
        if not isinstance(whole, nn.Embedding) or not whole.weight.requires_grad:
            return  # a frozen table costs a training nothing
        tokens = [source.tokens for source in sources]
        occurring = np.unique(np.concatenate([[each.pad_id for each in tokens], *(each.ids for each in tokens)]))
        places = np.zeros(whole.num_embeddings, dtype=np.int32)
        places[occurring] = np.arange(len(occurring), dtype=np.int32)
        self.sources = [
            replace(source, tokens=replace(each, ids=places[each.ids], pad_id=int(places[each.pad_id])))
            for source, each in zip(sources, tokens, strict=True)
        ]
        self._tables = _Tables(whole, torch.from_numpy(occurring.astype(np.int64)))

    @contextmanager
    def narrowed(self) -> Iterator[None]:
        """Give the encoder the narrow table; at the end the whole one again, with what has changed."""
        if self._tables is None:
            yield
            return
        self._encoder.set_input_embeddings(self._tables.narrow)
        try:
            yield
        finally:
            self._encoder.set_input_embeddings(self._tables.brought_up_to_date())

    @contextmanager
    def widened(self) -> Iterator[None]:
        """Give the encoder, while it is narrowed, the whole table for a while: to read other rows."""
        if self._tables is None:
            yield
            return
        self._encoder.set_input_embeddings(self._tables.brought_up_to_date())
        try:
            yield
        finally:
            self._encoder.set_input_embeddings(self._tables.narrow)


class _Tables:
    """The whole table, [V, H], and the narrow one, [U, H]."""

    def __init__(self, whole: nn.Embedding, occurring: torch.Tensor) -> None:
        self._whole = whole
        self._occurring = occurring
        padding = occurring.tolist().index(whole.padding_idx) if whole.padding_idx in occurring.tolist() else None
        weight = whole.weight.detach()[occurring.to(whole.weight.device)]
        self.narrow = nn.Embedding(len(occurring), whole.embedding_dim, padding_idx=padding, _weight=weight)

    def brought_up_to_date(self) -> nn.Embedding:
        """Return the whole table, where the narrow one is now and with its vectors."""
        weight = self.narrow.weight.detach()
        self._whole = self._whole.to(weight.device)
        self._whole.weight.data[self._occurring.to(weight.device)] = weight
        return self._whole
