"""Bytes that are written behind the ones that come: all of them in order, and none after some that could not be."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import io
import os
import threading

import pytest

from app import sink
from app.sink import Sink

CHUNKS = [bytes([number]) * 10 for number in range(50)]


class Disk(io.BytesIO):
    """A file that has no room from some byte on, and waits before it writes where it is told to."""

    def __init__(self, room: int = 1_000, may_write: threading.Event | None = None) -> None:
        super().__init__()
        self._room, self._may_write = room, may_write

    def write(self, data: memoryview) -> int:
        assert self._may_write is None or self._may_write.wait(10)
        if self.tell() + len(data) > self._room:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return super().write(data)


@pytest.fixture(autouse=True)
def small_batches(monkeypatch):
    monkeypatch.setattr(sink, "BATCH_BYTES", 30)


async def write(file: Disk, *, cut: BaseException | None = None) -> str:
    async with Sink(file, "sha256", lambda _: None) as opened:
        for chunk in CHUNKS:
            await opened.write(chunk)
        if cut is not None:
            raise cut
    return opened.digest


def test_all_that_comes_is_written_and_digested_in_order():
    disk = Disk()
    assert asyncio.run(write(disk)) == hashlib.sha256(b"".join(CHUNKS)).hexdigest()
    assert disk.getvalue() == b"".join(CHUNKS)


def test_a_body_that_was_cut_counts_as_far_as_it_came():
    disk = Disk()
    with pytest.raises(ConnectionError):
        asyncio.run(write(disk, cut=ConnectionError()))
    assert disk.getvalue() == b"".join(CHUNKS)


def test_nothing_is_written_after_what_there_was_no_room_for():
    disk = Disk(room=95)
    with pytest.raises(OSError, match="No space left"):
        asyncio.run(write(disk))
    assert disk.getvalue() == b"".join(CHUNKS)[:90]


def test_the_next_batch_comes_in_while_one_is_written_and_no_more():
    async def act() -> list[int]:
        may_write = threading.Event()
        taken: list[int] = []
        async with Sink(Disk(may_write=may_write), None, lambda _: None) as opened:

            async def send() -> None:
                for chunk in CHUNKS:
                    await opened.write(chunk)
                    taken.append(opened.bytes)

            sending = asyncio.create_task(send())
            await asyncio.sleep(0.1)
            waited = taken.copy()
            may_write.set()
            await sending
        return waited

    assert asyncio.run(act())[-1] == 50  # 30 are being written; the chunk that makes 30 more waits with them


def test_a_cancelled_request_leaves_the_file_only_when_its_thread_has():
    async def act() -> bytes:
        may_write, disk = threading.Event(), Disk()
        disk._may_write = may_write
        writing = asyncio.create_task(write(disk))
        await asyncio.sleep(0.05)
        writing.cancel()
        await asyncio.sleep(0.05)
        assert not writing.done()
        may_write.set()
        with pytest.raises(asyncio.CancelledError):
            await writing
        return disk.getvalue()

    assert asyncio.run(act()) == b"".join(CHUNKS[:6])
