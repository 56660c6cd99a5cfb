"""Where the bytes of an upload go: a file that is written and digested a batch at a time, in a thread.

While a batch is written the next one comes in; no more than these two are in memory.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

BATCH_BYTES = 4 * 2**20
"""Bytes written and digested at once: measured faster than smaller ones, and the loop stays free."""


class Sink:
    """Counts and digests what is written; at the end of its context what waits is written too.

    That holds after an error as well: a body which was cut counts as far as it came. Nothing is written after a batch
    that could not be.
    """

    def __init__(self, file: BinaryIO, algorithm: str | None, check_room: Callable[[int], None]) -> None:
        """`file` is unbuffered and open where writing begins; `algorithm` is hashlib's."""
        self._file = file
        self._digest = hashlib.new(algorithm) if algorithm else None
        self._check_room = check_room
        self._pending: list[bytes] = []
        self._waiting = 0
        self._writing: asyncio.Future[None] | None = None
        self.bytes = 0

    @staticmethod
    @asynccontextmanager
    async def new(path: Path, check_room: Callable[[int], None]) -> AsyncIterator[Sink]:
        """Give one over a new file, which digests by SHA-256."""
        with path.open("wb", buffering=0) as file:
            async with Sink(file, "sha256", check_room) as sink:
                yield sink

    @property
    def digest(self) -> str:
        """The digest of all that was written, hex; empty without an algorithm."""
        return self._digest.hexdigest() if self._digest else ""

    async def write(self, chunk: bytes) -> None:
        """Take a chunk; raises OSError where there was no room for an earlier one."""
        self.bytes += len(chunk)
        self._pending.append(chunk)
        self._waiting += len(chunk)
        if self._waiting >= BATCH_BYTES:
            await self._written()
            self._begin()

    async def __aenter__(self) -> Sink:
        """Return the sink."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Write what waits. Raises OSError where there is no room."""
        await self._written()  # also where the request was cancelled: the thread has the file
        self._begin()
        await self._written()

    def _begin(self) -> None:
        """Have what waits written."""
        batch, self._pending, self._waiting = self._pending, [], 0
        if batch:
            self._writing = asyncio.ensure_future(asyncio.to_thread(self._write, batch))

    async def _written(self) -> None:
        """Wait for the batch that is being written; raises what ended that early, as often as it is asked."""
        if self._writing is not None:
            await asyncio.shield(self._writing)

    def _write(self, batch: list[bytes]) -> None:
        self._check_room(sum(map(len, batch)))
        for chunk in batch:
            write_all(self._file, chunk)
            if self._digest is not None:
                self._digest.update(chunk)


def write_all(file: BinaryIO, chunk: bytes) -> None:
    """Write a chunk to an unbuffered file: one call may write a part of it, where the disk is nearly full."""
    rest = memoryview(chunk)
    while rest:
        rest = rest[file.write(rest) :]
