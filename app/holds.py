"""Who may write to an upload that comes in parts: one request at a time, and only for as long as it lives.

The row says until when it is held; that is renewed meanwhile, and whoever comes after it takes the upload over with one
conditional UPDATE. So a request that died is over a minute later, wherever it ran.
"""

from __future__ import annotations

import asyncio
import threading
import time
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import structlog
from sqlalchemy import ColumnElement, CursorResult, Update, and_, or_, update
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from app.clock import now
from app.db import Database
from app.errors import Conflict, Locked
from app.models import Json, PartialUpload
from app.schemas_uploads import UploadOptions
from app.settings import Settings

log = structlog.get_logger()

RENEWALS = 4
"""How often a hold is renewed before it would run out."""
RETRY_SECONDS = 5
"""After which a client may ask again for an upload that another request writes to."""


@dataclass
class Hold:
    """The right to write to an upload."""

    upload_id: uuid.UUID
    tenant_id: uuid.UUID
    length: int
    """Bytes that were declared."""
    options: UploadOptions
    until: datetime | None
    """Names this hold in the row, too: no two of an upload end at the same microsecond. None once it is over."""
    ends: float
    """The same on this process's own clock, seconds."""
    lock: threading.Lock = field(default_factory=threading.Lock)
    """Whoever changes the row and then `until` has it: one of them renews, the other lets go."""

    def check(self) -> None:
        """Raise Locked where the right is over."""
        if time.monotonic() >= self.ends:
            raise locked("this request stood still for too long, another may write to the upload now")


class Holds:
    """Gives that right."""

    def __init__(self, database: Database, settings: Settings, clock: Callable[[], datetime] = now) -> None:
        self._database = database
        self._length = timedelta(seconds=settings.upload_hold_seconds)
        self._expiry = timedelta(seconds=settings.upload_expiry_seconds)
        self._clock = clock

    @asynccontextmanager
    async def holding(self, tenant_id: uuid.UUID, upload_id: uuid.UUID) -> AsyncIterator[Hold]:
        """Hold an upload that is neither done nor refused. Raises Locked where another has it."""
        hold = await asyncio.to_thread(self.take, tenant_id, upload_id)
        renewing = asyncio.create_task(self._renew(hold))
        try:
            yield hold
        finally:
            renewing.cancel()
            await asyncio.to_thread(self.let_go, hold)

    def take(self, tenant_id: uuid.UUID, upload_id: uuid.UUID) -> Hold:
        """Take an upload; its time begins anew."""
        at, began = self._clock(), time.monotonic()
        until = at + self._length
        mine = and_(PartialUpload.id == upload_id, PartialUpload.tenant_id == tenant_id, is_free(at))
        with self._database.transaction() as session:
            taking = update(PartialUpload).where(mine).values(held_until=until, expires_at=at + self._expiry)
            if not _count(session, taking):
                raise locked("another request is writing to this upload")
            record = session.get_one(PartialUpload, upload_id)
        options = UploadOptions.model_validate(record.options)
        return Hold(upload_id, tenant_id, record.bytes, options, until, began + self._length.total_seconds())

    def renew(self, hold: Hold) -> None:
        """Let a hold run out later; one that went to another is over."""
        self._move(hold, self._length)

    def let_go(self, hold: Hold) -> None:
        """Let a hold run out now."""
        self._move(hold, None)

    def settle(self, session: Session, hold: Hold, dataset_id: uuid.UUID) -> None:
        """Write down which dataset it became, in the transaction that makes the dataset known.

        Raises Conflict, and so undoes it, where the upload was deleted, or another request that had it was first.
        """
        if not _count(session, _unsettled(hold).values(dataset_id=dataset_id)):
            raise Conflict("the upload was deleted, or finished by another request")

    def refuse(self, hold: Hold, problem: Json) -> None:
        """Write down why it is refused, unless another request settled it."""
        with self._database.transaction() as session:
            session.execute(_unsettled(hold).values(error=problem))

    async def _renew(self, hold: Hold) -> None:
        while True:
            await asyncio.sleep(self._length.total_seconds() / RENEWALS)
            try:
                await asyncio.to_thread(self.renew, hold)
            except SQLAlchemyError as error:  # the hold runs on for a while
                log.warning("upload.not_renewed", upload_id=str(hold.upload_id), error=str(error))

    def _move(self, hold: Hold, on: timedelta | None) -> None:
        with hold.lock:
            if hold.until is None:
                return
            began, until = time.monotonic(), None if on is None else self._clock() + on
            ours = and_(PartialUpload.id == hold.upload_id, PartialUpload.held_until == hold.until)
            with self._database.transaction() as session:
                moved = _count(session, update(PartialUpload).where(ours).values(held_until=until))
            hold.until = until if moved else None
            hold.ends = began + on.total_seconds() if moved and on else began


def is_free(at: datetime) -> ColumnElement[bool]:
    """Whether an upload can be taken."""
    return and_(
        PartialUpload.expires_at > at,
        PartialUpload.dataset_id.is_(None),
        PartialUpload.error.is_(None),
        or_(PartialUpload.held_until.is_(None), PartialUpload.held_until <= at),
    )


def locked(told: str) -> Locked:
    """Return the error that says when to ask again."""
    return Locked(told, RETRY_SECONDS)


def _unsettled(hold: Hold) -> Update:
    unsettled = and_(PartialUpload.dataset_id.is_(None), PartialUpload.error.is_(None))
    return update(PartialUpload).where(PartialUpload.id == hold.upload_id, unsettled)


def _count(session: Session, change: Update) -> int:
    """Return how many rows a change met."""
    result = session.execute(change)
    assert isinstance(result, CursorResult)
    return result.rowcount
