"""Rows as token ids, ragged until the moment they become a batch.

Letters: B rows in a batch · L tokens · n rows.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from transformers import PreTrainedTokenizerBase

from fastmtl.datasets import Dataset
from fastmtl.plan import Json, Progress, silent

Rows = npt.NDArray[np.int64]
TEXTS_AT_ONCE = 8_192


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
    texts = list(text_a) if text_b is None else list(zip(text_a, text_b, strict=True))
    ids, types, lengths = array("i"), array("B"), np.zeros(len(texts), dtype=np.int64)
    for row, (of_row, kinds) in enumerate(_encoded(tokenizer, texts, max_length)):
        ids.extend(of_row)
        lengths[row] = len(of_row)
        if typed:
            types.extend(kinds)
    return Tokens(
        ids=np.asarray(ids, dtype=np.int32),
        types=np.asarray(types, dtype=np.uint8) if typed else None,
        offsets=np.concatenate([[0], np.cumsum(lengths)]),
        pad_id=tokenizer.pad_token_id or 0,
    )


def read_tokens(
    dataset: Dataset, rows: Rows, tokenizer: PreTrainedTokenizerBase, max_length: int, progress: Progress = silent
) -> Tokens:
    """Tokenize some rows of a dataset, in the order given, some thousands of texts at a time."""
    parts = []
    for start in range(0, max(1, len(rows)), TEXTS_AT_ONCE):
        text_a, text_b = dataset.texts(rows[start : start + TEXTS_AT_ONCE])
        parts.append(tokenize(tokenizer, text_a, text_b, max_length))
        progress(min(start + TEXTS_AT_ONCE, len(rows)), len(rows), "rows")
    return joined(parts)


def read_span(
    dataset: Dataset,
    start: int,
    stop: int,
    tokenizer: PreTrainedTokenizerBase,
    max_length: int,
    progress: Progress = silent,
) -> Tokens:
    """Tokenize the rows [start, stop) of a dataset."""
    return read_tokens(dataset, np.arange(start, stop), tokenizer, max_length, progress)


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


def _encoded(
    tokenizer: PreTrainedTokenizerBase, texts: Sequence[str | tuple[str, str]], max_length: int
) -> Iterator[tuple[list[int], list[int]]]:
    """Yield ids and token types of every text or pair.

    A tokenizer of the Rust library is asked without what `__call__` makes of its answer besides, which takes longer
    than the answer; it uses all cores.
    """
    if not tokenizer.is_fast:
        for text in texts:
            pair = text if isinstance(text, tuple) else (text,)
            found = tokenizer(*pair, truncation=True, max_length=max_length)
            yield found["input_ids"], found.get("token_type_ids", [])
        return
    backend = tokenizer.backend_tokenizer
    backend.enable_truncation(max_length, strategy="longest_first", direction=tokenizer.truncation_side)
    backend.no_padding()
    for each in backend.encode_batch_fast(texts):
        yield each.ids, each.type_ids
