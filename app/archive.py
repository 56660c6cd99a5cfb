"""A folder of artifacts as one tar file that is nowhere: its pieces are known, and any part of it can be read.

Nothing of it is held in memory or written to disk. The same files give the same bytes, so that a download can go on
where it was cut.
"""

from __future__ import annotations

import errno
import hashlib
import tarfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

CHUNK_BYTES = 2**20
BLOCK = tarfile.BLOCKSIZE


class Stored(NamedTuple):
    """A whole file as a piece of a download."""

    path: Path
    bytes: int


Piece = bytes | Stored


class Member(NamedTuple):
    """A file of the archive."""

    name: str
    path: Path
    bytes: int
    sha256: str


def tar(members: Sequence[Member]) -> list[Piece]:
    """Return the pieces of an uncompressed tar (POSIX.1-2001) of the files."""
    pieces: list[Piece] = []
    for member in members:
        header = tarfile.TarInfo(member.name)
        header.size, header.mode = member.bytes, 0o644
        pieces += [header.tobuf(tarfile.PAX_FORMAT), Stored(member.path, member.bytes), b"\0" * (-member.bytes % BLOCK)]
    return [*pieces, b"\0" * (2 * BLOCK)]


def tar_digest(members: Sequence[Member]) -> str:
    """Return what changes with the tar's bytes, hex; the files are not read for it."""
    digest = hashlib.sha256(b"tar 1")
    for member in members:
        digest.update(f"\0{member.name}\0{member.bytes}\0{member.sha256}".encode())
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
            yield from _read_file(piece.path, first, last)


def _length(piece: Piece) -> int:
    return len(piece) if isinstance(piece, bytes) else piece.bytes


def _read_file(path: Path, start: int, stop: int) -> Iterator[bytes]:
    with path.open("rb") as file:
        file.seek(start)
        while start < stop:
            chunk = file.read(min(CHUNK_BYTES, stop - start))
            if not chunk:
                raise OSError(errno.EIO, "a stored file is shorter than it was", str(path))
            start += len(chunk)
            yield chunk
