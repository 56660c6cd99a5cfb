"""What time alone brings about: leases that ran out, bells that nobody heard, deadlines."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import or_, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from app.jobs import graph
from app.jobs.base import Life
from app.jobs.records import Ready
from app.models import Job, Status, Step, Sweep

MOST_BELLS = 1_000
"""Rung at a time: as many as there may be idle workers."""


class Sweeper(Life):
    """The sweep's side."""

    def sweep(self) -> int:
        """Take back steps whose worker is silent and ring again for queued ones nobody took; return how many rang."""
        at = self._clock()
        with self._database.transaction() as session:
            graph.lock(session)
            silent = or_(Step.lease_until.is_(None), Step.lease_until < at)
            # FOR UPDATE: a worker that beats at this moment keeps its step.
            lost = select(Step).where(Step.status == Status.RUNNING, silent).with_for_update()
            for step in session.scalars(lost).all():
                if step.status == Status.RUNNING:  # not cancelled since, with the job that the one before it failed
                    self._take_back(session, step, at)
            self._end_overdue(session, at)
            session.flush()
            ready = graph.promote(session, at)
            ready += self._unheard(session, at)
        self._bell.ring(ready)
        return len(ready)

    def is_due(self) -> bool:
        """Whether it is time to sweep; of workers that ask at the same time one is told so."""
        at = self._clock()
        due = Sweep.at <= at - timedelta(seconds=self._settings.sweep_seconds)
        with self._database.transaction() as session:
            insert = postgresql.insert if session.get_bind().dialect.name == "postgresql" else sqlite.insert
            turn = insert(Sweep).values(id=1, at=at)
            turn = turn.on_conflict_do_update(index_elements=["id"], set_={"at": at}, where=due)
            return session.scalar(turn.returning(Sweep.id)) is not None

    def _unheard(self, session: Session, at: datetime) -> list[Ready]:
        """Return the queued steps that were rung for long ago, those that wait longest, and so many as wake everybody.

        A worker that was woken goes on until nothing is left: so it need not be rung for the others.
        """
        late = at - timedelta(seconds=self._settings.ring_again_seconds)
        unheard = select(Step.id).where(Step.status == Status.QUEUED, or_(Step.rung_at.is_(None), Step.rung_at < late))
        longest = unheard.order_by(Step.rung_at.nulls_first()).limit(MOST_BELLS)
        rung = update(Step).where(Step.id.in_(longest)).values(rung_at=at).returning(Step.id, Step.needs_device)
        found = session.execute(rung.execution_options(synchronize_session=False))
        return [Ready(step_id, needs_device) for step_id, needs_device in found]

    def _take_back(self, session: Session, step: Step, at: datetime) -> None:
        """Spend the attempt of a worker that went silent."""
        again = step.attempts < self._settings.max_attempts
        message = (
            f"the worker {step.worker} fell silent during this step"
            + ("" if again else f", and {step.attempts} attempts are spent")
            + ". The process may have been killed, for want of memory for example: the worker's log says more"
        )
        step.fence += 1
        graph.failed_attempt(session, step, {"type": "worker-lost", "message": message}, again, at)
        step.rung_at = None

    def _end_overdue(self, session: Session, at: datetime) -> None:
        """Fail jobs, resting ones too, that are not over at their deadline."""
        unfinished = Job.status.in_((*graph.LIVE, Status.PAUSED))
        for job in session.scalars(select(Job).where(unfinished, Job.deadline_at <= at)).all():
            message = f"the job was not over at its deadline, {job.deadline_at:%Y-%m-%d %H:%M:%S} UTC"
            graph.end(session, job, Status.FAILED, at, {"type": "deadline-exceeded", "message": message})
