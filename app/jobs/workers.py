"""What a worker does with a step: take it, hold it, finish it, fail at it."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from datetime import datetime, timedelta

from sqlalchemy import ScalarSelect, Update, select, update

from app import measurements
from app.events import EventType
from app.failpoints import reach
from app.jobs import graph
from app.jobs.base import Life
from app.jobs.records import Claim, News, Ready, StoredFile
from app.jobs.turns import Takes, next_step
from app.models import Artifact, Dataset, Json, Status, Step
from fastmtl.pipeline import needs_torch
from fastmtl.plan import StepSpec


class Workers(Life):
    """The worker's side."""

    def claim_next(self, worker: str, takes: Takes = "all") -> Claim | None:
        """Take the step whose turn it is among those that the worker takes; None where none is queued."""
        return self._claim(next_step(takes), worker)

    def claim(self, step_id: uuid.UUID, worker: str) -> Claim | None:
        """Take this queued step; None where it is not there to be taken."""
        return self._claim(step_id, worker)

    def _claim(self, which: uuid.UUID | ScalarSelect[uuid.UUID], worker: str) -> Claim | None:
        """Take a step: one statement decides and takes, and a constant number of others reads what is taken."""
        at = self._clock()
        with self._database.transaction() as session:
            graph.lock(session)  # a claim writes step then job, a cancel job then step: unordered they lock up
            step_id = session.scalar(
                update(Step)
                .where(Step.id == which, Step.status == Status.QUEUED)
                .values(
                    status=Status.RUNNING,
                    fence=Step.fence + 1,
                    attempts=Step.attempts + 1,
                    worker=worker,
                    lease_until=self._lease(),
                    started_at=at,
                    progress=None,
                )
                .returning(Step.id)
                .execution_options(synchronize_session=False)
            )
            if step_id is None:
                return None
            graph.tell(session, step_id, EventType.STEP_STARTED, {"worker": worker}, at)
            jobs = graph.live_jobs(session, step_id)
            for job in jobs:
                if job.status == Status.QUEUED:
                    graph.start(session, job, at)
            step = session.get_one(Step, step_id, populate_existing=True)
            spec = StepSpec.from_json(step.spec)
            stored = select(Dataset.digest, Dataset.storage_key).where(
                Dataset.tenant_id == step.tenant_id, Dataset.digest.in_(spec.datasets)
            )
            datasets = {digest: key for digest, key in session.execute(stored)}
            needed = graph.inputs(session, step)
            ids = tuple(job.id for job in jobs)
            return Claim(step.id, step.fence, step.attempts, spec, datasets, needed, step.tenant_id, ids)

    def beat(self, claim: Claim, progress: Json | None, news: Sequence[News] = ()) -> bool:
        """Renew the lease, note the progress and tell the news; False where the step is no longer this worker's."""
        values: Json = {"lease_until": self._lease()} | ({"progress": progress} if progress else {})
        with self._database.transaction() as session:
            if news:
                graph.lock(session)
            if not graph.changed(session, _held(claim).values(**values)):
                return False
            for each in news:
                graph.tell(session, claim.step_id, each.kind, each.data, self._clock())
            return True

    def holds(self, claim: Claim) -> bool:
        """Whether the step is still this worker's: not cancelled, not given to another."""
        with self._database.reading() as session:
            ours = Step.id == claim.step_id, Step.fence == claim.fence, Step.status == Status.RUNNING
            return session.scalar(select(Step.fence).where(*ours)) is not None

    def give_back(self, claim: Claim) -> None:
        """Queue the step again and take back the attempt: this worker stops."""
        with self._database.transaction() as session:
            values: Json = {"status": Status.QUEUED, "attempts": Step.attempts - 1, "lease_until": None}
            graph.changed(session, _held(claim).values(**values, rung_at=None, progress=None))

    def finish(self, claim: Claim, files: Iterable[StoredFile], result: Json) -> bool:
        """Make a step's files known and ring what waited for them; False where the step is no longer this worker's."""
        at = self._clock()
        with self._database.transaction() as session:
            graph.lock(session)
            ended = _held(claim).values(
                status=Status.SUCCEEDED, finished_at=at, lease_until=None, result=result, error=None
            )
            if not graph.changed(session, ended):
                return False
            session.add_all(Artifact(step_id=claim.step_id, **asdict(file)) for file in files)
            session.flush()
            step = session.get_one(Step, claim.step_id, populate_existing=True)
            seconds = round((at - step.started_at).total_seconds(), 3) if step.started_at else None
            measurements.record(session, step, result)
            graph.tell(session, step.id, EventType.STEP_SUCCEEDED, {"seconds": seconds}, at)
            ready = graph.promote(session, at, graph.waiting_for(step.id))
            graph.succeeded(session, step, at)
        reach("jobs.finished-not-rung")
        self._bell.ring(ready)
        return True

    def fail(self, claim: Claim, error: Json, *, again: bool) -> bool:
        """Spend an attempt: queue the step again where that may help and attempts are left, else fail its jobs."""
        again = again and claim.attempt < self._settings.max_attempts
        with self._database.transaction() as session:
            graph.lock(session)
            step = session.scalar(
                select(Step).where(Step.id == claim.step_id, Step.fence == claim.fence, Step.status == Status.RUNNING)
            )
            if step is None:
                return False
            graph.failed_attempt(session, step, error, again, self._clock())
        if again:
            self._bell.ring([Ready(claim.step_id, needs_torch(claim.spec))])
        return True

    def _lease(self) -> datetime:
        return self._clock() + timedelta(seconds=self._settings.lease_seconds)


def _held(claim: Claim) -> Update:
    """Return an UPDATE of the step that touches nothing unless the claim still stands."""
    return update(Step).where(Step.id == claim.step_id, Step.fence == claim.fence, Step.status == Status.RUNNING)
