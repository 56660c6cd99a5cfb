"""Uploads that come in parts: created, written to by one request at a time, made a dataset with the last byte.

    incomplete ── the last byte ──▶ reading ──▶ done (a dataset) | refused (a problem)

Who writes holds the upload (app.holds). One that only stood still, and so lost it, finds that out before it writes the
next chunk; should it write before it looks, the kernel's lock on the file keeps the other away (app.partial).
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

import structlog
from sqlalchemy import and_, delete, select
from sqlalchemy.exc import IntegrityError, SQLAlchemyError
from starlette.requests import ClientDisconnect

from app.clock import now
from app.datasets import Datasets, Origin
from app.db import Database
from app.errors import ApiError, BodyTooLarge, Conflict, DigestMismatch, Gone, KeptProblem, NotFound, Stalled
from app.holds import Hold, Holds, locked
from app.models import Json, PartialUpload
from app.partial import BeingWritten, PartialFile
from app.problems import problem_of
from app.quotas import admit_upload
from app.receive import Received, patiently
from app.schemas_uploads import UploadOptions, UploadState
from app.settings import Settings
from app.sink import Sink
from app.storage import Storage
from app.threads import in_thread
from app.tus import Checksum
from fastmtl.artifacts import sha256
from fastmtl.errors import FastMTLError, InvalidDataset, Problem

log = structlog.get_logger()

FOLDER = "uploads"


@dataclass(frozen=True)
class Upload:
    """An upload as it stands."""

    id: uuid.UUID
    length: int
    offset: int
    metadata: str | None
    """Upload-Metadata as it came."""
    created_at: datetime
    expires_at: datetime
    dataset_id: uuid.UUID | None
    error: Json | None

    @property
    def state(self) -> UploadState:
        """How it stands."""
        if self.dataset_id is not None:
            return UploadState.DONE
        if self.error is not None:
            return UploadState.REFUSED
        return UploadState.READING if self.offset == self.length else UploadState.INCOMPLETE


@dataclass(frozen=True)
class Part:
    """Some of an upload's bytes."""

    offset: int
    stream: AsyncIterator[bytes]
    checksum: Checksum | None = None


class Interrupted(NamedTuple):
    """An upload whose bytes are all there, and whose process ended before it was a dataset."""

    tenant_id: uuid.UUID
    upload_id: uuid.UUID


class Uploads:
    """Keeps uploads until they are datasets."""

    def __init__(
        self,
        database: Database,
        storage: Storage,
        datasets: Datasets,
        settings: Settings,
        clock: Callable[[], datetime] = now,
    ) -> None:
        self._database = database
        self._storage = storage
        self._datasets = datasets
        self._settings = settings
        self._clock = clock
        self._expiry = timedelta(seconds=settings.upload_expiry_seconds)
        self._holds = Holds(database, settings, clock)
        self._finishing: set[asyncio.Task[None]] = set()

    async def create(
        self,
        tenant_id: uuid.UUID,
        length: int,
        options: UploadOptions,
        metadata: str | None,
        first: Part | None,
        upload_id: uuid.UUID,
    ) -> Upload:
        """Create an upload of so many bytes, unless that id is there, and write its first part.

        Raises BodyTooLarge, InvalidDataset for an empty file, QuotaExceeded, OSError for a full disk, and as `append`.
        Where the first part is cut nothing stays: the client was not told where to go on.
        """
        upload = await asyncio.to_thread(self._create, tenant_id, length, options, metadata, upload_id)
        if first is None or upload.offset > first.offset:
            return upload
        try:
            return await self.append(tenant_id, upload.id, first)
        except (ClientDisconnect, Stalled):
            await asyncio.to_thread(self.delete, tenant_id, upload.id)
            raise

    def _create(
        self, tenant_id: uuid.UUID, length: int, options: UploadOptions, metadata: str | None, upload_id: uuid.UUID
    ) -> Upload:
        if length == 0:
            raise InvalidDataset([Problem("the file is empty: a header and rows, or lines of JSON, are needed")])
        with self._database.reading() as session:
            known = session.get(PartialUpload, upload_id)
        if known is None:
            self._datasets.check_length(length)
            self._add(tenant_id, length, options, metadata, upload_id)
        if known is None or not _is_settled(known):
            self._file(upload_id).create()  # after the row: a folder without one is nobody's
        return self.show(tenant_id, upload_id)

    def _add(
        self, tenant_id: uuid.UUID, length: int, options: UploadOptions, metadata: str | None, upload_id: uuid.UUID
    ) -> None:
        at = self._clock()
        record = PartialUpload(
            id=upload_id,
            tenant_id=tenant_id,
            bytes=length,
            options=options.model_dump(mode="json", exclude_none=True),
            metadata_header=metadata,
            created_at=at,
            expires_at=at + self._expiry,
        )
        with suppress(IntegrityError), self._database.transaction() as session:  # it was made at the same moment
            admit_upload(session, self._settings, tenant_id, length)
            session.add(record)

    def show(self, tenant_id: uuid.UUID, upload_id: uuid.UUID) -> Upload:
        """Return an upload as it stands. Raises NotFound, also once it expired or its dataset was deleted."""
        with self._database.reading() as session:
            record = session.get(PartialUpload, upload_id)
        if record is None or record.tenant_id != tenant_id or record.expires_at <= self._clock():
            raise _no_upload(upload_id)
        try:
            offset = self._offset(record)
        except FileNotFoundError as error:
            raise _no_upload(upload_id) from error
        return Upload(
            id=record.id,
            length=record.bytes,
            offset=offset,
            metadata=record.metadata_header,
            created_at=record.created_at,
            expires_at=record.expires_at,
            dataset_id=record.dataset_id,
            error=record.error,
        )

    def resumable(self, tenant_id: uuid.UUID, upload_id: uuid.UUID) -> Upload:
        """Return an upload that can go on, or is done. Raises NotFound, Gone where it was refused."""
        upload = self.show(tenant_id, upload_id)
        if upload.error is not None:
            raise Gone("this upload was refused and its bytes removed; GET tells why")
        return upload

    async def append(self, tenant_id: uuid.UUID, upload_id: uuid.UUID, part: Part) -> Upload:
        """Write a part; with the last one the upload becomes a dataset, or is refused for what is in it.

        What was written before a cut counts, but for a part with a checksum. An empty part after the last byte makes
        the dataset where that was interrupted. Raises NotFound, Conflict for another offset, Locked, BodyTooLarge,
        ChecksumMismatch, Stalled, OSError for a full disk, InvalidDataset, DigestMismatch; KeptProblem if one of the
        last two was told before.
        """
        upload = await asyncio.to_thread(self.show, tenant_id, upload_id)
        if upload.error is not None:
            raise KeptProblem(upload.error)
        if upload.dataset_id is not None:
            _check_offset(part.offset, upload.length)
            return upload
        async with self._holds.holding(tenant_id, upload_id) as hold:
            try:
                await self._write(hold, part)
            except (ClientDisconnect, Stalled):
                if await asyncio.to_thread(self._file(upload_id).offset) < hold.length:
                    raise
            if await asyncio.to_thread(self._file(upload_id).offset) == hold.length:
                await self._finish(hold)
        return await asyncio.to_thread(self.show, tenant_id, upload_id)

    def delete(self, tenant_id: uuid.UUID, upload_id: uuid.UUID) -> None:
        """Remove an upload and its bytes; a dataset that was made of it stays. Raises NotFound."""
        with self._database.transaction() as session:
            record = session.get(PartialUpload, upload_id)
            if record is None or record.tenant_id != tenant_id:
                raise _no_upload(upload_id)
            session.delete(record)
        self._file(upload_id).remove()

    @asynccontextmanager
    async def tended(self) -> AsyncIterator[None]:
        """Sweep in the background: remove what is left over, finish what was received but interrupted after that."""
        stopping = asyncio.Event()
        tending = asyncio.create_task(self._tend(stopping))
        try:
            yield
        finally:
            stopping.set()
            await tending
            for task in self._finishing:
                task.cancel()
            await asyncio.gather(*self._finishing, return_exceptions=True)

    async def _tend(self, stopping: asyncio.Event) -> None:
        while not stopping.is_set():
            try:
                for interrupted in await asyncio.to_thread(self.sweep):
                    finishing = asyncio.create_task(self._go_on(interrupted))
                    self._finishing.add(finishing)
                    finishing.add_done_callback(self._finishing.discard)
            except (SQLAlchemyError, OSError) as error:
                log.warning("uploads.sweep_failed", error=str(error))
            with suppress(TimeoutError):
                await asyncio.wait_for(stopping.wait(), self._settings.upload_sweep_seconds)

    def sweep(self) -> list[Interrupted]:
        """Remove what is left over of uploads of both kinds; return those that can be finished."""
        self._storage.remove_left(self._datasets.knows)
        root = self._storage.path(FOLDER)
        folders = [path.name for path in root.iterdir()] if root.exists() else []  # before the rows: a folder has one
        at = self._clock()
        is_held = and_(PartialUpload.held_until.is_not(None), PartialUpload.held_until > at)
        with self._database.transaction() as session:
            session.execute(delete(PartialUpload).where(PartialUpload.expires_at <= at, ~is_held))
        with self._database.reading() as session:
            records = {str(each.id): each for each in session.scalars(select(PartialUpload))}
        for name in folders:
            if name not in records or _is_settled(records[name]):
                PartialFile(root / name).remove()
        return [Interrupted(each.tenant_id, each.id) for each in records.values() if self._is_interrupted(each, at)]

    async def _go_on(self, interrupted: Interrupted) -> None:
        """Make a dataset of what was all received, or write down why not."""
        tenant_id, upload_id = interrupted
        log.info("upload.goes_on", upload_id=str(upload_id))
        try:
            async with self._holds.holding(tenant_id, upload_id) as hold:
                await self._finish(hold)
        except (ApiError, FastMTLError, OSError, SQLAlchemyError) as error:
            log.warning("upload.not_finished", upload_id=str(upload_id), error=str(error))

    async def _write(self, hold: Hold, part: Part) -> None:
        """Append a part to the file."""
        file, checksum = self._file(hold.upload_id), part.checksum
        left = hold.length - part.offset
        try:
            async with in_thread(file.appending(checked=checksum is not None)) as opened:
                _check_offset(part.offset, opened.tell())
                async with Sink(opened, checksum and checksum.algorithm, self._storage.check_room) as sink:
                    async for chunk in patiently(part.stream, self._settings.upload_idle_seconds):
                        hold.check()
                        if sink.bytes + len(chunk) > left:
                            raise BodyTooLarge(
                                f"the upload was declared to have {hold.length:,} bytes, and this is more"
                            )
                        await sink.write(chunk)
                if checksum is not None:
                    checksum.check(sink.digest)
                    await asyncio.to_thread(file.accept, opened)
        except BeingWritten as error:
            raise locked("another request is still writing to this upload") from error
        except FileNotFoundError as error:
            raise _no_upload(hold.upload_id) from error

    async def _finish(self, hold: Hold) -> None:
        """Make a dataset of a whole file; where its content is refused its bytes are removed and the reason kept."""
        file = self._file(hold.upload_id)
        received = Received(file.data, hold.length, await asyncio.to_thread(sha256, file.data))
        try:
            await self._datasets.adopt(
                hold.tenant_id,
                received,
                hold.options,
                Origin(hold.upload_id, lambda session, dataset_id: self._holds.settle(session, hold, dataset_id)),
            )
        except (InvalidDataset, DigestMismatch) as error:
            await asyncio.to_thread(self._holds.refuse, hold, problem_of(error))
            await asyncio.to_thread(file.remove)
            raise
        await asyncio.to_thread(file.remove)

    def _file(self, upload_id: uuid.UUID) -> PartialFile:
        return PartialFile(self._storage.path(f"{FOLDER}/{upload_id}"))

    def _offset(self, record: PartialUpload) -> int:
        """Return how much of an upload is there. Raises FileNotFoundError where it lost its file."""
        if record.dataset_id is not None:
            return record.bytes
        return 0 if record.error is not None else self._file(record.id).offset()

    def _is_interrupted(self, record: PartialUpload, at: datetime) -> bool:
        """Whether a request that held it died; one that gave up let go of it, and its client may try again."""
        if _is_settled(record) or record.held_until is None or record.held_until > at:
            return False
        file = self._file(record.id)
        return file.exists() and file.offset() == record.bytes


def _is_settled(record: PartialUpload) -> bool:
    return record.dataset_id is not None or record.error is not None


def _check_offset(said: int, there: int) -> None:
    if said != there:
        raise Conflict(f"the part begins at byte {said:,}, and {there:,} bytes are there: go on from those")


def _no_upload(upload_id: uuid.UUID) -> NotFound:
    return NotFound(f"there is no upload {upload_id}: it never was, it expired, or what became of it was deleted")
