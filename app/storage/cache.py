"""Fetched files on this machine, by key: bounded in bytes, shared by all processes of one home.

Who uses a file has a hard link to it, so the kernel counts its users, and forgets those whose folder was removed. A
file with one link, ours, is used by nobody and may go: the one that was not asked for longest goes first.

    KEY               a fetched file, complete and of the right digest
    .fetching/NAME    one on its way, locked (flock) by who fetches it: others who want it wait for that
"""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, NamedTuple, Protocol

import structlog

from app.storage.face import lock_file

log = structlog.get_logger()

FETCHING = ".fetching"

Fetch = Callable[["Writer", int], None]
"""Writes a file's content of so many bytes."""
RECOUNT_SECONDS = 10.0
"""How long a process relies on the room that it last counted, less what it has put there itself."""


class Writer(Protocol):
    """Takes content."""

    def write(self, chunk: bytes) -> int:
        """Take the next of it."""


class _Kept(NamedTuple):
    asked_at: float
    bytes: int
    path: Path


class FileCache:
    """One folder of fetched files."""

    def __init__(self, root: Path, max_bytes: int) -> None:
        self._root = root
        self._max_bytes = max_bytes
        self._room = 0
        self._counted_at = -RECOUNT_SECONDS
        (root / FETCHING).mkdir(parents=True, exist_ok=True)

    def link(self, key: str, sha256: str, size: Callable[[], int], fetch: Fetch, target: Path) -> None:
        """Let a key's file stand at `target` too; it is fetched where it is not here.

        Raises OSError where what was fetched has another digest, and whatever `size` and `fetch` raise.
        """
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = self._root / FETCHING / hashlib.sha256(key.encode()).hexdigest()
        while not self._linked(key, target):
            lock = lock_file(partial, wait=True)
            if lock is None:
                continue  # another process has fetched it, or gave it up
            with lock:
                try:
                    if not self._linked(key, target):
                        self._fetch(partial, sha256, size(), fetch)
                        os.link(partial, target)  # first: so nobody takes it for unused
                        self._keep(partial, key)
                finally:
                    partial.unlink(missing_ok=True)
            return

    def add(self, source: Path, key: str) -> None:
        """Move a file that the store has now to its key, as the newest of all; one beyond the bound is removed."""
        size = source.stat().st_size
        if size > self._max_bytes:
            source.unlink()
            return
        self._make_room(size)
        self._keep(source, key)

    def folder_of(self, key: str) -> Path:
        """Return where a key's file lies while it is kept."""
        return (self._root / key).parent

    def delete_prefix(self, prefix: str) -> None:
        """Remove what begins so; who has a link still has the file."""
        shutil.rmtree(self._root / prefix, ignore_errors=True)

    def folders(self, prefix: str) -> set[str]:
        """Return the names right below a prefix."""
        root = self._root / prefix
        return {path.name for path in root.iterdir()} if root.is_dir() else set()

    def bytes(self) -> int:
        """Return how much is kept."""
        return sum(each.bytes for each in self._all())

    def _linked(self, key: str, target: Path) -> bool:
        kept = self._root / key
        try:
            os.link(kept, target)
        except FileNotFoundError:
            return False
        with suppress(FileNotFoundError):
            os.utime(kept)  # asked for now
        return True

    def _fetch(self, partial: Path, sha256: str, size: int, fetch: Fetch) -> None:
        self._make_room(size)
        with partial.open("r+b") as file:
            file.truncate(size)  # so that it counts while it comes
            writer = _Digesting(file)
            fetch(writer, size)
            file.truncate()
        if writer.digest.hexdigest() != sha256:
            raise OSError(errno.EIO, "a stored file is not what it was when it was stored: its SHA-256 is another")

    def _keep(self, source: Path, key: str) -> None:
        target = self._root / key
        os.utime(source)
        while True:
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                source.replace(target)
            except FileNotFoundError:
                if source.exists():
                    continue  # the folder was removed, as empty, in between
                raise
            return

    def _make_room(self, more_bytes: int) -> None:
        """Remove what nobody uses, the longest not asked for first, until so much more fits.

        What is in use stays, also where it alone is more than the bound: a step needs its files.
        """
        if more_bytes <= self._room and time.monotonic() - self._counted_at < RECOUNT_SECONDS:
            self._room -= more_bytes
            return
        self._remove_given_up()
        kept = sorted(self._all())
        over = sum(each.bytes for each in kept) + more_bytes - self._max_bytes
        for each in kept:
            if over <= 0:
                break
            if each.path.parent.name != FETCHING and _remove_unused(each.path):
                over -= each.bytes
                self._remove_empty(each.path.parent)
        self._room, self._counted_at = max(0, -over), time.monotonic()
        if over > 0:
            log.warning("storage.cache_over", bytes_over=over, bound=self._max_bytes)

    def _remove_given_up(self) -> None:
        """Remove what processes that died were fetching."""
        for path in (self._root / FETCHING).iterdir():
            if lock := lock_file(path):
                with lock:
                    path.unlink(missing_ok=True)

    def _remove_empty(self, folder: Path) -> None:
        with suppress(OSError):
            while folder != self._root:
                folder.rmdir()
                folder = folder.parent

    def _all(self) -> Iterator[_Kept]:
        for path in self._root.rglob("*"):
            with suppress(FileNotFoundError):
                if path.is_file():
                    found = path.stat()
                    yield _Kept(found.st_mtime, found.st_size, path)


def _remove_unused(path: Path) -> bool:
    with suppress(FileNotFoundError):
        if path.stat().st_nlink == 1:
            path.unlink()
            return True
    return False


class _Digesting:
    """Digests what is written to a file."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.digest = hashlib.sha256()

    def write(self, chunk: bytes) -> int:
        self.digest.update(chunk)
        return self._file.write(chunk)
