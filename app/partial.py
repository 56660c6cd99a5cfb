"""The bytes of an upload that comes in parts: what is on disk is what was received.

data        the file so far; its length is the offset, and the kernel lets one process write to it (flock)
unchecked   where a part began whose checksum is not checked yet: what is after it does not count
"""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO


class BeingWritten(Exception):
    """Another request has the file, even if its right to it ran out."""


class PartialFile:
    """One such file."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.data = folder / "data"
        self._unchecked = folder / "unchecked"

    def create(self) -> None:
        """Make it, with no bytes; one that is there stays."""
        self._folder.mkdir(parents=True, exist_ok=True)
        self.data.touch()

    def exists(self) -> bool:
        """Whether it was made and not removed."""
        return self.data.exists()

    def remove(self) -> None:
        """Remove it with all its bytes."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def offset(self) -> int:
        """Return how many bytes count. Raises FileNotFoundError."""
        size = self.data.stat().st_size
        try:
            return min(size, int(self._unchecked.read_text()))
        except FileNotFoundError:
            return size

    @contextmanager
    def appending(self, *, checked: bool) -> Iterator[BinaryIO]:
        """Open it, locked, where the next byte goes; at the end what was written is on the disk.

        With `checked` nothing of it counts, whatever happens, until `accept`. Raises BeingWritten, FileNotFoundError.
        """
        with self.data.open("r+b", buffering=0) as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise BeingWritten from error
            start = self.offset()
            self._drop(file, start)
            if checked:
                _write_whole(self._unchecked, str(start))
            file.seek(start)
            try:
                yield file
            finally:
                if self._unchecked.exists():
                    self._drop(file, start)
                else:
                    self._sync(file, start)

    def accept(self, file: BinaryIO) -> None:
        """Count what was written since the file was opened with `checked`."""
        os.fsync(file.fileno())
        self._unchecked.unlink()

    def _drop(self, file: BinaryIO, start: int) -> None:
        """Remove what is after `start`, then the mark that says that it does not count."""
        file.truncate(start)
        self._unchecked.unlink(missing_ok=True)

    def _sync(self, file: BinaryIO, start: int) -> None:
        """Bring what was written to the disk; where that fails nobody knows how much of it is there."""
        try:
            os.fsync(file.fileno())
        except OSError:
            file.truncate(start)
            raise


def _write_whole(path: Path, text: str) -> None:
    """Write a small file, whole or not at all."""
    partial = path.with_name(f"{path.name}.part")
    partial.write_text(text)
    partial.replace(path)
