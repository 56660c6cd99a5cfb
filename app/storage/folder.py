"""A store that is a folder, of this machine or of a volume that all machines share: nothing is copied.

Beside what every store has there (app.storage.face), datasets/ and steps/ hold what the database knows of.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

from app.storage.face import CHUNK_BYTES, Storage, cut_short


class FolderStorage(Storage):
    """Keeps files under their keys in the folder itself."""

    def put(self, source: Path, key: str, sha256: str) -> None:
        """Move it, on disk before it can be seen."""
        target = self.path(key)
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = target.with_name(f".{target.name}.part")
        shutil.move(source, partial)
        with partial.open("rb") as file:
            os.fsync(file.fileno())
        partial.replace(target)

    def read(self, key: str, start: int, stop: int) -> Iterator[bytes]:
        """Yield it from the disk."""
        with self.path(key).open("rb") as file:
            file.seek(start)
            while start < stop:
                chunk = file.read(min(CHUNK_BYTES, stop - start))
                if not chunk:
                    raise cut_short(key)
                start += len(chunk)
                yield chunk

    def size(self, key: str) -> int | None:
        """Ask the disk."""
        path = self.path(key)
        return path.stat().st_size if path.is_file() else None

    def local(self, key: str, sha256: str) -> AbstractContextManager[Path]:
        """Give the file itself."""
        return nullcontext(self.path(key))

    def place(self, key: str, sha256: str, target: Path) -> None:
        """Link to it."""
        target.parent.mkdir(parents=True, exist_ok=True)
        target.symlink_to(self.path(key))

    def folders(self, prefix: str) -> set[str]:
        """Return the folders right below."""
        root = self.path(prefix)
        return {path.name for path in root.iterdir() if path.is_dir()} if root.is_dir() else set()

    def age_seconds(self, prefix: str) -> float:
        """Return how old the last change of the folder is; one that was removed meanwhile is as young as can be."""
        try:
            return time.time() - self.path(prefix).stat().st_mtime
        except FileNotFoundError:
            return 0.0

    def delete_prefix(self, *prefixes: str) -> None:
        """Remove the folders."""
        for prefix in prefixes:
            shutil.rmtree(self.path(prefix), ignore_errors=True)

    def share(self, prefix: str, name: str) -> None:
        """Do nothing: whoever has the folder has it."""

    def shared(self, prefix: str) -> list[str]:
        """Return the names of the files below the folder."""
        root = self.path(prefix)
        return sorted(path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file())

    def take(self, prefix: str, name: str) -> None:
        """Do nothing: it stands there."""

    def try_out(self) -> None:
        """Do nothing: `incoming` is on the same disk, and is tried."""
