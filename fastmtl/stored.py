"""Token ids of all rows of a job, made once and read from disk as often as is wanted.

Rows are counted through all tasks, in the order of their digests: row 0 of the second stands behind the last of the
first.

Letters: n rows of a task · N rows of all.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from fastmtl.plan import Json
from fastmtl.tokens import Rows, Tokens, joined

ABOUT = "tokens.json"
ROWS_AT_ONCE = 8_192


class Span(NamedTuple):
    """Rows [start, stop) of one task, as they stand among all."""

    digest: str
    start: int
    stop: int


def write(folder: Path, tokens: Tokens) -> None:
    """Write the rows of one shard: ids int32 [tokens], types uint8 where there are any, offsets int64 [rows + 1]."""
    np.save(folder / "ids.npy", tokens.ids)
    np.save(folder / "offsets.npy", tokens.offsets)
    if tokens.types is not None:
        np.save(folder / "types.npy", tokens.types)
    (folder / ABOUT).write_text(json.dumps({"pad_id": tokens.pad_id, "typed": tokens.types is not None}))


class Stored:
    """The shards that steps left behind, end to end; they stay on disk until they are read."""

    def __init__(self, folders: Sequence[Path]) -> None:
        """Open the folders, in the order in which their rows are counted."""
        self._parts = [opened(folder) for folder in folders]
        self._starts = np.concatenate([[0], np.cumsum([len(part) for part in self._parts])])

    def __len__(self) -> int:
        """Return N."""
        return int(self._starts[-1])

    def take(self, rows: Rows) -> Tokens:
        """Return some rows, which must rise."""
        cuts = np.searchsorted(rows, self._starts)
        pieces = [
            taken(part, rows[first:last] - start)
            for part, start, first, last in zip(self._parts, self._starts, cuts[:-1], cuts[1:], strict=False)
            if last > first
        ]
        return joined(pieces or [taken(self._parts[0], rows)])

    def runs(self, spans: Sequence[Span]) -> Iterator[tuple[int, Tokens]]:
        """Yield the rows of spans, some thousands at a time, each with the place of its first among all."""
        for span in spans:
            for start in range(span.start, span.stop, ROWS_AT_ONCE):
                yield start, self.take(np.arange(start, min(start + ROWS_AT_ONCE, span.stop)))


def spans(tasks: Iterable[tuple[str, int]]) -> list[Span]:
    """Return where the rows of each task stand, of (digest, rows) in order."""
    found: list[Span] = []
    for digest, rows in tasks:
        start = found[-1].stop if found else 0
        found.append(Span(digest, start, start + rows))
    return found


def opened(folder: Path) -> Tokens:
    """Open what `write` wrote; it stays on disk until it is read."""
    about: Json = json.loads((folder / ABOUT).read_text())
    ids, offsets = (np.load(folder / f"{name}.npy", mmap_mode="r") for name in ("ids", "offsets"))
    types: npt.NDArray[np.uint8] | None = np.load(folder / "types.npy", mmap_mode="r") if about["typed"] else None
    return Tokens(ids, types, offsets, about["pad_id"])


def taken(part: Tokens, rows: Rows) -> Tokens:
    """Return some rows, in the order given."""
    lengths = part.offsets[rows + 1] - part.offsets[rows]
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    places = np.arange(offsets[-1]) + np.repeat(part.offsets[rows] - offsets[:-1], lengths)
    types = None if part.types is None else np.asarray(part.types[places])
    return Tokens(np.asarray(part.ids[places]), types, offsets, part.pad_id)
