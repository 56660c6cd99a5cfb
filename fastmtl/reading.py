"""Rows of a dataset as token ids: made once for a tokenizer, then read from where they are kept."""

from __future__ import annotations

import numpy as np
from transformers import PreTrainedTokenizerBase

from fastmtl.datasets import Dataset
from fastmtl.kept_tokens import KeptTokens
from fastmtl.plan import Progress, silent
from fastmtl.tokens import Rows, Tokens, joined, tokenize

TEXTS_AT_ONCE = 8_192


def read_tokens(
    dataset: Dataset, rows: Rows, tokenizer: PreTrainedTokenizerBase, max_length: int, progress: Progress = silent
) -> Tokens:
    """Return some rows of a dataset as tokens, in the order given; what is not kept yet is made, and kept."""
    kept = KeptTokens.of(dataset.tokens, tokenizer, max_length)
    if kept is None or not len(rows):
        return _made(dataset, rows, tokenizer, max_length, progress)
    missing = kept.missing(rows)
    if len(missing):
        kept.add(missing, _made(dataset, missing, tokenizer, max_length, progress))
    found = kept.take(rows)
    progress(len(rows), len(rows), "rows")
    return found


def read_span(
    dataset: Dataset,
    start: int,
    stop: int,
    tokenizer: PreTrainedTokenizerBase,
    max_length: int,
    progress: Progress = silent,
) -> Tokens:
    """Return the rows [start, stop) of a dataset as tokens."""
    return read_tokens(dataset, np.arange(start, stop), tokenizer, max_length, progress)


def _made(
    dataset: Dataset, rows: Rows, tokenizer: PreTrainedTokenizerBase, max_length: int, progress: Progress
) -> Tokens:
    """Tokenize rows, some thousands of texts at a time."""
    parts = []
    for start in range(0, max(1, len(rows)), TEXTS_AT_ONCE):
        text_a, text_b = dataset.texts(rows[start : start + TEXTS_AT_ONCE])
        parts.append(tokenize(tokenizer, text_a, text_b, max_length))
        progress(min(start + TEXTS_AT_ONCE, len(rows)), len(rows), "rows")
    return joined(parts)
