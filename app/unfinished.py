"""The uploads in parts that a tenant has not finished: what somebody can go on with who has lost sight of them."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import suppress

from sqlalchemy import select

from app.clock import now
from app.cursors import Page, newest_first
from app.db import Database
from app.errors import NotFound
from app.models import PartialUpload
from app.uploads import Upload, Uploads


def unfinished(
    database: Database, uploads: Uploads, tenant_id: uuid.UUID, limit: int, cursor: str | None
) -> Page[Upload]:
    """Return some of the uploads that are neither a dataset nor refused, newest first."""
    query = select(PartialUpload).where(
        PartialUpload.tenant_id == tenant_id,
        PartialUpload.dataset_id.is_(None),
        PartialUpload.error.is_(None),
        PartialUpload.expires_at > now(),
    )
    with database.reading() as session:
        page = newest_first(session, query, PartialUpload, limit, cursor)
    return Page(list(_shown(uploads, tenant_id, page.items)), page.next_cursor)


def _shown(uploads: Uploads, tenant_id: uuid.UUID, records: list[PartialUpload]) -> Iterator[Upload]:
    for record in records:
        with suppress(NotFound):  # it was given up, or finished and deleted, a moment ago
            yield uploads.show(tenant_id, record.id)
