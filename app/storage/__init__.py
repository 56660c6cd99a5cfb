"""Where uploads and results are kept: a folder of this machine, or an S3-compatible store, behind one face.

    Storage   folder.FolderStorage     nothing is copied: what is stored is a file of the folder
              objects.ObjectStorage    a bucket (bucket.Bucket), and a bounded folder of fetched files (cache.FileCache)

A file under a key is complete and never changes. A row is written after its files and removed before them: what a crash
leaves is a file that no row names, and app.janitor removes it.
"""

from __future__ import annotations

import structlog

from app.settings import Settings
from app.storage.bucket import BRIEF, Bucket, Manner
from app.storage.face import Storage, StorageUnavailable, Stored
from app.storage.folder import FolderStorage
from app.storage.objects import ObjectStorage
from app.store_address import Place

__all__ = [
    "BRIEF",
    "FolderStorage",
    "Manner",
    "ObjectStorage",
    "Storage",
    "StorageUnavailable",
    "Stored",
    "is_usable",
    "open_storage",
    "try_store",
]

log = structlog.get_logger()


REQUEST_SECONDS = 20.0
WORKERS_PATIENCE = 15
"""How many times as long a worker tries: a step's files are worth some minutes."""


def open_storage(settings: Settings, *, of_worker: bool = False, spare_bytes: int = 0) -> Storage:
    """Return the store that the settings name; nothing is asked of it yet."""
    place = settings.store
    if place is None:
        return FolderStorage(settings.storage, spare_bytes)
    manner = Manner(settings.storage_patience_seconds * (WORKERS_PATIENCE if of_worker else 1), REQUEST_SECONDS)
    seconds = settings.storage_presigned_seconds
    signing = None if seconds is None else (settings.storage_public_endpoint, seconds)
    return ObjectStorage(settings.storage, place, settings.storage_cache_bytes, manner, spare_bytes, signing)


def try_store(place: Place) -> None:
    """Write, read and remove a few bytes, each once. Raises StorageUnavailable."""
    Bucket(place, *BRIEF).try_out()


def is_usable(settings: Settings) -> bool:
    """Try the object store, where the settings name one, before anything starts; what is wrong is logged."""
    try:
        if settings.store is not None:
            try_store(settings.store)
    except StorageUnavailable as error:
        log.error("storage.unusable", error=error.told, storage=error.filename, hint=error.hint)
        return False
    return True
