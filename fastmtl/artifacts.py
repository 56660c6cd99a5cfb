"""What a step leaves behind on a local disk: a folder under its fingerprint, complete or absent.

A step writes into a folder with a temporary name; when it is done the manifest is written, last, and the folder is
renamed. A folder without a manifest was never finished. The service stores the same files under keys of its own, with
the manifest's facts in its database.

Torch-free.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from fastmtl.errors import DamagedArtifact
from fastmtl.plan import Json

MANIFEST = "manifest.json"
CHUNK_BYTES = 2**20


class File(NamedTuple):
    """A file of a step."""

    name: str
    """Path below the step's folder, with forward slashes."""
    bytes: int
    sha256: str


def list_files(folder: Path) -> list[File]:
    """Return all files below a folder with their digests, by name; the manifest is not one of them."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != MANIFEST)
    return [File(path.relative_to(folder).as_posix(), path.stat().st_size, sha256(path)) for path in paths]


def sha256(path: Path) -> str:
    """Return a file's SHA-256, hex."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


class Cache:
    """Finished steps by fingerprint, in one folder; several processes may use it at once."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self.tokens = root / "tokens"
        """Where tokens of datasets are kept, a folder each (fastmtl/kept_tokens.py)."""
        root.mkdir(parents=True, exist_ok=True)

    def find(self, fingerprint: str) -> tuple[Path, Json] | None:
        """Return the folder of a finished step and its result, or None.

        Raises DamagedArtifact where a file has gone or has another size since.
        """
        folder = self._root / fingerprint
        if not (folder / MANIFEST).exists():
            return None
        manifest = json.loads((folder / MANIFEST).read_text())
        for file in (File(*each) for each in manifest["files"]):
            path = folder / file.name
            if not path.is_file() or path.stat().st_size != file.bytes:
                raise DamagedArtifact(f"{path} is missing or was changed; remove {folder} to compute it again")
        return folder, manifest["result"]

    @contextmanager
    def writing(self) -> Iterator[Path]:
        """Give an empty folder to write into; whatever `keep` did not take is removed."""
        folder = Path(tempfile.mkdtemp(prefix=".writing-", dir=self._root))
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def keep(self, folder: Path, fingerprint: str, result: Json) -> Path:
        """Make a written folder known under its fingerprint; if another process was first, theirs is returned."""
        manifest = {"result": result, "files": list_files(folder)}
        (folder / MANIFEST).write_text(json.dumps(manifest))
        final = self._root / fingerprint
        try:
            os.rename(folder, final)
        except OSError:  # it is there already, and a finished step is never replaced
            if not (final / MANIFEST).exists():
                raise
        return final

    def remove(self, fingerprint: str) -> None:
        """Forget a finished step, at once or not at all; nothing happens where there is none."""
        with self.writing() as folder, suppress(FileNotFoundError):
            os.rename(self._root / fingerprint, folder / fingerprint)
