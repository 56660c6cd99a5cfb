"""The life of a job and of its steps: the only writer of status.

    step    waiting ── its inputs are done ──▶ queued ── claim ──▶ running ── finish ──▶ succeeded
                                                 ▲                    │
                                                 └── fail, lease out ─┤ (up to max_attempts)
                                                                      └──▶ failed
            any of these but the last two ── no live job needs it ──▶ cancelled
    job     queued ──▶ running ──▶ succeeded | failed | cancelled, as its steps go

A step may be rung twice or never: the claim is one conditional UPDATE, so a second delivery finds it taken, and the
sweep rings again for what nobody took and takes back what a silent worker held. Every write of a worker names the fence
that its claim was given; after the lease is gone to another, the old one's writes change nothing.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Protocol

from sqlalchemy import CursorResult, Update, exists, or_, select, text, update
from sqlalchemy.orm import Session, aliased

from app.clock import now
from app.db import Database
from app.models import Artifact, Dataset, Job, JobDataset, JobStep, Json, Selection, Status, Step, StepNeed
from app.settings import Settings
from fastmtl.pipeline import urgency
from fastmtl.plan import StepSpec

LIVE = (Status.QUEUED, Status.RUNNING)
UNFINISHED = (Status.WAITING, Status.QUEUED, Status.RUNNING)
Admit = Callable[[Session], None]
GRAPH_LOCK = 0x46415354  # any constant: one advisory lock for every change of the graph of steps


class Bell(Protocol):
    """Tells workers of steps that are ready."""

    def ring(self, step_ids: list[uuid.UUID]) -> None:
        """Tell of each; may lose some."""


@dataclass(frozen=True)
class Claim:
    """A step that this worker may compute, until its lease runs out."""

    step_id: uuid.UUID
    fence: int
    attempt: int
    spec: StepSpec
    datasets: dict[str, str]
    """Storage keys of its datasets by digest; one that was deleted since is missing."""
    inputs: dict[str, dict[str, str]]
    """By fingerprint of a needed step: storage keys of its artifacts by name."""


@dataclass(frozen=True)
class StoredFile:
    """An artifact that is in storage but not yet in the database."""

    name: str
    storage_key: str
    bytes: int
    sha256: str


class Jobs:
    """Creates jobs and moves them and their steps on."""

    def __init__(self, database: Database, bell: Bell, settings: Settings, clock: Callable[[], datetime] = now) -> None:
        self._database = database
        self._bell = bell
        self._settings = settings
        self._clock = clock

    def create(
        self, job: Job, datasets: Sequence[JobDataset], specs: Sequence[StepSpec], admit: Admit | None = None
    ) -> uuid.UUID:
        """Write a job and those of its steps that are not there yet; ring what can begin. `admit` may still refuse."""
        with self._database.transaction() as session:
            _lock_graph(session)
            if admit:
                admit(session)
            job.created_at, job.status, job.datasets = self._clock(), Status.QUEUED, list(datasets)
            session.add(job)
            session.flush()
            steps = [self._adopt(session, job.tenant_id, spec) for spec in specs]
            for position, (spec, step) in enumerate(zip(specs, steps, strict=True)):
                reused = step.status == Status.SUCCEEDED
                job.steps.append(JobStep(position=position, step_id=step.id, name=spec.name, reused=reused))
            session.flush()
            ready = self._promote(session)
            self._settle(session, [job])
        self._bell.ring(ready)
        return job.id

    def cancel(self, job_id: uuid.UUID) -> Status:
        """Stop a job that is not over and return how it stands then; steps that another live job needs go on."""
        with self._database.transaction() as session:
            _lock_graph(session)
            job = session.get_one(Job, job_id)
            if not Status(job.status).final:
                self._end(session, job, Status.CANCELLED)
            return Status(job.status)

    def claim(self, step_id: uuid.UUID, worker: str) -> Claim | None:
        """Take a queued step; None where it is not there to be taken."""
        with self._database.transaction() as session:
            _lock_graph(session)  # a claim writes step then job, a cancel job then step: unordered they lock up
            taken = _changed(
                session,
                update(Step)
                .where(Step.id == step_id, Step.status == Status.QUEUED)
                .values(
                    status=Status.RUNNING,
                    fence=Step.fence + 1,
                    attempts=Step.attempts + 1,
                    worker=worker,
                    lease_until=self._lease(),
                    started_at=self._clock(),
                    progress=None,
                ),
            )
            if not taken:
                return None
            step = session.get_one(Step, step_id, populate_existing=True)
            session.execute(
                update(Job)
                .where(
                    Job.id.in_(select(JobStep.job_id).where(JobStep.step_id == step_id)), Job.status == Status.QUEUED
                )
                .values(status=Status.RUNNING, started_at=self._clock())
            )
            spec = StepSpec.from_json(step.spec)
            stored = select(Dataset.digest, Dataset.storage_key).where(
                Dataset.tenant_id == step.tenant_id, Dataset.digest.in_(spec.datasets)
            )
            datasets = {digest: key for digest, key in session.execute(stored)}
            return Claim(step.id, step.fence, step.attempts, spec, datasets, _inputs(session, step))

    def beat(self, claim: Claim, progress: Json | None) -> bool:
        """Renew the lease and note the progress; False where the step is no longer this worker's."""
        values: Json = {"lease_until": self._lease()} | ({"progress": progress} if progress else {})
        with self._database.transaction() as session:
            return _changed(session, _held(claim).values(**values))

    def holds(self, claim: Claim) -> bool:
        """Whether the step is still this worker's: not cancelled, not given to another."""
        with self._database.reading() as session:
            step = session.get(Step, claim.step_id)
            return step is not None and step.status == Status.RUNNING and step.fence == claim.fence

    def give_back(self, claim: Claim) -> None:
        """Queue the step again and take back the attempt: this worker stops."""
        with self._database.transaction() as session:
            values: Json = {"status": Status.QUEUED, "attempts": Step.attempts - 1, "lease_until": None}
            _changed(session, _held(claim).values(**values, rung_at=None, progress=None))

    def finish(self, claim: Claim, files: Iterable[StoredFile], result: Json) -> bool:
        """Make a step's files known and ring what waited for them; False where the step is no longer this worker's."""
        with self._database.transaction() as session:
            _lock_graph(session)
            ended = _held(claim).values(
                status=Status.SUCCEEDED, finished_at=self._clock(), lease_until=None, result=result, error=None
            )
            if not _changed(session, ended):
                return False
            session.add_all(Artifact(step_id=claim.step_id, **asdict(file)) for file in files)
            session.flush()
            ready = self._promote(session)
            self._settle(session, _live_jobs(session, claim.step_id))
        self._bell.ring(ready)
        return True

    def fail(self, claim: Claim, error: Json, *, again: bool) -> bool:
        """Spend an attempt: queue the step again where that may help and attempts are left, else fail its jobs."""
        again = again and claim.attempt < self._settings.max_attempts
        with self._database.transaction() as session:
            _lock_graph(session)
            if not _changed(session, _held(claim).values(**self._after_failure(error, again))):
                return False
            self._settle(session, _live_jobs(session, claim.step_id))
        if again:
            self._bell.ring([claim.step_id])
        return True

    def sweep(self) -> int:
        """Take back steps whose worker is silent and ring again for queued ones nobody took; return how many rang."""
        with self._database.transaction() as session:
            _lock_graph(session)
            silent = or_(Step.lease_until.is_(None), Step.lease_until < self._clock())
            # FOR UPDATE: a worker that beats at this moment keeps its step.
            lost = select(Step).where(Step.status == Status.RUNNING, silent).with_for_update()
            for step in session.scalars(lost).all():
                if step.status == Status.RUNNING:  # not cancelled since, with the job that the one before it failed
                    self._take_back(session, step)
            session.flush()
            ready = self._promote(session)
            late = self._clock() - timedelta(seconds=self._settings.ring_again_seconds)
            unheard = or_(Step.rung_at.is_(None), Step.rung_at < late)
            for step in session.scalars(select(Step).where(Step.status == Status.QUEUED, unheard)).all():
                step.rung_at = self._clock()
                ready.append(step.id)
        self._bell.ring(ready)
        return len(ready)

    def _lease(self) -> datetime:
        return self._clock() + timedelta(seconds=self._settings.lease_seconds)

    def _adopt(self, session: Session, tenant_id: uuid.UUID, spec: StepSpec) -> Step:
        """Return the tenant's step of that fingerprint, made new, or as it stands, or set back to be tried again."""
        own = select(Step).where(Step.tenant_id == tenant_id)
        step = session.scalar(own.where(Step.fingerprint == spec.fingerprint))
        if step is None:
            step = Step(
                id=uuid.uuid4(),
                tenant_id=tenant_id,
                fingerprint=spec.fingerprint,
                kind=spec.kind,
                spec=spec.to_json(),
                status=Status.WAITING,
                created_at=self._clock(),
            )
            session.add(step)
            session.flush()
            needed = session.scalars(own.where(Step.fingerprint.in_(spec.needs))).all()
            session.add_all(StepNeed(step_id=step.id, needs_id=each.id) for each in needed)
        elif step.status in (Status.FAILED, Status.CANCELLED):
            step.status, step.attempts, step.error, step.progress = Status.WAITING, 0, None, None
            step.worker = step.started_at = step.finished_at = None
        return step

    def _promote(self, session: Session) -> list[uuid.UUID]:
        """Queue every waiting step whose needs are all done; return them, to be rung in this order after the commit."""
        needed = aliased(Step)
        open_need = exists().where(
            StepNeed.step_id == Step.id, StepNeed.needs_id == needed.id, needed.status != Status.SUCCEEDED
        )
        found = session.scalars(select(Step).where(Step.status == Status.WAITING, ~open_need))
        ready = sorted(found, key=lambda step: urgency(step.kind))
        for step in ready:
            step.status, step.rung_at = Status.QUEUED, self._clock()
        session.flush()
        return [step.id for step in ready]

    def _take_back(self, session: Session, step: Step) -> None:
        """Spend the attempt of a worker that went silent."""
        again = step.attempts < self._settings.max_attempts
        message = (
            f"the worker {step.worker} fell silent during this step"
            + ("" if again else f", and {step.attempts} attempts are spent")
            + ". The process may have been killed, for want of memory for example: the worker's log says more"
        )
        for name, value in self._after_failure({"type": "worker-lost", "message": message}, again).items():
            setattr(step, name, value)
        step.fence += 1
        step.rung_at = None
        session.flush()
        self._settle(session, _live_jobs(session, step.id))

    def _after_failure(self, error: Json, again: bool) -> Json:
        """Return the values of a step after a failed attempt."""
        over: Json = {"lease_until": None, "error": error, "rung_at": self._clock()}
        if again:
            return {**over, "status": Status.QUEUED}
        return {**over, "status": Status.FAILED, "finished_at": self._clock()}

    def _settle(self, session: Session, jobs: Iterable[Job]) -> None:
        """Bring jobs in line with their steps."""
        for job in jobs:
            steps = [(link, link.step) for link in job.steps]
            _note_selection(session, job, steps, self._clock())
            failed = next(((link, step) for link, step in steps if step.status == Status.FAILED), None)
            if failed:
                link, step = failed
                job.error = {**(step.error or {}), "step": link.name}
                self._end(session, job, Status.FAILED)
            elif all(step.status == Status.SUCCEEDED for _, step in steps):
                self._end(session, job, Status.SUCCEEDED)
            elif job.status == Status.QUEUED and any(step.status == Status.RUNNING for _, step in steps):
                job.status, job.started_at = Status.RUNNING, self._clock()

    def _end(self, session: Session, job: Job, status: Status) -> None:
        """End a job, and every unfinished step that only it needed."""
        job.status, job.finished_at = status, self._clock()
        job.started_at = job.started_at or job.finished_at
        session.flush()
        wanted = exists().where(JobStep.step_id == Step.id, JobStep.job_id == Job.id, Job.status.in_(LIVE))
        mine = select(JobStep.step_id).where(JobStep.job_id == job.id)
        session.execute(
            update(Step)
            .where(Step.id.in_(mine), Step.status.in_(UNFINISHED), ~wanted)
            .values(status=Status.CANCELLED, fence=Step.fence + 1, lease_until=None, finished_at=self._clock())
            .execution_options(synchronize_session="fetch")
        )


def _lock_graph(session: Session) -> None:
    """Let changes of the graph follow one another: SQLite's transactions do so already."""
    if session.get_bind().dialect.name == "postgresql":
        session.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": GRAPH_LOCK})


def _held(claim: Claim) -> Update:
    """Return an UPDATE of the step that touches nothing unless the claim still stands."""
    return update(Step).where(Step.id == claim.step_id, Step.fence == claim.fence, Step.status == Status.RUNNING)


def _changed(session: Session, statement: Update) -> bool:
    """Run an UPDATE of one row; say whether it found it."""
    result = session.execute(statement.execution_options(synchronize_session=False))
    assert isinstance(result, CursorResult)
    return result.rowcount == 1


def _live_jobs(session: Session, step_id: uuid.UUID) -> Sequence[Job]:
    """Return the jobs that are not over and need the step, with fresh steps."""
    session.expire_all()
    return session.scalars(
        select(Job).join(JobStep).where(JobStep.step_id == step_id, Job.status.in_(LIVE)).order_by(Job.created_at)
    ).all()


def _inputs(session: Session, step: Step) -> dict[str, dict[str, str]]:
    """Return the storage keys of everything the step needs."""
    rows = session.execute(
        select(Step.fingerprint, Artifact.name, Artifact.storage_key)
        .join(StepNeed, StepNeed.needs_id == Step.id)
        .join(Artifact, Artifact.step_id == Step.id)
        .where(StepNeed.step_id == step.id)
    )
    inputs: dict[str, dict[str, str]] = {}
    for fingerprint, name, key in rows:
        inputs.setdefault(fingerprint, {})[name] = key
    return inputs


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
