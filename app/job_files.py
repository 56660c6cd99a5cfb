"""Where the rows of a job lie: the files of its selection, and the datasets that their texts are in."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from app.db import Database
from app.errors import Conflict, NotFound
from app.models import Job, JobDataset, Role
from app.storage import Storage, Stored
from app.views import artifacts_of
from fastmtl.config import JobConfig
from fastmtl.datasets import Dataset, TaskKind

MAX_CHARS = 2_000
"""Of a text; the rest of a longer one is to be had from the job's files."""

Rows = npt.NDArray[np.int64]


class Member(NamedTuple):
    """A dataset of a job."""

    key: str
    dataset_id: uuid.UUID
    rows: int
    file: Stored


class JobFiles(NamedTuple):
    """The files of a job that has chosen rows, and its datasets."""

    job_id: uuid.UUID
    digest: str
    """Of the chosen rows."""
    config: JobConfig
    primary: Member
    auxiliary: dict[str, Member]
    """By key."""
    selection: Stored
    scores: Stored
    subset: Stored
    leaks: Stored
    explanations: Stored | None
    """None where there are none, or not yet."""
    map: Stored | None
    """Likewise."""


class Text(NamedTuple):
    """What a row says."""

    text_a: str
    text_b: str | None
    label: str | float


def job_files(database: Database, storage: Storage, tenant_id: uuid.UUID, job_id: uuid.UUID) -> JobFiles:
    """Return where a job's rows lie. Raises NotFound, or Conflict where nothing is chosen yet."""
    found = {each.name: each.artifact for each in artifacts_of(database, tenant_id, job_id)}
    with database.reading() as session:
        job = session.get_one(Job, job_id)
        if job.selection is None:
            raise Conflict(f"the job is {job.status} and has chosen no rows")
        members = [(each.role, _member(storage, each)) for each in job.datasets]
        digest, config = job.selection.digest, JobConfig.model_validate(job.config)
    missing = {"selection.parquet", "scores.parquet", "subset.parquet", "leaks.parquet"} - set(found)
    if missing:
        raise NotFound(f"the job has no {', '.join(sorted(missing))} any more")
    files = {name: Stored(storage, each.storage_key, each.sha256) for name, each in found.items()}
    return JobFiles(
        job_id=job_id,
        digest=digest,
        config=config,
        primary=next(member for role, member in members if role == Role.PRIMARY),
        auxiliary={member.key: member for role, member in members if role == Role.AUXILIARY},
        selection=files["selection.parquet"],
        scores=files["scores.parquet"],
        subset=files["subset.parquet"],
        leaks=files["leaks.parquet"],
        explanations=files.get("explanations.parquet"),
        map=files.get("map.parquet"),
    )


def texts_of(member: Member, rows: Sequence[int]) -> dict[int, Text]:
    """Return what rows of a dataset say, by row; a row group is held at a time."""
    if not rows:
        return {}
    wanted: Rows = np.unique(np.asarray(rows, dtype=np.int64))
    with member.file.local() as path:
        dataset = Dataset.open(path)
        text_a, text_b = dataset.texts(wanted)
        named = [_named(dataset, label) for label in dataset.labels(wanted).tolist()]
    second: Sequence[str | None] = text_b or [None] * len(text_a)
    return {
        row: Text(_short(a), b and _short(b), label)
        for row, a, b, label in zip(wanted.tolist(), text_a, second, named, strict=True)
    }


def _member(storage: Storage, listed: JobDataset) -> Member:
    dataset = listed.dataset
    file = Stored(storage, dataset.storage_key, dataset.digest)  # the digest is the file's
    return Member(listed.key, listed.dataset_id, dataset.rows, file)


def _named(dataset: Dataset, label: float) -> str | float:
    """Return a class's name, or a number with as many digits as 32 bits hold: 0.3 and not 0.30000001192."""
    return float(f"{label:.7g}") if dataset.kind == TaskKind.REGRESSION else dataset.classes[int(label)]


def _short(text: str) -> str:
    return text if len(text) <= MAX_CHARS else f"{text[:MAX_CHARS]}…"
