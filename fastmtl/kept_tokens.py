"""Tokens of a dataset's rows, kept beside it for the steps that read them next.

FOLDER/KEY/PART/ holds what one step made: rows.npy, int64, which rows, rising; and their tokens (fastmtl/stored.py).
KEY names the tokenizer by what it does, and the most tokens of a row. A part is written under another name and then
renamed, so one that is there is whole; two steps that make the same rows at once leave them twice, which harms nothing.
Nothing depends on what is kept: where it cannot be written or read, rows are tokenized again.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast

from fastmtl import stored
from fastmtl.tokens import Rows, Tokens

VERSION = 1
KEYS = 2
"""Of so many tokenizers and lengths tokens are kept for a dataset, the last used."""
SPARE_BYTES = 2**30
"""With less room than this on the disk nothing is kept: uploads and results need it more."""
UNFINISHED = ".writing-"
LEFT_SECONDS = 3_600.0
"""What is still unfinished after so long was left by a process that is gone."""


class Part(NamedTuple):
    """What one step made."""

    rows: Rows
    """Rising."""
    tokens: Tokens

    @staticmethod
    def open(folder: Path) -> Part:
        """Open one that was kept. Raises OSError, EOFError or ValueError where it is damaged."""
        part = Part(np.load(folder / "rows.npy", mmap_mode="r"), stored.opened(folder))
        if not 0 < len(part.rows) == len(part.tokens):
            raise ValueError(f"{folder} holds {len(part.tokens):,} rows, not {len(part.rows):,}")
        return part

    def may_hold(self, rows: Rows) -> bool:
        """Whether any of some rows may be among these; what cannot be is not read from disk."""
        return bool(len(rows)) and bool(self.rows[0] <= rows.max()) and bool(rows.min() <= self.rows[-1])


@dataclass
class KeptTokens:
    """Tokens of one dataset, by one tokenizer."""

    folder: Path
    parts: list[Part]

    @staticmethod
    def of(folder: Path | None, tokenizer: PreTrainedTokenizerBase, max_length: int) -> KeptTokens | None:
        """Open what is kept in a dataset's folder; None where nothing can be."""
        if folder is None or not isinstance(tokenizer, PreTrainedTokenizerFast):
            return None
        key = folder / f"{_identity(tokenizer)[:32]}-{max_length}"
        try:
            folder.mkdir(exist_ok=True)  # not what it stands in: that may have been deleted with the dataset
            key.mkdir(exist_ok=True)
            os.utime(key)
            _remove_unused(folder)
            return KeptTokens(key, [part for path in sorted(key.iterdir()) if (part := _part(path))])
        except OSError:
            return None

    def missing(self, rows: Rows) -> Rows:
        """Return which of the rows are not kept, rising, each once."""
        wanted = np.unique(rows)
        for part in self.parts:
            if part.may_hold(wanted):
                wanted = wanted[~np.isin(wanted, part.rows, assume_unique=True)]
        return wanted

    def add(self, rows: Rows, tokens: Tokens) -> None:
        """Keep the tokens of rows, which rise; they can be taken even where they cannot be written."""
        self.parts.append(Part(rows, tokens))
        with suppress(OSError):
            self._write(rows, tokens)

    def take(self, rows: Rows) -> Tokens:
        """Return rows in the order given, all of which are there."""
        lengths, sources = np.zeros(len(rows), dtype=np.int64), np.full(len(rows), -1)
        places = np.zeros(len(rows), dtype=np.int64)
        for index, part in enumerate(self.parts):
            if not part.may_hold(rows):
                continue
            found = np.minimum(np.searchsorted(part.rows, rows), len(part.rows) - 1)
            new = (part.rows[found] == rows) & (sources < 0)
            sources[new], places[new] = index, found[new]
            lengths[new] = part.tokens.offsets[found[new] + 1] - part.tokens.offsets[found[new]]
        offsets = np.concatenate([[0], np.cumsum(lengths)])
        first = self.parts[0].tokens
        ids = np.empty(offsets[-1], dtype=np.int32)
        types = None if first.types is None else np.empty(offsets[-1], dtype=np.uint8)
        for index, part in enumerate(self.parts):
            mine = np.flatnonzero(sources == index)
            if not len(mine):
                continue
            taken = stored.taken(part.tokens, places[mine])
            target = np.repeat(offsets[mine] - taken.offsets[:-1], lengths[mine]) + np.arange(len(taken.ids))
            ids[target] = taken.ids
            if types is not None and taken.types is not None:
                types[target] = taken.types
        return Tokens(ids, types, offsets, first.pad_id)

    def _write(self, rows: Rows, tokens: Tokens) -> None:
        if shutil.disk_usage(self.folder).free < SPARE_BYTES + 2 * tokens.ids.nbytes:
            return
        folder = Path(tempfile.mkdtemp(prefix=UNFINISHED, dir=self.folder))
        try:
            np.save(folder / "rows.npy", rows)
            stored.write(folder, tokens)
            for path in folder.iterdir():
                with path.open("rb") as file:
                    os.fsync(file.fileno())
            folder.rename(self.folder / folder.name.removeprefix(UNFINISHED))
        except OSError:
            shutil.rmtree(folder, ignore_errors=True)
            raise


def _part(path: Path) -> Part | None:
    """Open a part; remove one that was left unfinished, or is damaged."""
    try:
        if not path.name.startswith(UNFINISHED):
            return Part.open(path)
        if time.time() - path.stat().st_mtime < LEFT_SECONDS:
            return None
    except (OSError, EOFError, ValueError):
        pass
    shutil.rmtree(path, ignore_errors=True)
    return None


def _remove_unused(folder: Path) -> None:
    """Remove the tokens of all but the last used tokenizers."""
    keys = sorted(folder.iterdir(), key=lambda path: path.stat().st_mtime, reverse=True)
    for path in keys[KEYS:]:
        shutil.rmtree(path, ignore_errors=True)


@lru_cache(maxsize=4)
def _identity(tokenizer: PreTrainedTokenizerFast) -> str:
    """Return a digest of all that decides what a tokenizer makes of a text, but for the length."""
    about = json.loads(tokenizer.backend_tokenizer.to_str())
    for name in ("truncation", "padding"):  # as the last call left them
        about.pop(name)
    sides = [tokenizer.truncation_side, tokenizer.pad_token_id, sorted(tokenizer.model_input_names)]
    return hashlib.sha256(json.dumps([VERSION, sides, about], sort_keys=True).encode()).hexdigest()
