"""What every store offers, and the folder on this machine that each of them works with.

    incoming/NAME/       what is not known to be good yet, and beside it
    incoming/NAME.lock   a file that the process which made the folder keeps locked (flock) for as long as it lives
    uploads/ID/          an upload that comes in parts (app.partial)
    checkpoints/         what running steps keep (worker.checkpoints)

Whether the process of a folder is gone is asked of the kernel: it drops the lock with the process, however that ends.
A pid would mean nothing to another container on the same volume, where every API is process 1, and a time of the last
write would make a slow upload look like a dead one.

Keys are made by the service: relative paths with forward slashes. What stands under one is complete and never changes.
"""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import uuid
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path, PurePosixPath
from typing import BinaryIO, NamedTuple

from app.failpoints import reach
from app.jobs import StoredFile
from fastmtl.artifacts import list_files

DESTINATION = ".destination"
"""File of an incoming folder: the prefix of the keys that its files are about to get."""
LOCK = ".lock"
CHUNK_BYTES = 2**20


class StorageUnavailable(OSError):
    """The store does not do what it is asked, now; another attempt may end otherwise."""

    def __init__(self, told: str, where: str, hint: str) -> None:
        """`told` may be shown to anybody; `where` names the store, without credentials; `hint` is for its operator."""
        super().__init__(errno.EIO, told, where)
        self.told, self.hint = told, hint


class Storage(ABC):
    """A store. `spare_bytes` of this machine's disk are left free by what comes in, for database and workers."""

    tidy_seconds = 60.0
    """How often a janitor may look through all of it."""

    def __init__(self, root: Path, spare_bytes: int = 0) -> None:
        self._root = root.absolute()
        self._spare = spare_bytes
        self._incoming = self._root / "incoming"
        self._incoming.mkdir(parents=True, exist_ok=True)

    @abstractmethod
    def put(self, source: Path, key: str, sha256: str) -> None:
        """Move a file to its key, complete and safe before it can be seen."""

    @abstractmethod
    def read(self, key: str, start: int, stop: int) -> Iterator[bytes]:
        """Yield the bytes from `start` up to `stop`. Raises OSError (EIO) where the file ends before."""

    @abstractmethod
    def size(self, key: str) -> int | None:
        """Return the bytes of the key's file; None where it is not there."""

    @abstractmethod
    def local(self, key: str, sha256: str) -> AbstractContextManager[Path]:
        """Give the key's file as one on this machine, to be opened within; what was opened stays readable after.

        Raises FileNotFoundError, and OSError where what was fetched has another digest.
        """

    @abstractmethod
    def place(self, key: str, sha256: str, target: Path) -> None:
        """Let the key's file stand at a path in the home too, for as long as the path is there. Raises as `local`."""

    @abstractmethod
    def folders(self, prefix: str) -> set[str]:
        """Return the names right below a prefix under which there is something, here or in the store."""

    @abstractmethod
    def age_seconds(self, prefix: str) -> float:
        """Return for how long nothing was added below a prefix."""

    @abstractmethod
    def delete_prefix(self, *prefixes: str) -> None:
        """Remove every file whose key begins with a `prefix/`; what cannot be removed now is left to the janitor."""

    @abstractmethod
    def share(self, prefix: str, name: str) -> None:
        """Let other machines have what this one wrote at `path(prefix)/name`, instead of what it shared there before.

        Raises OSError.
        """

    @abstractmethod
    def shared(self, prefix: str) -> list[str]:
        """Return the names of the files below a prefix that were shared, by any machine."""

    @abstractmethod
    def take(self, prefix: str, name: str) -> None:
        """Let what another machine shared stand at `path(prefix)/name`. Raises OSError."""

    @abstractmethod
    def try_out(self) -> None:
        """Write, read and remove something. Raises StorageUnavailable."""

    def signed(self, key: str) -> str | None:
        """Return an address that the file can be had at without a key for a while; None where there is none."""
        return None

    @contextmanager
    def incoming(self) -> Iterator[Path]:
        """Give a folder on this machine for what is not known to be good yet; it is removed at the end."""
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

    def path(self, key: str) -> Path:
        """Return where this machine keeps what is written bit by bit; a key that leads out of it is our mistake."""
        parts = PurePosixPath(key).parts
        assert parts and not key.startswith("/") and ".." not in parts, f"{key!r} is no key"
        return self._root / key

    def beside(self, key: str) -> Path:
        """Return a folder of this machine for what is made of a file and may go at any time; it may not be there."""
        return self.path(key).parent

    def exists(self, key: str) -> bool:
        """Whether the key's file is there."""
        return self.size(key) is not None

    def free_bytes(self) -> int:
        """Return how much still fits on this machine's disk."""
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
            self.put(folder / file.name, key, file.sha256)
            reach("storage.stored-one")
            stored.append(StoredFile(file.name, key, file.bytes, file.sha256))
        return stored


class Stored(NamedTuple):
    """A file in a store, and what it must be."""

    storage: Storage
    key: str
    sha256: str

    def local(self) -> AbstractContextManager[Path]:
        """Give it as `Storage.local` does."""
        return self.storage.local(self.key, self.sha256)


def lock_file(path: Path, *, wait: bool = False) -> BinaryIO | None:
    """Open a file, made where missing, and lock it until it is closed; None where another process or thread has it.

    With `wait` that is waited for, and None means that the file was removed or renamed meanwhile.
    """
    file = path.open("ab")
    try:
        fcntl.flock(file, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
        if path.exists() and os.path.samestat(os.fstat(file.fileno()), path.stat()):
            return file
    except (BlockingIOError, FileNotFoundError):
        pass
    file.close()  # taken, or removed by who had it between our two calls
    return None


def cut_short(name: str) -> OSError:
    """Return the error of a file that has fewer bytes than it had."""
    return OSError(errno.EIO, "a stored file is shorter than it was", name)


def _lock_of(folder: Path) -> Path:
    return folder.with_name(folder.name + LOCK)


def _remove_incoming(folder: Path) -> None:
    """Remove a folder and, after it, its lock, which the caller has."""
    shutil.rmtree(folder, ignore_errors=True)
    _lock_of(folder).unlink(missing_ok=True)
