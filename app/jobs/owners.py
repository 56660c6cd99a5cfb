"""What the owner of a job does with it: post it, stop it, let it rest, try it again, remove it."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence

from sqlalchemy import delete, exists, func, select, update
from sqlalchemy.orm import Session, aliased

from app import events
from app.events import EventType
from app.failpoints import reach
from app.jobs import graph
from app.jobs.base import Life
from app.jobs.records import Ready, Receipt
from app.models import Artifact, Event, Job, JobDataset, JobStep, Status, Step, StepNeed
from fastmtl.plan import StepSpec

Admit = Callable[[Session], None]


class Owners(Life):
    """The owner's side."""

    def create(
        self, job: Job, datasets: Sequence[JobDataset], specs: Sequence[StepSpec], admit: Admit | None = None
    ) -> uuid.UUID:
        """Write a job, unless it is there, and those of its steps that are not there yet; ring what can begin.

        `admit` may refuse it, in the same transaction.
        """
        at, job_id = self._clock(), job.id
        for spec in specs:
            _ = spec.fingerprint  # kept by each: not while everybody waits for the lock
        with self._database.transaction() as session:
            graph.lock(session)
            if session.get(Job, job_id) is not None:
                return job_id
            if admit:
                admit(session)
            job.created_at = at
            job.status = Status.QUEUED
            job.datasets = list(datasets)
            session.add(job)
            session.flush()
            adopted = graph.adopt(session, job, specs, at)
            events.add(session, job_id, EventType.JOB_CREATED, {"steps": len(specs), "reused": adopted.done}, at)
            ready = graph.promote(session, at, graph.steps_of(job))
            if adopted.shared:
                graph.settle(session, job, at)
        reach("jobs.created-not-rung")
        self._bell.ring(ready)
        return job_id

    def cancel(self, job_id: uuid.UUID) -> Status:
        """Stop a job that is not over and return how it stands then; steps that another live job needs go on."""
        with self._database.transaction() as session:
            graph.lock(session)
            job = session.get_one(Job, job_id)
            if not Status(job.status).final:
                graph.end(session, job, Status.CANCELLED, self._clock())
            return Status(job.status)

    def pause(self, job_id: uuid.UUID) -> Status:
        """Let a live job rest and return how it stands then.

        Its running steps stop, and begin again at their last checkpoint; one that another live job needs goes on.
        """
        at = self._clock()
        with self._database.transaction() as session:
            graph.lock(session)
            job = session.get_one(Job, job_id)
            if job.status in graph.LIVE:
                job.status = Status.PAUSED
                session.flush()
                graph.release(session, job, at)
                events.add(session, job.id, EventType.JOB_PAUSED, {}, at)
            return Status(job.status)

    def resume(self, job_id: uuid.UUID) -> Status:
        """Let a paused job go on and return how it stands then."""
        at = self._clock()
        with self._database.transaction() as session:
            graph.lock(session)
            job = session.get_one(Job, job_id)
            if job.status != Status.PAUSED:
                return Status(job.status)
            ready = self._queue(session, job, EventType.JOB_RESUMED)
            graph.settle(session, job, at)
            status = Status(job.status)
        self._bell.ring(ready)
        return status

    def retry(self, job_id: uuid.UUID, admit: Admit | None = None) -> Status:
        """Queue a failed or cancelled job again and return how it stands then: what is done of it is not done again.

        Every step that did not succeed has all its attempts again; a deadline is as far away as it was at first.
        `admit` may refuse it, in the same transaction.
        """
        at = self._clock()
        with self._database.transaction() as session:
            graph.lock(session)
            job = session.get_one(Job, job_id)
            if job.status not in (Status.FAILED, Status.CANCELLED):
                return Status(job.status)
            if admit:
                admit(session)
            graph.set_back(session, Step.id.in_(graph.steps_of(job)))
            job.error = job.finished_at = None
            if job.deadline_at:
                job.deadline_at = at + (job.deadline_at - job.created_at)
            ready = self._queue(session, job, EventType.JOB_RETRIED)
            graph.settle(session, job, at)
            status = Status(job.status)
        self._bell.ring(ready)
        return status

    def delete(self, job_id: uuid.UUID) -> Receipt | None:
        """Remove a job, its log and all steps that only it has; return what was removed, None if it is not over.

        Their files are the caller's to remove, after this.
        """
        at = self._clock()
        with self._database.transaction() as session:
            graph.lock(session)
            job = session.get_one(Job, job_id)
            if not Status(job.status).final:
                return None
            other = aliased(JobStep)
            shared = exists().where(other.step_id == JobStep.step_id, other.job_id != job_id)
            mine = select(JobStep.step_id).where(JobStep.job_id == job_id)
            own = tuple(session.scalars(mine.where(~shared)))
            kept = session.scalars(select(func.count()).select_from(JobStep).where(JobStep.job_id == job_id, shared))
            shared_steps = kept.one()
            files = session.execute(
                select(func.count(), func.coalesce(func.sum(Artifact.bytes), 0)).where(Artifact.step_id.in_(own))
            ).one()
            told = session.scalars(select(func.count()).select_from(Event).where(Event.job_id == job_id)).one()
            session.execute(delete(Job).where(Job.id == job_id))
            for table in (StepNeed, Artifact):
                session.execute(delete(table).where(table.step_id.in_(own)))
            session.execute(delete(Step).where(Step.id.in_(own)))
        return Receipt(job_id, at, len(own), files[0], int(files[1]), told, shared_steps, own)

    def _queue(self, session: Session, job: Job, kind: EventType) -> list[Ready]:
        """Let a job be live again; return the steps to ring."""
        at = self._clock()
        job.status = Status.QUEUED
        session.flush()
        events.add(session, job.id, kind, {}, at)
        mine = graph.steps_of(job)
        # Rung long ago, perhaps: whoever comes first takes it.
        session.execute(update(Step).where(Step.id.in_(mine), Step.status == Status.QUEUED).values(rung_at=None))
        ready = graph.promote(session, at, mine)
        graph.line_up(session, mine)
        return ready
