"""The graph of jobs, steps and needs: the moves that more than one event of a job's life makes.

Every function works in its caller's transaction, after `lock`. What it changes in jobs it also tells their logs.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from datetime import datetime
from functools import cache
from itertools import islice
from typing import Any, NamedTuple

from sqlalchemy import (
    ColumnElement,
    CursorResult,
    Row,
    Select,
    Update,
    exists,
    func,
    insert,
    or_,
    select,
    text,
    update,
)
from sqlalchemy.orm import Session, aliased
from sqlalchemy.sql.dml import ReturningUpdate

from app import events, webhooks
from app.events import EventType
from app.jobs.records import Ready, StoredFile
from app.models import Artifact, Job, JobStep, Json, Selection, Status, Step, StepNeed
from fastmtl.pipeline import SELECTION_STEP, needs_torch, urgency
from fastmtl.plan import StepSpec

LIVE = (Status.QUEUED, Status.RUNNING)
SPENT = (Status.FAILED, Status.CANCELLED)
"""Of a step that can be tried again."""
UNFINISHED = (Status.WAITING, Status.QUEUED, Status.RUNNING)
LOCK = 0x46415354  # any constant: one advisory lock for every change of the graph of steps
AT_ONCE = 5_000
"""Values of one IN: both databases allow a statement a few ten thousand parameters."""
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


class Adopted(NamedTuple):
    """What of a job's steps was there before it."""

    shared: int
    done: int
    """Of those, the ones that are finished."""


def adopt(session: Session, job: Job, specs: Sequence[StepSpec], at: datetime) -> Adopted:
    """Give a new job the steps of its plan, each made new, or as it stands, or set back to be tried again.

    A plan holds what its steps need, so needs are found among them. However many there are, it is a few statements.
    """
    found: dict[str, tuple[uuid.UUID, bool]] = {}
    fingerprints = [spec.fingerprint for spec in specs]
    for start in range(0, len(fingerprints), AT_ONCE):
        own = Step.tenant_id == job.tenant_id, Step.fingerprint.in_(fingerprints[start : start + AT_ONCE])
        there = session.execute(select(Step.id, Step.fingerprint, Step.status).where(*own)).all()
        found |= {fingerprint: (step_id, status == Status.SUCCEEDED) for step_id, fingerprint, status in there}
        if any(status in SPENT for *_, status in there):
            set_back(session, *own)
        if any(status != Status.SUCCEEDED for *_, status in there):
            join_lines(session, job, *own)
    adopted = Adopted(len(found), sum(done for _, done in found.values()))
    new = {spec.fingerprint: spec for spec in specs if spec.fingerprint not in found}
    found |= {fingerprint: (uuid.uuid4(), False) for fingerprint in new}
    _insert(session, Step, (_new_step(found[name][0], job, spec, at) for name, spec in new.items()))
    needs = (
        {"step_id": found[name][0], "needs_id": found[need][0]}
        for name, spec in new.items()
        for need in dict.fromkeys(spec.needs)
    )
    _insert(session, StepNeed, needs)
    steps = [found[fingerprint] for fingerprint in fingerprints]
    links = (
        {"job_id": job.id, "position": position, "step_id": step_id, "name": spec.name, "reused": reused}
        for position, (spec, (step_id, reused)) in enumerate(zip(specs, steps, strict=True))
    )
    _insert(session, JobStep, links)
    if len(new) > AT_ONCE and session.get_bind().dialect.name == "postgresql":
        # Without it the planner thinks that these tables are as they were, and goes through all of them for each row.
        session.execute(text("ANALYZE steps, job_steps, step_needs"))
    return adopted


def _new_step(step_id: uuid.UUID, job: Job, spec: StepSpec, at: datetime) -> Json:
    return {
        "id": step_id,
        "tenant_id": job.tenant_id,
        "fingerprint": spec.fingerprint,
        "kind": spec.kind,
        "spec": spec.to_json(),
        "needs_device": needs_torch(spec),
        "urgency": urgency(spec.kind),
        "line": job.id,
        "priority": job.priority,
        "status": Status.WAITING,
        "created_at": at,
    }


def _insert(session: Session, table: type[Step | StepNeed | JobStep], rows: Iterator[Json]) -> None:
    """Insert rows, which are made as they are sent: in a long silence the database would end the transaction."""
    while chunk := list(islice(rows, AT_ONCE)):
        session.execute(insert(table), chunk)


def set_back(session: Session, *which: ColumnElement[bool]) -> None:
    """Let those of these steps that ended without success be tried again."""
    fresh: Json = dict.fromkeys(("error", "progress", "worker", "started_at", "finished_at"))
    _update(session, [*which, Step.status.in_(SPENT)], {**fresh, "status": Status.WAITING, "attempts": 0})


def promote(session: Session, at: datetime, among: Select[uuid.UUID] | None = None) -> list[Ready]:
    """Queue every waiting step that a live job wants and whose needs are all done; `among` these ids, or all.

    Returns them in the order in which they are to be rung, after the commit.
    """
    waiting = [*_can_begin(), *([] if among is None else [Step.id.in_(among)])]
    queued = update(Step).where(*waiting).values(status=Status.QUEUED, rung_at=at)
    ready = _changed(session, queued.returning(Step.id, Step.needs_device, Step.urgency))
    return [Ready(step_id, needs_device) for step_id, needs_device, _ in sorted(ready, key=lambda step: step[2])]


@cache
def _can_begin() -> tuple[ColumnElement[bool], ...]:
    """Find the waiting steps that a live job wants and whose needs are all done."""
    needed = aliased(Step)
    # Of a step that needs very many the last is looked at first: they are done in order of their ids (app.jobs.turns).
    # As NOT EXISTS the planner would make a join of it, and read both tables.
    open_need = (
        select(StepNeed.needs_id)
        .join(needed, needed.id == StepNeed.needs_id)
        .where(StepNeed.step_id == Step.id, needed.status != Status.SUCCEEDED)
        .order_by(StepNeed.needs_id.desc())
        .limit(1)
        .correlate(Step)
        .scalar_subquery()
    )
    return Step.status == Status.WAITING, open_need.is_(None), wanted_by(LIVE)


def line_up(session: Session, among: Select[uuid.UUID]) -> None:
    """Let those of these unfinished steps that live jobs need stand in the line of the first of these."""
    first = (Job.priority.desc(), Job.created_at, Job.id)
    ranked = (
        select(
            JobStep.step_id,
            Job.id,
            Job.priority,
            func.row_number().over(partition_by=JobStep.step_id, order_by=first).label("place"),
        )
        .join(Job, Job.id == JobStep.job_id)
        .where(JobStep.step_id.in_(among), Job.status.in_(LIVE))
        .subquery()
    )
    standing = Step.id == ranked.c.step_id, ranked.c.place == 1, Step.status.in_(UNFINISHED)
    _update(session, standing, {"line": ranked.c.id, "priority": ranked.c.priority})


def join_lines(session: Session, job: Job, *which: ColumnElement[bool]) -> None:
    """Let those of these unfinished steps stand in the line of a new job that no live job needed as much.

    The job is not linked to them yet. Of two jobs with one priority the older has a step, and that is never the new
    one: so it need not be ranked among all that need it, as `line_up` does.
    """
    unclaimed = Step.status.in_(UNFINISHED), or_(Step.priority < job.priority, ~wanted_by(LIVE))
    _update(session, [*which, *unclaimed], {"line": job.id, "priority": job.priority})


def steps_of(job: Job) -> Select[uuid.UUID]:
    """Return the ids of a job's steps."""
    return select(JobStep.step_id).where(JobStep.job_id == job.id)


def waiting_for(step_id: uuid.UUID) -> Select[uuid.UUID]:
    """Return the ids of the steps that need a step."""
    return select(StepNeed.step_id).where(StepNeed.needs_id == step_id)


@cache
def wanted_by(statuses: tuple[Status, ...]) -> ColumnElement[bool]:
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
    needed = select(Step.id, Step.fingerprint).join(StepNeed, StepNeed.needs_id == Step.id)
    fingerprints = {row.id: row.fingerprint for row in session.execute(needed.where(StepNeed.step_id == step.id))}
    found: dict[str, list[StoredFile]] = {}
    ids = list(fingerprints)
    files = select(Artifact.step_id, Artifact.name, Artifact.storage_key, Artifact.bytes, Artifact.sha256)
    for start in range(0, len(ids), AT_ONCE):  # by ids: of a join the planner thinks that it takes the whole table
        for step_id, name, key, size, sha256 in session.execute(
            files.where(Artifact.step_id.in_(ids[start : start + AT_ONCE]))
        ):
            found.setdefault(fingerprints[step_id], []).append(StoredFile(name, key, size, sha256))
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
    for job in [] if again else live_jobs(session, step.id):
        name = session.scalars(select(JobStep.name).where(JobStep.job_id == job.id, JobStep.step_id == step.id)).first()
        end(session, job, Status.FAILED, at, {**error, "step": name})


def succeeded(session: Session, step: Step, at: datetime) -> None:
    """Bring the live jobs of a step that has just succeeded in line with that."""
    for job in live_jobs(session, step.id):
        if step.kind == SELECTION_STEP:
            _note_selection(session, job, at)
        if not _any(session, job, Step.status != Status.SUCCEEDED):
            end(session, job, Status.SUCCEEDED, at)


def settle(session: Session, job: Job, at: datetime) -> None:
    """Bring a live job in line with steps that others may have moved."""
    standing = set(session.scalars(select(Step.status).join(JobStep).where(JobStep.job_id == job.id).distinct()))
    if Status.SUCCEEDED in standing:
        _note_selection(session, job, at)
    if Status.FAILED in standing:
        failed = select(JobStep.name, Step.error).join(Step).where(JobStep.job_id == job.id)
        found = session.execute(failed.where(Step.status == Status.FAILED).order_by(JobStep.position).limit(1)).one()
        end(session, job, Status.FAILED, at, {**(found.error or {}), "step": found.name})
    elif standing <= {Status.SUCCEEDED}:
        end(session, job, Status.SUCCEEDED, at)
    elif job.status == Status.QUEUED and Status.RUNNING in standing:
        start(session, job, at)


def _any(session: Session, job: Job, condition: ColumnElement[bool]) -> bool:
    """Whether a job has a step of that kind; the last ones, which end last, are looked at first."""
    found = select(JobStep.position).join(Step).where(JobStep.job_id == job.id, condition)
    return session.scalars(found.order_by(JobStep.position.desc()).limit(1)).first() is not None


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
    held = wanted_by((Status.PAUSED,))
    stopped: Json = {"fence": Step.fence + 1, "lease_until": None}
    # An attempt that a pause cut short is not one of those that failed.
    waits: Json = {"status": Status.WAITING, "rung_at": None, "progress": None}
    _update(session, [*idle, held, Step.status == Status.RUNNING], stopped | waits | {"attempts": Step.attempts - 1})
    _update(session, [*idle, held], waits)
    _update(session, [*idle, ~held], stopped | {"status": Status.CANCELLED, "finished_at": at})
    line_up(session, steps_of(job))


def _update(session: Session, conditions: Sequence[ColumnElement[bool]], values: dict[str, Any]) -> None:
    _changed(session, update(Step).where(*conditions).values(**values).returning(Step.id))


def _changed(session: Session, statement: ReturningUpdate[*tuple[Any, ...]]) -> Sequence[Row[*tuple[Any, ...]]]:
    """Run an UPDATE of any number of steps; what the session knew of them it reads again."""
    rows = session.execute(statement.execution_options(synchronize_session=False)).all()
    for step in [each for each in session if isinstance(each, Step)]:
        session.expire(step)
    return rows


def _note_selection(session: Session, job: Job, at: datetime) -> None:
    """Record what the job chose, once its `select` step is done."""
    chosen = select(Step).join(JobStep, JobStep.step_id == Step.id).where(JobStep.job_id == job.id)
    chosen = chosen.where(JobStep.name == SELECTION_STEP, Step.status == Status.SUCCEEDED)
    step = session.scalars(chosen).first()
    if step is None or job.selection:
        return
    result = step.result or {}
    job.selection = Selection(
        step_id=step.id, config=job.config, counts=result["counts"], digest=result["digest"], created_at=at
    )
    session.flush()
    told = {"digest": result["digest"], "counts": result["counts"]}
    events.add(session, job.id, EventType.SELECTION_MADE, told, at)
