"""How the work stands, told to Prometheus: read from the database when it asks, by one short transaction.

An answer serves for a few seconds, so that several who ask cost the database no more than one. Where the database does
not answer, the metrics say that, and the scrape does not fail.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

import structlog
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from sqlalchemy import ColumnElement, case, func, or_, select
from sqlalchemy.orm import Session, aliased

from app.clock import now
from app.db import Database
from app.jobs.graph import LIVE
from app.models import Base, Job, JobStep, Status, Step, StepNeed, WebhookDelivery
from app.probe import Probe
from app.roll import Roll
from app.settings import Settings

log = structlog.get_logger()

FRESH_SECONDS = 5.0
PATIENCE_SECONDS = 5.0
"""Prometheus gives up after ten."""


@dataclass(frozen=True)
class Counts:
    """What the database says."""

    steps: Sequence[tuple[str, str, int]]
    """(kind, status, how many)"""
    jobs: dict[str, int]
    queued: int
    oldest_queued: datetime | None
    expired: int
    webhooks_due: int
    workers: int


class Standing(Collector):
    """Collects it."""

    def __init__(
        self,
        database: Database,
        settings: Settings,
        clock: Callable[[], datetime] = now,
        fresh_seconds: float = FRESH_SECONDS,
        patience_seconds: float = PATIENCE_SECONDS,
    ) -> None:
        self._database = database
        self._clock = clock
        self._fresh_seconds, self._patience_seconds = fresh_seconds, patience_seconds
        self._roll = Roll(settings)
        self._counting = Probe(self._count, "count")
        self._lock = threading.Lock()
        self._counted: tuple[float, Counts | None] = (-fresh_seconds, None)

    def collect(self) -> Iterator[Metric]:
        """Yield every metric; where the database is away, only that it is."""
        counts = self._fresh()
        yield _gauge("fastmtl_database_up", "1 where the database answered, else 0.", float(counts is not None))
        if counts is None:
            return
        steps = GaugeMetricFamily("fastmtl_steps", "Steps by kind and status.", labels=["kind", "status"])
        for kind, status, number in counts.steps:
            steps.add_metric([kind, status], number)
        yield steps
        jobs = GaugeMetricFamily("fastmtl_jobs", "Jobs by status.", labels=["status"])
        for status in Status:
            jobs.add_metric([status], counts.jobs.get(status, 0))
        yield jobs
        age = (self._clock() - counts.oldest_queued).total_seconds() if counts.oldest_queued else 0.0
        yield _gauge("fastmtl_queue_steps", "Steps that could begin and that no worker has taken.", counts.queued)
        yield _gauge(
            "fastmtl_queue_oldest_seconds", "How long the first of them waits; 0 where none does.", max(age, 0)
        )
        yield _gauge("fastmtl_leases_expired", "Running steps whose worker has fallen silent.", counts.expired)
        yield _gauge("fastmtl_webhooks_due", "Webhooks whose next attempt is due.", counts.webhooks_due)
        yield _gauge("fastmtl_workers", "Workers that swept within the last few seconds.", counts.workers)

    def describe(self) -> Iterator[Metric]:
        """Name nothing beforehand: registering must not ask the database."""
        yield from ()

    def _fresh(self) -> Counts | None:
        with self._lock:  # those who ask together wait for one answer
            since, counts = self._counted
            if time.monotonic() - since < self._fresh_seconds:
                return counts
            try:
                counts = self._counting.ask(self._patience_seconds)
            except Exception as error:  # whatever a driver raises: a scrape never fails
                log.warning("metrics.no_database", error=repr(error))
                counts = None
            self._counted = time.monotonic(), counts
            return counts

    def _count(self) -> Counts:
        at = self._clock()
        queued, running = Step.status == Status.QUEUED, Step.status == Status.RUNNING
        silent = or_(Step.lease_until.is_(None), Step.lease_until < at)
        by_kind = select(Step.kind, Step.status, func.count()).group_by(Step.kind, Step.status)
        by_status = select(Job.status, func.count()).group_by(Job.status)
        with self._database.reading() as session:
            return Counts(
                steps=[(kind, status, number) for kind, status, number in session.execute(by_kind)],
                jobs={status: number for status, number in session.execute(by_status)},
                queued=_how_many(session, Step, queued),
                oldest_queued=session.scalar(select(func.min(_queued_since())).where(queued)),
                expired=_how_many(session, Step, running & silent),
                webhooks_due=_how_many(session, WebhookDelivery, WebhookDelivery.next_attempt_at <= at),
                workers=self._roll.count(),
            )


def _how_many(session: Session, table: type[Base], wanted: ColumnElement[bool]) -> int:
    return session.scalars(select(func.count()).select_from(table).where(wanted)).one()


def _queued_since() -> ColumnElement[datetime]:
    """Return since when a step can begin: its first live job was posted, its inputs were finished, it was tried before.

    No column says so; of a step that was tried before this is when its last attempt began.
    """
    needed = aliased(Step)
    of_jobs = select(func.min(Job.created_at)).join(JobStep, JobStep.job_id == Job.id)
    posted = of_jobs.where(JobStep.step_id == Step.id, Job.status.in_(LIVE)).correlate(Step).scalar_subquery()
    of_inputs = select(func.max(needed.finished_at)).join(StepNeed, StepNeed.needs_id == needed.id)
    finished = of_inputs.where(StepNeed.step_id == Step.id).correlate(Step).scalar_subquery()
    since: ColumnElement[datetime] = func.coalesce(posted, Step.created_at)
    for later in (finished, Step.started_at):
        since = case((later > since, later), else_=since)
    return since


def _gauge(name: str, sentence: str, value: float) -> Metric:
    return GaugeMetricFamily(name, sentence, value=value)
