"""Streams in and out of a folder; every file is complete under its key, or not there.

Keys are made by the service: relative paths with forward slashes. Another store (S3) can stand behind the same face.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from app.failpoints import reach
from app.jobs import StoredFile
from fastmtl.artifacts import list_files

LEFT_SECONDS = 24 * 3600


class Storage:
    """A local folder."""

    def __init__(self, root: Path) -> None:
        self._root = root.absolute()
        self._incoming = self._root / "incoming"
        self._incoming.mkdir(parents=True, exist_ok=True)

    @contextmanager
    def incoming(self) -> Iterator[Path]:
        """Give a folder for what is not known to be good yet; it is removed at the end."""
        folder = Path(tempfile.mkdtemp(dir=self._incoming))
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def remove_left(self) -> None:
        """Remove what uploads left that were cut off by the end of their process, a day after."""
        for folder in self._incoming.iterdir():
            if time.time() - folder.stat().st_mtime > LEFT_SECONDS:
                shutil.rmtree(folder, ignore_errors=True)

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

    def store_folder(self, folder: Path, prefix: str) -> list[StoredFile]:
        """Move all files below a folder to keys below `prefix`; return what they are."""
        stored = []
        for file in list_files(folder):
            key = f"{prefix}/{file.name}"
            self.put(folder / file.name, key)
            reach("storage.stored-one")
            stored.append(StoredFile(file.name, key, file.bytes, file.sha256))
        return stored
