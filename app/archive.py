"""A folder of artifacts as one tar file that is nowhere: its pieces are known, and any part of it can be read.

Nothing of it is held in memory or written to disk. The same files give the same bytes, so that a download can go on
where it was cut.
"""

from __future__ import annotations

import hashlib
import tarfile
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from app.storage import Storage

BLOCK = tarfile.BLOCKSIZE


class Whole(NamedTuple):
    """A whole file of a store as a piece of a download."""

    storage: Storage
    key: str
    bytes: int


Piece = bytes | Whole


class Member(NamedTuple):
    """A file of the archive."""

    name: str
    file: Whole
    sha256: str


def tar(members: Sequence[Member]) -> list[Piece]:
    """Return the pieces of an uncompressed tar (POSIX.1-2001) of the files."""
    pieces: list[Piece] = []
    for member in members:
        header = tarfile.TarInfo(member.name)
        header.size, header.mode = member.file.bytes, 0o644
        pieces += [header.tobuf(tarfile.PAX_FORMAT), member.file, b"\0" * (-member.file.bytes % BLOCK)]
    return [*pieces, b"\0" * (2 * BLOCK)]


def tar_digest(members: Sequence[Member]) -> str:
    """Return what changes with the tar's bytes, hex; the files are not read for it."""
    digest = hashlib.sha256(b"tar 1")
    for member in members:
        digest.update(f"\0{member.name}\0{member.file.bytes}\0{member.sha256}".encode())
    return digest.hexdigest()


def length(pieces: Sequence[Piece]) -> int:
    """Return the bytes of all pieces together."""
    return sum(map(_length, pieces))


def read(pieces: Sequence[Piece], start: int, stop: int) -> Iterator[bytes]:
    """Yield the bytes from `start` up to `stop`, counted over all pieces. Raises OSError where a file was cut short."""
    for piece in pieces:
        size = _length(piece)
        first, last = max(start, 0), min(stop, size)
        start, stop = start - size, stop - size
        if first >= last:
            continue
        if isinstance(piece, bytes):
            yield piece[first:last]
        else:
            yield from piece.storage.read(piece.key, first, last)


def _length(piece: Piece) -> int:
    return len(piece) if isinstance(piece, bytes) else piece.bytes
