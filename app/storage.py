"""Streams in and out of a folder; every file is complete under its key, or not there.

    incoming/NAME/       what is not known to be good yet, and beside it
    incoming/NAME.lock   a file that the process which made the folder keeps locked (flock) for as long as it lives
    uploads/ID/          an upload that comes in parts (app.partial)
    datasets/, steps/    what the database knows of

Whether the process of a folder is gone is asked of the kernel: it drops the lock with the process, however that ends.
A pid would mean nothing to another container on the same volume, where every API is process 1, and a time of the last
write would make a slow upload look like a dead one.

Keys are made by the service: relative paths with forward slashes. Another store (S3) can stand behind the same face.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import shutil
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from app.failpoints import reach
from app.jobs import StoredFile
from fastmtl.artifacts import list_files

DESTINATION = ".destination"
"""File of an incoming folder: the prefix of the keys that its files are about to get."""
LOCK = ".lock"


class Storage:
    """A local folder. `spare_bytes` of its disk are left free by what comes in, for the database and the workers."""

    def __init__(self, root: Path, spare_bytes: int = 0) -> None:
        self._root = root.absolute()
        self._spare = spare_bytes
        self._incoming = self._root / "incoming"
        self._incoming.mkdir(parents=True, exist_ok=True)

    @contextmanager
    def incoming(self) -> Iterator[Path]:
        """Give a folder for what is not known to be good yet; it is removed at the end."""
        lock = None
        while lock is None:
            folder = self._incoming / uuid.uuid4().hex
            lock = lock_file(_lock_of(folder))
        with lock:
            try:
                folder.mkdir()
                yield folder
            finally:
                _remove_incoming(folder)

    def announce(self, folder: Path, prefix: str) -> None:
        """Write down, before they are put there, where an incoming folder's files go: a sweep can take them back."""
        partial = folder / f"{DESTINATION}.part"
        with partial.open("w") as file:
            file.write(prefix)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(folder / DESTINATION)  # half of a prefix would name all that begins so

    def remove_left(self, is_known: Callable[[str], bool]) -> int:
        """Remove what is incoming of processes that are gone, and what they had put but made known to nobody.

        `is_known` tells of a prefix whether the database knows it. Returns how many folders there were.
        """
        names = {path.name.removesuffix(LOCK) for path in self._incoming.iterdir()}
        return sum(self._remove_if_left(self._incoming / name, is_known) for name in names)

    def _remove_if_left(self, folder: Path, is_known: Callable[[str], bool]) -> bool:
        lock = lock_file(_lock_of(folder))
        if lock is None:
            return False
        with lock:
            destination = folder / DESTINATION
            prefix = destination.read_text() if destination.exists() else ""
            if prefix and not is_known(prefix):
                self.delete_prefix(prefix)
            _remove_incoming(folder)
        return True

    def put(self, source: Path, key: str) -> None:
        """Move a file to its key, on disk before it can be seen."""
        target = self.path(key)
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = target.with_name(f".{target.name}.part")
        shutil.move(source, partial)
        with partial.open("rb") as file:
            os.fsync(file.fileno())
        partial.replace(target)

    def path(self, key: str) -> Path:
        """Return where a key's file is to be read; a key that leads out of the folder is our mistake."""
        parts = PurePosixPath(key).parts
        assert parts and not key.startswith("/") and ".." not in parts, f"{key!r} is no key"
        return self._root / key

    def exists(self, key: str) -> bool:
        """Whether the key's file is there."""
        return self.path(key).is_file()

    def delete_prefix(self, prefix: str) -> None:
        """Remove every file whose key begins with `prefix/`."""
        shutil.rmtree(self.path(prefix), ignore_errors=True)

    def old_folders(self, prefix: str, seconds: float) -> Iterator[Path]:
        """Yield the folders right below a prefix that nothing was added to for so long."""
        root = self.path(prefix)
        for folder in root.iterdir() if root.is_dir() else ():
            with contextlib.suppress(FileNotFoundError):  # removed meanwhile
                if folder.is_dir() and time.time() - folder.stat().st_mtime > seconds:
                    yield folder

    def free_bytes(self) -> int:
        """Return how much still fits."""
        return shutil.disk_usage(self._root).free

    def check_room(self, more_bytes: int) -> None:
        """Raise OSError (ENOSPC) where so many more bytes would take of what is to be left free."""
        if more_bytes > self.room():
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def room(self) -> int:
        """Return how many bytes may come in before they take of what is to be left free; negative where they do."""
        return self.free_bytes() - self._spare

    def store_folder(self, folder: Path, prefix: str) -> list[StoredFile]:
        """Move all files below a folder to keys below `prefix`; return what they are."""
        stored = []
        for file in list_files(folder):
            key = f"{prefix}/{file.name}"
            self.put(folder / file.name, key)
            reach("storage.stored-one")
            stored.append(StoredFile(file.name, key, file.bytes, file.sha256))
        return stored


def lock_file(path: Path) -> BinaryIO | None:
    """Open a file, made where missing, and lock it until it is closed; None where another process or thread has it."""
    file = path.open("ab")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if path.exists() and os.path.samestat(os.fstat(file.fileno()), path.stat()):
            return file
    except (BlockingIOError, FileNotFoundError):
        pass
    file.close()  # taken, or removed by who had it between our two calls
    return None


def _lock_of(folder: Path) -> Path:
    return folder.with_name(folder.name + LOCK)


def _remove_incoming(folder: Path) -> None:
    """Remove a folder and, after it, its lock, which the caller has."""
    shutil.rmtree(folder, ignore_errors=True)
    _lock_of(folder).unlink(missing_ok=True)
