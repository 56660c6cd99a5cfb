"""A file that means harm, or was made in haste: how it is made, and what its refusal must say."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

MIB = 2**20
Chunks = Callable[[], Iterable[bytes]]


@dataclass(frozen=True)
class Hostile:
    """One such file; it is made when it is sent, and never stored."""

    told: str
    """Stands in the refusal's detail."""
    chunks: Chunks
    options: dict[str, str] = field(default_factory=dict)
    """Of the query."""
    headers: dict[str, str] = field(default_factory=dict)
    status: int = 422
    slow: bool = False
    """It takes more than a second or two to make or to send."""
    short: bool = False
    """It is one of those that are tried every time."""


def whole(content: bytes | str) -> Chunks:
    """Make a file that is small enough to be written down."""
    return lambda: [content if isinstance(content, bytes) else content.encode()]


def repeated(piece: bytes, size: int, start: bytes = b"", end: bytes = b"") -> Chunks:
    """Make a file of `size` bytes of the same, in pieces of a MiB."""

    def chunks() -> Iterator[bytes]:
        block = piece * max(1, MIB // len(piece))
        yield start
        for _ in range(max(1, size // len(block))):
            yield block
        yield end

    return chunks


def noise(size: int, start: bytes = b"") -> Chunks:
    """Make a file of bytes that mean nothing, always the same."""
    return lambda: [start + random.Random(0).randbytes(size)]
