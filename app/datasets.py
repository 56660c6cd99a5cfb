"""Datasets: receive a file, make it canonical in a process with a memory limit, describe, list."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import structlog
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from app.cursors import Page, newest_first
from app.db import Database
from app.errors import NotFound, QuotaExceeded
from app.models import Dataset
from app.quotas import admit_upload, foresee_upload
from app.receive import Received, boundary_of, receive_form, receive_raw, too_large
from app.schemas_datasets import DatasetOut, UploadOptions
from app.settings import Settings
from app.storage import Storage
from fastmtl.datasets import FileFormat
from fastmtl.errors import InvalidDataset, Problem

log = structlog.get_logger()

FORMATS = {
    "text/csv": FileFormat.CSV,
    "text/tab-separated-values": FileFormat.TSV,
    "application/x-ndjson": FileFormat.JSONL,
    "application/jsonl": FileFormat.JSONL,
    "application/vnd.apache.parquet": FileFormat.PARQUET,
}
SUFFIXES = {"csv": FileFormat.CSV, "tsv": FileFormat.TSV, "jsonl": FileFormat.JSONL, "parquet": FileFormat.PARQUET}
MULTIPART = "multipart/form-data"


class Datasets:
    """Keeps datasets."""

    def __init__(self, database: Database, storage: Storage, settings: Settings) -> None:
        self._database = database
        self._storage = storage
        self._settings = settings

    async def receive(
        self,
        tenant_id: uuid.UUID,
        stream: AsyncIterator[bytes],
        content_type: str,
        length: int | None,
        options: UploadOptions,
        dataset_id: uuid.UUID,
    ) -> DatasetOut:
        """Receive a body and keep it as the dataset of that id, unless that is there. On any error nothing is kept.

        Raises InvalidDataset with rows, BodyTooLarge, BrokenUpload, QuotaExceeded.
        """
        limit = self._settings.max_upload_bytes
        is_form = content_type.startswith(MULTIPART)
        if length is not None and length > limit and not is_form:
            raise too_large(limit)
        await asyncio.to_thread(self._foresee, tenant_id, dataset_id, 1 if is_form or length is None else length)
        with self._storage.incoming() as folder:
            if is_form:
                received = await receive_form(stream, folder / "upload", limit, boundary_of(content_type))
                options = merged(options, received)
            else:
                received = await receive_raw(stream, folder / "upload", limit)
            if known := await asyncio.to_thread(self._find, tenant_id, dataset_id):
                return known
            canonical = folder / "data.parquet"
            summary = await self._convert(received.path, canonical, _reading(options, content_type, received))
            return await asyncio.to_thread(self._keep, tenant_id, dataset_id, canonical, summary, received, options)

    def describe(self, tenant_id: uuid.UUID, dataset_id: uuid.UUID) -> DatasetOut:
        """Return a dataset's description. Raises NotFound."""
        found = self._find(tenant_id, dataset_id)
        if found is None:
            raise NotFound(f"there is no dataset {dataset_id}")
        return found

    def page(self, tenant_id: uuid.UUID, limit: int, cursor: str | None) -> Page[DatasetOut]:
        """Return some datasets, newest first."""
        with self._database.reading() as session:
            found = newest_first(session, select(Dataset).where(Dataset.tenant_id == tenant_id), Dataset, limit, cursor)
            return Page([_out(dataset) for dataset in found.items], found.next_cursor)

    def _find(self, tenant_id: uuid.UUID, dataset_id: uuid.UUID) -> DatasetOut | None:
        with self._database.reading() as session:
            dataset = session.get(Dataset, dataset_id)
            return None if dataset is None or dataset.tenant_id != tenant_id else _out(dataset)

    async def _convert(self, source: Path, target: Path, reading: dict[str, Any]) -> dict[str, Any]:
        """Read the file in a process of its own; return its summary."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "fastmtl.convert",
            str(source),
            str(target),
            "--options-json",
            json.dumps(reading),
            "--memory-bytes",
            str(self._settings.parser_memory_bytes),
            stdout=asyncio.subprocess.PIPE,
        )
        try:
            output, _ = await asyncio.wait_for(process.communicate(), self._settings.parser_timeout_seconds)
        except TimeoutError:
            raise InvalidDataset(
                [Problem(f"reading the file took more than {self._settings.parser_timeout_seconds:g} s: split it")]
            ) from None
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        if process.returncode != 0 or not output:
            log.warning("parser.died", returncode=process.returncode)
            raise InvalidDataset(
                [
                    Problem(
                        "reading the file needed more memory than it may have, or broke the reader: split or rewrite it"
                    )
                ]
            )
        answer: dict[str, Any] = json.loads(output)
        if "errno" in answer:
            raise OSError(answer["errno"], os.strerror(answer["errno"]))
        if "problems" in answer:
            raise InvalidDataset([Problem(**each) for each in answer["problems"]], answer["total"])
        summary: dict[str, Any] = answer["summary"]
        return summary

    def _foresee(self, tenant_id: uuid.UUID, dataset_id: uuid.UUID, size: int) -> None:
        """Refuse what will not fit before it comes; a second attempt at what is there adds nothing."""
        with self._database.reading() as session:
            if session.get(Dataset, dataset_id) is None:
                foresee_upload(session, self._settings, tenant_id, size)

    def _keep(
        self,
        tenant_id: uuid.UUID,
        dataset_id: uuid.UUID,
        canonical: Path,
        summary: dict[str, Any],
        received: Received,
        options: UploadOptions,
    ) -> DatasetOut:
        """Put the canonical file into storage, then the row that makes it known.

        The file has a folder of its own: a second attempt at the same dataset does not touch the first one's.
        """
        prefix = f"datasets/{dataset_id}/{uuid.uuid4().hex}"
        dataset = Dataset(
            id=dataset_id,
            tenant_id=tenant_id,
            name=options.name or _name_of(received.filename),
            created_at=datetime.now(UTC),
            kind=summary["kind"],
            rows=summary["rows"],
            digest=summary["digest"],
            source_bytes=received.bytes,
            source_sha256=received.sha256,
            storage_key=f"{prefix}/data.parquet",
            summary=summary,
        )
        try:
            self._storage.put(canonical, dataset.storage_key)
            with self._database.transaction() as session:
                admit_upload(session, self._settings, tenant_id, received.bytes, dataset.rows)
                session.add(dataset)
        except BaseException as error:
            self._storage.delete_prefix(prefix)
            known = self._find(tenant_id, dataset_id) if isinstance(error, IntegrityError | QuotaExceeded) else None
            if known is None:
                raise
            return known
        return _out(dataset)


def merged(options: UploadOptions, received: Received) -> UploadOptions:
    """Return the query's options with the form's fields under them. Raises InvalidDataset for an unknown field."""
    known = UploadOptions.model_fields
    if strange := [name for name in received.fields if name not in known]:
        raise InvalidDataset(
            [Problem(f"unknown field {name!r} in the form; known: file, {', '.join(known)}", name) for name in strange]
        )
    given = {name: value for name, value in received.fields.items() if value}
    return UploadOptions.model_validate({**given, **options.model_dump(exclude_none=True)})


def _reading(options: UploadOptions, content_type: str, received: Received) -> dict[str, Any]:
    """Return what `fastmtl.convert` is told; a format that was said wins over one that a header or suffix hints at."""
    suffix = (received.filename or "").rpartition(".")[2].lower()
    hinted = FORMATS.get(content_type.partition(";")[0].strip()) or SUFFIXES.get(suffix)
    return {
        "file_format": options.format or hinted,
        "columns": {"text_a": options.text_a, "text_b": options.text_b, "label": options.label},
        "kind": options.kind,
    }


def _name_of(filename: str | None) -> str:
    """Return a dataset's name from its file's, without path, suffix and control characters."""
    stem = (filename or "").replace("\\", "/").rpartition("/")[2].rpartition(".")[0]
    return "".join(char for char in stem if char.isprintable())[:200] or "dataset"


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
