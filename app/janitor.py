"""Removes files that nothing refers to: what a process left that ended between the database's commit and the disk's.

A row is written after its files and removed before them, so a file without a row is either on its way in or left
behind; an hour tells them apart.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator

from sqlalchemy import select

from app.db import Database
from app.models import Dataset, Status, Step
from app.storage import Storage

ON_ITS_WAY_SECONDS = 3600.0
CHUNK = 500
"""Ids asked for at once: SQLite takes 32,766 parameters a query, older ones 999."""


def remove_orphans(database: Database, storage: Storage, older_than_seconds: float = ON_ITS_WAY_SECONDS) -> list[str]:
    """Remove files of steps and datasets that are not in the database, and checkpoints of steps that are over.

    Returns the prefixes that were removed.
    """
    running = select(Step.id).where(Step.status.not_in([Status.SUCCEEDED, Status.FAILED, Status.CANCELLED]))
    kept = (("steps", select(Step.id)), ("checkpoints", running), ("datasets", select(Dataset.id)))
    removed = []
    for prefix, query in kept:
        column = query.selected_columns[0]
        for ids in _chunks(storage.folders(prefix)):
            with database.reading() as session:
                known = set(session.scalars(query.where(column.in_(ids))))
            orphans = (f"{prefix}/{each}" for each in set(ids) - known)
            removed += [each for each in orphans if storage.age_seconds(each) > older_than_seconds]
    storage.delete_prefix(*removed)
    return sorted(removed)


def _chunks(names: Iterable[str]) -> Iterator[list[uuid.UUID]]:
    """Yield the ids that folders are named by; a folder with another name is not ours to judge."""
    ids = []
    for name in names:
        try:
            ids.append(uuid.UUID(name))
        except ValueError:
            continue
        if len(ids) == CHUNK:
            yield ids
            ids = []
    if ids:
        yield ids
