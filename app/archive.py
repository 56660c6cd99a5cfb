"""A folder of artifacts as one tar file, written while it is sent: nothing of it is held in memory or on disk."""

from __future__ import annotations

import tarfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

CHUNK_BYTES = 2**20
BLOCK = tarfile.BLOCKSIZE


class Member(NamedTuple):
    """A file of the archive."""

    name: str
    path: Path
    bytes: int


def tar(members: Sequence[Member]) -> Iterator[bytes]:
    """Yield an uncompressed tar (POSIX.1-2001) of the files."""
    for member in members:
        header = tarfile.TarInfo(member.name)
        header.size, header.mode = member.bytes, 0o644
        yield header.tobuf(tarfile.PAX_FORMAT)
        with member.path.open("rb") as file:
            while chunk := file.read(CHUNK_BYTES):
                yield chunk
        yield b"\0" * (-member.bytes % BLOCK)
    yield b"\0" * (2 * BLOCK)


def tar_bytes(members: Sequence[Member]) -> int:
    """Return the archive's size, for Content-Length."""
    total = 2 * BLOCK
    for member in members:
        header = tarfile.TarInfo(member.name)
        header.size, header.mode = member.bytes, 0o644
        total += len(header.tobuf(tarfile.PAX_FORMAT)) + member.bytes + (-member.bytes % BLOCK)
    return total
