"""Datasets: receive a file, make it canonical in a process with a memory limit, describe, list."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from pydantic import ValidationError
from sqlalchemy import exists, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from app.cursors import Page, newest_first
from app.db import Database
from app.digests import Declared, check_sha256
from app.errors import NotFound, QuotaExceeded
from app.hub import Hub
from app.models import Dataset, Json
from app.parser import Parser
from app.quotas import admit_upload, foresee_upload
from app.receive import Received, boundary_of, patiently, receive_form, receive_raw, too_large
from app.schemas_datasets import DatasetOut, HubDataset
from app.schemas_uploads import UploadOptions
from app.settings import Settings
from app.storage import Storage, Stored
from app.threads import in_thread
from fastmtl.artifacts import sha256
from fastmtl.datasets import FileFormat
from fastmtl.errors import InvalidDataset, Problem

FORMATS = {
    "text/csv": FileFormat.CSV,
    "text/tab-separated-values": FileFormat.TSV,
    "application/x-ndjson": FileFormat.JSONL,
    "application/jsonl": FileFormat.JSONL,
    "application/vnd.apache.parquet": FileFormat.PARQUET,
}
SUFFIXES = {"tsv": FileFormat.TSV, "jsonl": FileFormat.JSONL, "parquet": FileFormat.PARQUET}
"""What a name says for sure; a file called .csv may as well hold tabs, and is looked into."""
MULTIPART = "multipart/form-data"
PREFIX = "datasets/"


class Origin(NamedTuple):
    """The upload in parts that a dataset is made of."""

    upload_id: uuid.UUID
    settle: Callable[[Session, uuid.UUID], None]
    """Writes down which dataset it became, in the transaction that makes that known; raises where it is not to be."""


class Datasets:
    """Keeps datasets."""

    def __init__(self, database: Database, storage: Storage, settings: Settings) -> None:
        self._database = database
        self._storage = storage
        self._settings = settings
        self._parser = Parser(settings)
        self._hub = Hub(settings)

    async def receive(
        self,
        tenant_id: uuid.UUID,
        stream: AsyncIterator[bytes],
        headers: Mapping[str, str],
        content_type: str,
        options: UploadOptions,
        dataset_id: uuid.UUID,
    ) -> DatasetOut:
        """Receive a body and keep it as the dataset of that id, unless that is there. On any error nothing is kept.

        Raises InvalidDataset with rows, BodyTooLarge, BrokenUpload, Stalled, DigestMismatch, QuotaExceeded, OSError.
        """
        length = int(headers.get("Content-Length", 0))
        is_form = content_type.startswith(MULTIPART)
        self.check_length(length, of_file=not is_form)
        await asyncio.to_thread(self.foresee, tenant_id, 1 if is_form else max(1, length), dataset_id)
        declared = Declared(headers)
        body = declared.watch(patiently(stream, self._settings.upload_idle_seconds))
        async with in_thread(self._storage.incoming()) as folder:
            received = await self._receive(body, content_type, folder / "upload")
            if known := await asyncio.to_thread(self._find, tenant_id, dataset_id):
                return known
            said = merged(options, received, content_type)
            return await self._adopt(tenant_id, dataset_id, received, said, folder, None)

    async def fetch(self, tenant_id: uuid.UUID, asked: HubDataset, dataset_id: uuid.UUID) -> DatasetOut:
        """Fetch a split of the hub and keep it as the dataset of that id, unless that is there.

        Raises HubOff, InvalidDataset, NotOnHub, HubUnavailable, QuotaExceeded, OSError; nothing is kept then.
        """
        self._hub.check(asked.source)
        await asyncio.to_thread(self.foresee, tenant_id, 1, dataset_id)
        if known := await asyncio.to_thread(self._find, tenant_id, dataset_id):
            return known
        columns = asked.model_dump(include={"text_a", "text_b", "label"})
        self.check_length(0)
        most = min(self._settings.max_upload_bytes, self._storage.room() // 2)  # as it comes, and as one file
        async with in_thread(self._storage.incoming()) as folder:
            place = folder / "hub"
            place.mkdir()
            fetched = await self._hub.fetch(asked.source, place, columns, most)
            digest = await asyncio.to_thread(sha256, fetched.path)
            received = Received(fetched.path, fetched.path.stat().st_size, digest)
            said = {"name": asked.name or fetched.title, "format": FileFormat.PARQUET, "source": fetched.source}
            options = UploadOptions(**asked.model_dump(exclude={"name", "source"}), **said)
            return await self._adopt(tenant_id, dataset_id, received, options, folder, None)

    async def adopt(
        self, tenant_id: uuid.UUID, received: Received, options: UploadOptions, origin: Origin
    ) -> DatasetOut:
        """Keep a file that is on disk as a dataset; it stays where it is. Raises as `receive`."""
        async with in_thread(self._storage.incoming()) as folder:
            return await self._adopt(tenant_id, uuid.uuid4(), received, options, folder, origin)

    def check_length(self, length: int, *, of_file: bool = True) -> None:
        """Refuse what will not fit before it is sent. Raises BodyTooLarge, or OSError where the disk is full."""
        if of_file and length > self._settings.max_upload_bytes:
            raise too_large(self._settings.max_upload_bytes)
        self._storage.check_room(length)

    def knows(self, prefix: str) -> bool:
        """Whether what is stored below a prefix belongs to a dataset."""
        with self._database.reading() as session:
            known = exists().where(Dataset.storage_key.startswith(f"{prefix}/", autoescape=True))
            return bool(session.scalar(select(known)))

    def describe(self, tenant_id: uuid.UUID, dataset_id: uuid.UUID) -> DatasetOut:
        """Return a dataset's description. Raises NotFound."""
        found = self._find(tenant_id, dataset_id)
        if found is None:
            raise NotFound(f"there is no dataset {dataset_id}")
        return found

    def file_of(self, tenant_id: uuid.UUID, dataset_id: uuid.UUID) -> Stored:
        """Return where a dataset's canonical file is. Raises NotFound."""
        with self._database.reading() as session:
            dataset = session.get(Dataset, dataset_id)
            if dataset is None or dataset.tenant_id != tenant_id:
                raise NotFound(f"there is no dataset {dataset_id}")
            return Stored(self._storage, dataset.storage_key, dataset.digest)

    def page(self, tenant_id: uuid.UUID, limit: int, cursor: str | None) -> Page[DatasetOut]:
        """Return some datasets, newest first."""
        with self._database.reading() as session:
            found = newest_first(session, select(Dataset).where(Dataset.tenant_id == tenant_id), Dataset, limit, cursor)
            return Page([_out(dataset) for dataset in found.items], found.next_cursor)

    def _find(self, tenant_id: uuid.UUID, dataset_id: uuid.UUID) -> DatasetOut | None:
        with self._database.reading() as session:
            dataset = session.get(Dataset, dataset_id)
            return None if dataset is None or dataset.tenant_id != tenant_id else _out(dataset)

    async def _receive(self, body: AsyncIterator[bytes], content_type: str, path: Path) -> Received:
        limit, check_room = self._settings.max_upload_bytes, self._storage.check_room
        if content_type.startswith(MULTIPART):
            return await receive_form(body, path, limit, check_room, boundary_of(content_type))
        return await receive_raw(body, path, limit, check_room)

    def foresee(self, tenant_id: uuid.UUID, size: int, dataset_id: uuid.UUID | None = None) -> None:
        """Refuse what will not fit before it comes; a second attempt at what is there adds nothing.

        Raises QuotaExceeded.
        """
        with self._database.reading() as session:
            if dataset_id is None or session.get(Dataset, dataset_id) is None:
                foresee_upload(session, self._settings, tenant_id, size)

    async def _adopt(
        self,
        tenant_id: uuid.UUID,
        dataset_id: uuid.UUID,
        received: Received,
        options: UploadOptions,
        folder: Path,
        origin: Origin | None,
    ) -> DatasetOut:
        """Check the file's digest, make it canonical in the folder, and keep that."""
        check_sha256(options.sha256, received.sha256)
        canonical = folder / "data.parquet"
        summary = await self._parser.read(received.path, canonical, _reading(options))
        dataset = _dataset(tenant_id, dataset_id, summary, received, options)
        return await asyncio.to_thread(self._keep, dataset, canonical, origin)

    def _keep(self, dataset: Dataset, canonical: Path, origin: Origin | None) -> DatasetOut:
        """Put the canonical file into storage, then the row that makes it known.

        The file has a folder of its own: a second attempt at the same dataset does not touch the first one's.
        """
        prefix = dataset.storage_key.rpartition("/")[0]
        self._storage.announce(canonical.parent, prefix)
        try:
            self._storage.put(canonical, dataset.storage_key, dataset.digest)
            with self._database.transaction() as session:
                size, upload_id = dataset.source_bytes, origin.upload_id if origin else None
                admit_upload(session, self._settings, dataset.tenant_id, size, dataset.rows, upload_id)
                session.add(dataset)
                session.flush()
                if origin is not None:
                    origin.settle(session, dataset.id)
        except BaseException as error:
            self._storage.delete_prefix(prefix)
            again = isinstance(error, IntegrityError | QuotaExceeded)
            known = self._find(dataset.tenant_id, dataset.id) if again else None
            if known is None:
                raise
            return known
        return _out(dataset)


def _dataset(
    tenant_id: uuid.UUID, dataset_id: uuid.UUID, summary: Json, received: Received, options: UploadOptions
) -> Dataset:
    return Dataset(
        id=dataset_id,
        tenant_id=tenant_id,
        name=options.name or name_of(None),
        created_at=datetime.now(UTC),
        kind=summary["kind"],
        rows=summary["rows"],
        digest=summary["digest"],
        source_bytes=received.bytes,
        source_sha256=received.sha256,
        storage_key=f"{PREFIX}{dataset_id}/{uuid.uuid4().hex}/data.parquet",
        summary={**summary, "source": options.source} if options.source else summary,
    )


def options_from(given: Mapping[str, str]) -> UploadOptions:
    """Return the options that a form or a header gives as texts. Raises InvalidDataset that names the field."""
    known = UploadOptions.model_fields
    if strange := [name for name in given if name not in known]:
        raise InvalidDataset(
            [Problem(f"unknown field {name!r}; known: file, {', '.join(known)}", name) for name in strange]
        )
    try:
        return UploadOptions.model_validate({name: value for name, value in given.items() if value})
    except ValidationError as error:
        raise InvalidDataset(
            [Problem(each["msg"], ".".join(map(str, each["loc"]))) for each in error.errors()]
        ) from error


def merged(options: UploadOptions, received: Received, content_type: str) -> UploadOptions:
    """Return the query's options, under them the form's fields, under those what the file's name and type hint at.

    Raises InvalidDataset for an unknown field.
    """
    said = options_from(received.fields).model_copy(update=options.model_dump(exclude_none=True))
    return hinted(said, content_type, received.filename)


def hinted(options: UploadOptions, content_type: str, filename: str | None) -> UploadOptions:
    """Return options whose name and format, where they were not said, are those that the file is sent under."""
    found = options.format or format_of(content_type, filename)
    return options.model_copy(update={"name": options.name or name_of(filename), "format": found})


def format_of(content_type: str, filename: str | None) -> FileFormat | None:
    """Return the format that a media type or a file's name hints at."""
    suffix = (filename or "").rpartition(".")[2].lower()
    return FORMATS.get(content_type.partition(";")[0].strip()) or SUFFIXES.get(suffix)


def name_of(filename: str | None) -> str:
    """Return a dataset's name from its file's, without path, suffix and control characters."""
    name = (filename or "").replace("\\", "/").rpartition("/")[2]
    stem = name.rpartition(".")[0] or name
    return "".join(char for char in stem if char.isprintable())[:200] or "dataset"


def _reading(options: UploadOptions) -> Json:
    """Return what `fastmtl.convert` is told."""
    return {
        "file_format": options.format,
        "columns": {"text_a": options.text_a, "text_b": options.text_b, "label": options.label},
        "kind": options.kind,
    }


def _out(dataset: Dataset) -> DatasetOut:
    summary = dataset.summary
    return DatasetOut(
        id=dataset.id,
        name=dataset.name,
        created_at=dataset.created_at,
        bytes=dataset.source_bytes,
        sha256=dataset.source_sha256,
        **{name: summary[name] for name in summary},
    )
