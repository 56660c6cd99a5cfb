"""What the API shows of jobs and their files: the queries behind the answers."""

from __future__ import annotations

import hashlib
import re
import uuid
from collections.abc import Sequence
from datetime import datetime
from functools import cache
from typing import Any, NamedTuple
from urllib.parse import quote

from sqlalchemy import Select, bindparam, select
from sqlalchemy.orm import Session, joinedload

from app.clock import now
from app.cursors import Page, newest_first
from app.db import Database
from app.errors import Conflict, NotFound
from app.filenames import media_type
from app.models import Artifact, Dataset, Job, JobDataset, JobStep, Json, Status, Step
from app.schemas import ArtifactOut, JobDatasetOut, JobLinks, JobOut, SelectionSummary, StepOut
from app.schemas_estimate import JobEstimate
from fastmtl.config import JobConfig
from fastmtl.pipeline import SELECTION

SMALL_COST = 0.001
"""Share of a job's cost that a step counts which passes no rows through the encoder."""
DATASET_FIELDS = ("id", "key", "role", "name", "rows")
COSTS = "costs.json"
MAIN_STEPS = ("select", "explain", "map", f"finetune ({SELECTION})", "report")
"""Steps whose files stand at the top of a job's artifacts."""
PLAIN_FOLDER = re.compile(r"[\w ,.@-]{1,60}")
"""Names of folders that every file system and shell takes as they are; 60 letters are at most 240 bytes."""
UNPLAIN = re.compile(r"[^\w ,.@-]+")


class ShownStep(NamedTuple):
    """What is shown of a step of a job: all but what is large, which no request waits for."""

    job_id: uuid.UUID
    name: str
    reused: bool
    id: uuid.UUID
    kind: str
    status: str
    attempts: int
    progress: Json | None
    error: Json | None
    started_at: datetime | None
    finished_at: datetime | None
    cost: float
    """Rows passed through the encoder."""


class StoredArtifact(NamedTuple):
    """A file of a job, and where it is stored."""

    name: str
    artifact: Artifact


def show_job(database: Database, tenant_id: uuid.UUID, job_id: uuid.UUID) -> JobOut:
    """Return a job as it stands. Raises NotFound."""
    with database.reading() as session:
        return _jobs_out(session, [_job(session, tenant_id, job_id)])[0]


def page_of_jobs(
    database: Database, tenant_id: uuid.UUID, limit: int, cursor: str | None, status: Status | None
) -> Page[JobOut]:
    """Return some jobs, newest first."""
    query = select(Job).where(Job.tenant_id == tenant_id).options(joinedload(Job.selection))
    if status is not None:
        query = query.where(Job.status == status)
    with database.reading() as session:
        page = newest_first(session, query, Job, limit, cursor)
        return Page(_jobs_out(session, page.items), page.next_cursor)


def artifacts_of(database: Database, tenant_id: uuid.UUID, job_id: uuid.UUID) -> list[StoredArtifact]:
    """Return a job's files by name. Raises NotFound for the job."""
    with database.reading() as session:
        job = session.get(Job, job_id)
        if job is None or job.tenant_id != tenant_id:
            raise _no_job(job_id)
        rows = session.execute(
            select(JobStep.name, Artifact)
            .join(Artifact, Artifact.step_id == JobStep.step_id)
            .where(JobStep.job_id == job_id)
        ).all()
    named = [(public_name(step, artifact.name), artifact) for step, artifact in rows]
    return sorted(StoredArtifact(name, artifact) for name, artifact in named if name is not None)


def public_name(step: str, name: str) -> str | None:
    """Return what a step's file is called among a job's artifacts; None for files that are of no use outside.

    The selection's files stand at the top, those of the other arms and repetitions under arms/ARM/, TD-MTDNN under
    discriminator/. No two steps of a job share a name.
    """
    kind, _, arm = step.partition(" (")
    if name == COSTS and kind != "select":
        return None
    if step in MAIN_STEPS:
        return name
    if step == "discriminator":
        return f"discriminator/{name}"
    if kind in ("select", "finetune") and arm:
        return f"arms/{_folder(arm)}/{name}"
    return None


def _folder(arm: str) -> str:
    """Return the folder of an arm, from what its steps are called after the bracket: `random, 2)` has `random, 2`.

    An arm may be called by a dataset's key, which holds any character: what a path could not is replaced, and a digest
    after `~`, which no plain name has, tells apart those that then look alike.
    """
    plain = arm.removesuffix(")")
    if PLAIN_FOLDER.fullmatch(plain):
        return plain
    return f"{UNPLAIN.sub('_', plain)[:60]}~{hashlib.sha256(arm.encode()).hexdigest()[:12]}"


def show_artifact(job_id: uuid.UUID, stored: StoredArtifact) -> ArtifactOut:
    """Return what the API says of a file."""
    return ArtifactOut(
        name=stored.name,
        bytes=stored.artifact.bytes,
        sha256=stored.artifact.sha256,
        media_type=media_type(stored.name),
        href=f"/v1/jobs/{job_id}/artifacts/{quote(stored.name)}",
    )


class Chosen(NamedTuple):
    """A job's selection, and where its rows are stored."""

    job_id: uuid.UUID
    digest: str
    budget: int
    storage_key: str
    sha256: str
    """Of the file."""
    ids: dict[str, uuid.UUID]
    """Dataset ids by key."""
    explained: bool = False
    """Whether the file says why each row was chosen."""


def chosen_rows(database: Database, tenant_id: uuid.UUID, job_id: uuid.UUID, *, explain: bool = False) -> Chosen:
    """Return where a job's selection is, or with `explain` the one that says why.

    Raises NotFound, or Conflict where nothing is chosen yet, or not yet explained.
    """
    with database.reading() as session:
        job = _job(session, tenant_id, job_id)
        if job.selection is None:
            raise Conflict(f"the job is {job.status} and has chosen no rows" + ("" if _over(job) else " yet"))
        if explain:
            artifact = _explanations(session, job)
        else:
            artifact = session.get_one(Artifact, (job.selection.step_id, "selection.parquet"))
        keys = select(JobDataset.key, JobDataset.dataset_id).where(JobDataset.job_id == job_id)
        ids = {key: dataset_id for key, dataset_id in session.execute(keys)}
        stored = (artifact.storage_key, artifact.sha256)
        return Chosen(job.id, job.selection.digest, job.config["budget"], *stored, ids, explain)


def _explanations(session: Session, job: Job) -> Artifact:
    """Return the file that says why each row was chosen. Raises Conflict where there is none."""
    explaining = select(Step.id, Step.status).join(JobStep, JobStep.step_id == Step.id)
    step = session.execute(explaining.where(JobStep.job_id == job.id, Step.kind == "explain")).first()
    if step is None:
        raise Conflict("the job was asked for no explanations: its config says explain 0")
    found = session.get(Artifact, (step.id, "explanations.parquet"))
    if found is None:
        raise Conflict(
            f"the step that explains the chosen rows is {step.status}" + ("" if _over(job) else ", not done")
        )
    return found


def _job(session: Session, tenant_id: uuid.UUID, job_id: uuid.UUID) -> Job:
    job = session.get(Job, job_id, options=[joinedload(Job.selection)])
    if job is None or job.tenant_id != tenant_id:
        raise _no_job(job_id)
    return job


def _no_job(job_id: uuid.UUID) -> NotFound:
    return NotFound(f"there is no job {job_id}")


def _over(job: Job) -> bool:
    return Status(job.status).final


def _jobs_out(session: Session, jobs: Sequence[Job]) -> list[JobOut]:
    """Return what is shown of jobs, in a fixed number of queries."""
    steps: dict[uuid.UUID, list[ShownStep]] = {job.id: [] for job in jobs}
    for step in session.execute(_steps_of(), {"job_ids": list(steps)}):
        steps[step.job_id].append(ShownStep(*step))
    datasets: dict[uuid.UUID, list[JobDatasetOut]] = {job.id: [] for job in jobs}
    for job_id, *shown in session.execute(_datasets_of(), {"job_ids": list(steps)}):
        datasets[job_id].append(JobDatasetOut(**dict(zip(DATASET_FIELDS, shown, strict=True))))
    return [_job_out(job, datasets[job.id], steps[job.id]) for job in jobs]


@cache
def _steps_of() -> Select[*tuple[Any, ...]]:
    """Query for the ShownSteps of `job_ids`, of each in order."""
    return (
        select(
            *(JobStep.job_id, JobStep.name, JobStep.reused),
            *(Step.id, Step.kind, Step.status, Step.attempts, Step.progress, Step.error),
            *(Step.started_at, Step.finished_at, Step.spec["cost"].as_float()),
        )
        .join(Step, Step.id == JobStep.step_id)
        .where(JobStep.job_id.in_(bindparam("job_ids", expanding=True)))
        .order_by(JobStep.job_id, JobStep.position)
    )


@cache
def _datasets_of() -> Select[*tuple[Any, ...]]:
    """Query for each of `job_ids` with the DATASET_FIELDS of its datasets, in order."""
    return (
        select(JobDataset.job_id, Dataset.id, JobDataset.key, JobDataset.role, Dataset.name, Dataset.rows)
        .join(Dataset, Dataset.id == JobDataset.dataset_id)
        .where(JobDataset.job_id.in_(bindparam("job_ids", expanding=True)))
        .order_by(JobDataset.job_id, JobDataset.position)
    )


def _job_out(job: Job, datasets: list[JobDatasetOut], steps: list[ShownStep]) -> JobOut:
    done, total = _work(steps)
    chosen = job.selection
    return JobOut(
        id=job.id,
        name=job.name,
        status=Status(job.status),
        config=JobConfig.model_validate(job.config),
        priority=job.priority,
        created_at=job.created_at,
        started_at=job.started_at,
        finished_at=job.finished_at,
        deadline_at=job.deadline_at,
        datasets=datasets,
        steps=[_step_out(step) for step in steps],
        progress=1.0 if job.status == Status.SUCCEEDED else min(1.0, done / total),
        seconds_left=_seconds_left(job, steps, total - done),
        estimate=_estimate(job, steps),
        selection=chosen and SelectionSummary(budget=job.config["budget"], digest=chosen.digest, counts=chosen.counts),
        error=job.error,
        links=JobLinks(
            self=f"/v1/jobs/{job.id}",
            selection=f"/v1/jobs/{job.id}/selection",
            artifacts=f"/v1/jobs/{job.id}/artifacts",
            events=f"/v1/jobs/{job.id}/events",
        ),
    )


def _step_out(step: ShownStep) -> StepOut:
    return StepOut(
        id=step.id,
        name=step.name,
        kind=step.kind,
        status=Status(step.status),
        reused=step.reused,
        attempts=step.attempts,
        progress=step.progress,
        seconds=_seconds(step),
        error=step.error,
    )


def _seconds(step: ShownStep) -> float | None:
    """Return how long the last attempt took, or runs already."""
    if step.started_at is None:
        return None
    end = step.finished_at if step.finished_at and step.finished_at >= step.started_at else now()
    return round(max(0.0, (end - step.started_at).total_seconds()), 3)


def _work(steps: Sequence[ShownStep]) -> tuple[float, float]:
    """Return the work done and in all, by the steps' costs."""
    least = SMALL_COST * (sum(step.cost for step in steps) or 1)
    costs = [max(step.cost, least) for step in steps]
    return sum(cost * _fraction(step) for cost, step in zip(costs, steps, strict=True)), sum(costs)


def _fraction(step: ShownStep) -> float:
    if step.status == Status.SUCCEEDED:
        return 1.0
    progress = step.progress if step.status == Status.RUNNING else None
    return progress["done"] / progress["total"] if progress and progress["total"] else 0.0


def _seconds_left(job: Job, steps: Sequence[ShownStep], work_left: float) -> float | None:
    """Estimate the time left by the pace of this job's own steps; None before there is one."""
    if _over(job) or job.started_at is None:
        return None
    own = [step for step in steps if not step.reused]
    done, _ = _work(own) if own else (0.0, 0.0)
    spent = sum(_seconds(step) or 0.0 for step in own if _counts(step, job.started_at))
    return round(spent / done * work_left, 1) if done > 0 and spent > 0 else None


def _estimate(job: Job, steps: Sequence[ShownStep]) -> JobEstimate | None:
    """Return what was foretold, and when the job is over how long its own steps took."""
    if job.estimate is None:
        return None
    foretold = JobEstimate.model_validate(job.estimate)
    if not _over(job):
        return foretold
    actual = round(sum(_seconds(step) or 0.0 for step in steps if not step.reused), 3)
    whole = job.status == Status.SUCCEEDED and foretold.seconds > 0
    ratio = round(actual / foretold.seconds, 3) if whole else None
    return foretold.model_copy(update={"actual_seconds": actual, "ratio": ratio})


def _counts(step: ShownStep, since: datetime) -> bool:
    """Whether the step's time was spent on this job."""
    return step.status in (Status.RUNNING, Status.SUCCEEDED) and step.started_at is not None
