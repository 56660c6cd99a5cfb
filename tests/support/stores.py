"""Stores with some content."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

from buckets import Bucket

from app.storage import BRIEF, Manner, ObjectStorage, Storage


def object_store(root: Path, bucket: Bucket, cache_bytes: int = 2**30, manner: Manner = BRIEF) -> ObjectStorage:
    """Return one that works in a folder."""
    return ObjectStorage(root, bucket.place, cache_bytes, manner)


def put(storage: Storage, key: str, content: bytes = b"content") -> str:
    """Put a file there; return its digest."""
    digest = sha256(content).hexdigest()
    with storage.incoming() as folder:
        (folder / "file").write_bytes(content)
        storage.put(folder / "file", key, digest)
    return digest


def content(storage: Storage, key: str, digest: str) -> bytes:
    """Read a file as one on this machine."""
    with storage.local(key, digest) as path:
        return path.read_bytes()
