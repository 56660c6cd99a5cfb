"""Rows as token ids, ragged until the moment they become a batch.

Letters: B rows in a batch · L tokens · n rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import torch
from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast
from transformers.tokenization_utils_base import TruncationStrategy
from transformers.utils.generic import PaddingStrategy

from fastmtl.plan import Json

Number = TypeVar("Number", np.int32, np.uint8)
Rows = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Tokens:
    """n rows of token ids, end to end; row i is ids[offsets[i]:offsets[i + 1]]."""

    ids: npt.NDArray[np.int32]
    types: npt.NDArray[np.uint8] | None
    """Which text a token belongs to, 0 or 1; None where the encoder has no token types."""
    offsets: npt.NDArray[np.int64]
    pad_id: int

    def __len__(self) -> int:
        """Return n."""
        return len(self.offsets) - 1

    @property
    def lengths(self) -> npt.NDArray[np.int64]:
        """Tokens of each row, [n]."""
        return np.diff(self.offsets)

    def padded(self, rows: Rows, device: str, length: int | None = None) -> dict[str, torch.Tensor]:
        """Return the encoder's inputs for `rows`, [B, L], padded on the right to L, else to the longest of them."""
        lengths = self.lengths[rows]
        place = np.arange(length or lengths.max())[None, :]  # [1, L]
        real = place < lengths[:, None]  # [B, L]
        source = np.where(real, self.offsets[rows][:, None] + place, 0)  # [B, L]
        inputs = {
            "input_ids": np.where(real, self.ids[source], self.pad_id).astype(np.int64),
            "attention_mask": real.astype(np.int64),
        }
        if self.types is not None:
            inputs["token_type_ids"] = np.where(real, self.types[source], 0).astype(np.int64)
        return {name: send(torch.from_numpy(values), device) for name, values in inputs.items()}

    def laid(self, rows: Rows, device: str) -> dict[str, torch.Tensor]:
        """Return ids and types of `rows` end to end, without padding: [1, N], N tokens in all of them."""
        lengths = self.lengths[rows]
        starts = np.concatenate([[0], np.cumsum(lengths)[:-1]])
        source = np.arange(lengths.sum()) + np.repeat(self.offsets[rows] - starts, lengths)  # [N]
        inputs = {"input_ids": self.ids[source]}
        if self.types is not None:
            inputs["token_type_ids"] = self.types[source]
        return {name: send(torch.from_numpy(each.astype(np.int64))[None], device) for name, each in inputs.items()}


def send(values: torch.Tensor, device: str) -> torch.Tensor:
    """Return values on a device, without waiting for what a GPU has still to do."""
    return values if device == "cpu" else values.pin_memory().to(device, non_blocking=True)


def tokenize(
    tokenizer: PreTrainedTokenizerBase, text_a: Sequence[str], text_b: Sequence[str] | None, max_length: int
) -> Tokens:
    """Turn texts or pairs of texts into token ids, the longer text of a pair cut first where `max_length` is passed."""
    typed = "token_type_ids" in tokenizer.model_input_names
    if not len(text_a):
        none = np.zeros(0, dtype=np.uint8) if typed else None
        return Tokens(np.zeros(0, dtype=np.int32), none, np.zeros(1, dtype=np.int64), tokenizer.pad_token_id or 0)
    if not isinstance(tokenizer, PreTrainedTokenizerFast):
        return _slowly(tokenizer, text_a, text_b, max_length)
    tokenizer.set_truncation_and_padding(
        PaddingStrategy.DO_NOT_PAD, TruncationStrategy.LONGEST_FIRST, max_length, 0, None, None
    )
    texts = list(text_a) if text_b is None else list(zip(text_a, text_b, strict=True))
    rows = tokenizer.backend_tokenizer.encode_batch_fast(texts)
    offsets = np.zeros(len(rows) + 1, dtype=np.int64)
    np.cumsum(np.fromiter(map(len, rows), np.int64, len(rows)), out=offsets[1:])
    return Tokens(
        ids=_flat((row.ids for row in rows), np.int32, offsets[-1]),
        types=_flat((row.type_ids for row in rows), np.uint8, offsets[-1]) if typed else None,
        offsets=offsets,
        pad_id=tokenizer.pad_token_id or 0,
    )


def counted(encoder: Json, parts: Iterable[tuple[str, Tokens]]) -> Json:
    """Return what a step's result says of the texts that it read: {encoder, max_length, texts: {name: [rows, tokens]}}.

    By it the next steps are foretold. `encoder` is as `encoders.describe` says it; names are mostly digests.
    """
    texts: dict[str, list[int]] = {}
    for name, tokens in parts:
        rows, total = texts.get(name, (0, 0))
        texts[name] = [rows + len(tokens), total + len(tokens.ids)]
    return {"encoder": encoder["location"], "max_length": encoder["max_length"], "texts": texts}


def joined(parts: Sequence[Tokens]) -> Tokens:
    """Put several runs of rows, made by one tokenizer, end to end."""
    if len(parts) == 1:
        return parts[0]
    types = [part.types for part in parts if part.types is not None]
    lengths = np.concatenate([part.lengths for part in parts])
    return Tokens(
        ids=np.concatenate([part.ids for part in parts]),
        types=np.concatenate(types) if types else None,
        offsets=np.concatenate([[0], np.cumsum(lengths)]),
        pad_id=parts[0].pad_id,
    )


def _slowly(
    tokenizer: PreTrainedTokenizerBase, text_a: Sequence[str], text_b: Sequence[str] | None, max_length: int
) -> Tokens:
    """Tokenize by a tokenizer that is not one of the `tokenizers` library."""
    encoded = tokenizer(
        list(text_a),
        list(text_b) if text_b is not None else None,
        truncation=True,
        max_length=max_length,
        padding=False,
        return_attention_mask=False,
    )
    rows: list[list[int]] = encoded["input_ids"]
    offsets = np.concatenate([[0], np.cumsum([len(row) for row in rows])])
    typed = "token_type_ids" in tokenizer.model_input_names
    return Tokens(
        ids=_flat(rows, np.int32, offsets[-1]),
        types=_flat(encoded["token_type_ids"], np.uint8, offsets[-1]) if typed else None,
        offsets=offsets,
        pad_id=tokenizer.pad_token_id or 0,
    )


def _flat(rows: Iterable[list[int]], kind: type[Number], total: int) -> npt.NDArray[Number]:
    """Put rows end to end in one array of so many numbers."""
    return np.fromiter(chain.from_iterable(rows), kind, total)
