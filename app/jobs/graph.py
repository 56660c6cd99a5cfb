"""The graph of jobs, steps and needs: the moves that more than one event of a job's life makes.

Every function works in its caller's transaction, after `lock`. What it changes in jobs it also tells their logs.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, CursorResult, Select, Update, exists, select, text, update
from sqlalchemy.orm import Session, aliased

from app import events, webhooks
from app.events import EventType
from app.jobs.records import StoredFile
from app.models import Artifact, Job, JobStep, Json, Selection, Status, Step, StepNeed
from fastmtl.pipeline import urgency
from fastmtl.plan import StepSpec

LIVE = (Status.QUEUED, Status.RUNNING)
UNFINISHED = (Status.WAITING, Status.QUEUED, Status.RUNNING)
LOCK = 0x46415354  # any constant: one advisory lock for every change of the graph of steps
ENDED = {
    Status.SUCCEEDED: EventType.JOB_SUCCEEDED,
    Status.FAILED: EventType.JOB_FAILED,
    Status.CANCELLED: EventType.JOB_CANCELLED,
}


def lock(session: Session) -> None:
    """Let changes of the graph follow one another: SQLite's transactions do so already."""
    if session.get_bind().dialect.name == "postgresql":
        session.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": LOCK})


def changed(session: Session, statement: Update) -> bool:
    """Run an UPDATE of one row; say whether it found it."""
    result = session.execute(statement.execution_options(synchronize_session=False))
    assert isinstance(result, CursorResult)
    return result.rowcount == 1


def adopt(session: Session, tenant_id: uuid.UUID, specs: Sequence[StepSpec], at: datetime) -> list[Step]:
    """Return the tenant's steps of a plan, each made new, or as it stands, or set back to be tried again.

    A plan holds what its steps need, so needs are found among them. However many there are, it is two statements to
    look and to write, and one for the needs.
    """
    own = select(Step).where(Step.tenant_id == tenant_id)
    found = session.scalars(own.where(Step.fingerprint.in_([spec.fingerprint for spec in specs])))
    steps = {step.fingerprint: step for step in found}
    for step in steps.values():
        if step.status in (Status.FAILED, Status.CANCELLED):
            set_back(step)
    new = {
        spec.fingerprint: Step(
            id=uuid.uuid4(),
            tenant_id=tenant_id,
            fingerprint=spec.fingerprint,
            kind=spec.kind,
            spec=spec.to_json(),
            status=Status.WAITING,
            created_at=at,
        )
        for spec in specs
        if spec.fingerprint not in steps
    }
    steps |= new
    session.add_all(new.values())
    session.flush()
    session.add_all(
        StepNeed(step_id=new[spec.fingerprint].id, needs_id=steps[need].id)
        for spec in specs
        if spec.fingerprint in new
        for need in dict.fromkeys(spec.needs)
    )
    return [steps[spec.fingerprint] for spec in specs]


def set_back(step: Step) -> None:
    """Let a step that ended without success be tried again."""
    step.status, step.attempts, step.error, step.progress = Status.WAITING, 0, None, None
    step.worker = step.started_at = step.finished_at = None


def promote(session: Session, at: datetime, among: Select[uuid.UUID] | None = None) -> list[uuid.UUID]:
    """Queue every waiting step that a live job wants and whose needs are all done; `among` these ids, or all.

    Returns them in the order in which they are to be rung, after the commit.
    """
    needed = aliased(Step)
    open_need = exists().where(
        StepNeed.step_id == Step.id, StepNeed.needs_id == needed.id, needed.status != Status.SUCCEEDED
    )
    waiting = select(Step).where(Step.status == Status.WAITING, ~open_need, wanted_by(LIVE))
    found = session.scalars(waiting if among is None else waiting.where(Step.id.in_(among)))
    ready = sorted(found, key=lambda step: urgency(step.kind))
    for step in ready:
        step.status, step.rung_at = Status.QUEUED, at
    session.flush()
    return [step.id for step in ready]


def steps_of(job: Job) -> Select[uuid.UUID]:
    """Return the ids of a job's steps."""
    return select(JobStep.step_id).where(JobStep.job_id == job.id)


def waiting_for(step_id: uuid.UUID) -> Select[uuid.UUID]:
    """Return the ids of the steps that need a step."""
    return select(StepNeed.step_id).where(StepNeed.needs_id == step_id)


def wanted_by(statuses: Sequence[Status]) -> ColumnElement[bool]:
    """Whether a job that stands so needs the step."""
    return exists().where(JobStep.step_id == Step.id, JobStep.job_id == Job.id, Job.status.in_(statuses))


def live_jobs(session: Session, step_id: uuid.UUID) -> Sequence[Job]:
    """Return the jobs that are live and need the step, oldest first, with fresh steps."""
    session.flush()
    session.expire_all()
    return session.scalars(
        select(Job).join(JobStep).where(JobStep.step_id == step_id, Job.status.in_(LIVE)).order_by(Job.created_at)
    ).all()


def inputs(session: Session, step: Step) -> dict[str, list[StoredFile]]:
    """Return the artifacts of everything the step needs, by fingerprint."""
    rows = session.execute(
        select(Step.fingerprint, Artifact.name, Artifact.storage_key, Artifact.bytes, Artifact.sha256)
        .join(StepNeed, StepNeed.needs_id == Step.id)
        .join(Artifact, Artifact.step_id == Step.id)
        .where(StepNeed.step_id == step.id)
    )
    found: dict[str, list[StoredFile]] = {}
    for fingerprint, name, key, size, sha256 in rows:
        found.setdefault(fingerprint, []).append(StoredFile(name, key, size, sha256))
    return found


def tell(session: Session, step_id: uuid.UUID, kind: EventType, data: Json, at: datetime) -> None:
    """Tell the log of every live job that needs the step, under the name that the step has there."""
    rows = session.execute(
        select(JobStep.job_id, JobStep.name, Step.kind, Step.attempts)
        .join(Job, Job.id == JobStep.job_id)
        .join(Step, Step.id == JobStep.step_id)
        .where(JobStep.step_id == step_id, Job.status.in_(LIVE))
        .order_by(Job.created_at)
    ).all()
    for job_id, name, step_kind, attempt in rows:
        told = {"step_id": str(step_id), "step": name, "kind": step_kind, "attempt": attempt, **data}
        events.add(session, job_id, kind, told, at)


def failed_attempt(session: Session, step: Step, error: Json, again: bool, at: datetime) -> None:
    """Write down that an attempt at a step came to nothing, and what that means for its jobs."""
    step.error, step.lease_until, step.rung_at = error, None, at
    step.status = Status.QUEUED if again else Status.FAILED
    step.finished_at = None if again else at
    session.flush()
    tell(session, step.id, EventType.STEP_FAILED, {"error": error, "again": again}, at)
    settle(session, live_jobs(session, step.id), at)


def settle(session: Session, jobs: Iterable[Job], at: datetime) -> None:
    """Bring live jobs in line with their steps."""
    for job in jobs:
        steps = [(link, link.step) for link in job.steps]
        _note_selection(session, job, steps, at)
        failed = next(((link, step) for link, step in steps if step.status == Status.FAILED), None)
        if failed:
            link, step = failed
            end(session, job, Status.FAILED, at, {**(step.error or {}), "step": link.name})
        elif all(step.status == Status.SUCCEEDED for _, step in steps):
            end(session, job, Status.SUCCEEDED, at)
        elif job.status == Status.QUEUED and any(step.status == Status.RUNNING for _, step in steps):
            start(session, job, at)


def start(session: Session, job: Job, at: datetime) -> None:
    """Write down that a worker is at a job."""
    job.status, job.started_at = Status.RUNNING, job.started_at or at
    session.flush()
    events.add(session, job.id, EventType.JOB_STARTED, {}, at)


def end(session: Session, job: Job, status: Status, at: datetime, error: Json | None = None) -> None:
    """End a job, and let go of every unfinished step that it needed."""
    job.status, job.finished_at, job.error = status, at, error
    job.started_at = job.started_at or at
    session.flush()
    release(session, job, at)
    told: Json = {"error": error} if error else {}
    events.add(session, job.id, ENDED[status], told, at)
    webhooks.enqueue(session, job, at)


def release(session: Session, job: Job, at: datetime) -> None:
    """Stop those unfinished steps of a job that no live job wants; one that a paused job wants waits for it."""
    idle = [Step.id.in_(steps_of(job)), Step.status.in_(UNFINISHED), ~wanted_by(LIVE)]
    held = wanted_by([Status.PAUSED])
    stopped: Json = {"fence": Step.fence + 1, "lease_until": None}
    # An attempt that a pause cut short is not one of those that failed.
    waits: Json = {"status": Status.WAITING, "rung_at": None, "progress": None}
    _update(session, [*idle, held, Step.status == Status.RUNNING], stopped | waits | {"attempts": Step.attempts - 1})
    _update(session, [*idle, held], waits)
    _update(session, [*idle, ~held], stopped | {"status": Status.CANCELLED, "finished_at": at})


def _update(session: Session, conditions: Sequence[ColumnElement[bool]], values: dict[str, Any]) -> None:
    statement = update(Step).where(*conditions).values(**values)
    session.execute(statement.execution_options(synchronize_session="fetch"))


def _note_selection(session: Session, job: Job, steps: Sequence[tuple[JobStep, Step]], at: datetime) -> None:
    """Record what the job chose, once its `select` step is done."""
    chosen = next((step for link, step in steps if link.name == "select"), None)
    if job.selection or chosen is None or chosen.status != Status.SUCCEEDED:
        return
    result = chosen.result or {}
    job.selection = Selection(
        step_id=chosen.id, config=job.config, counts=result["counts"], digest=result["digest"], created_at=at
    )
    session.flush()
    told = {"digest": result["digest"], "counts": result["counts"]}
    events.add(session, job.id, EventType.SELECTION_MADE, told, at)
