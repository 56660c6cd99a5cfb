"""A job's log of events: appended in the transaction that makes them true, never changed.

An event is written together with what it tells of, so there is none of something that did not happen. Numbers of a job
rise by one. Each is given by an UPDATE of the job's row, whose lock lasts until the commit: a writer waits for the one
before it, and whoever reads number n can read all before n. So a reader needs to remember one number, and misses
nothing.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from app.db import Database
from app.models import Event, Job, Json, Status


class EventType(StrEnum):
    """What happened."""

    JOB_CREATED = "job.created"
    JOB_STARTED = "job.started"
    JOB_PAUSED = "job.paused"
    JOB_RESUMED = "job.resumed"
    JOB_RETRIED = "job.retried"
    JOB_SUCCEEDED = "job.succeeded"
    JOB_FAILED = "job.failed"
    JOB_CANCELLED = "job.cancelled"
    STEP_STARTED = "step.started"
    STEP_SUCCEEDED = "step.succeeded"
    STEP_FAILED = "step.failed"
    """An attempt is spent; the data says whether there is another."""
    STEP_METRICS = "step.metrics"
    STEP_WARNING = "step.warning"
    SELECTION_MADE = "selection.made"


def add(session: Session, job_id: uuid.UUID, kind: EventType, data: Json, at: datetime) -> int:
    """Append an event to the log of a job that is there; return its number, counted from 1."""
    numbered = update(Job).where(Job.id == job_id).values(last_event=Job.last_event + 1).returning(Job.last_event)
    number = session.execute(numbered, execution_options={"synchronize_session": False}).scalar_one()
    session.add(Event(job_id=job_id, number=number, at=at, type=kind, data=data))
    return number


class News(NamedTuple):
    """What a reader of a job's log has not seen yet."""

    events: Sequence[Event]
    """The oldest ones, in order."""
    over: bool
    """The job has ended: no event follows those that are there, unless somebody begins it anew."""


def read(database: Database, tenant_id: uuid.UUID, job_id: uuid.UUID, after: int, limit: int) -> News | None:
    """Return up to `limit` events after a number; None where the tenant has no such job."""
    with database.reading() as session:
        found = session.execute(select(Job.tenant_id, Job.status, Job.last_event).where(Job.id == job_id)).one_or_none()
        if found is None or found.tenant_id != tenant_id:
            return None
        over = Status(found.status).final
        if found.last_event <= after:  # what most looks of a stream find
            return News([], over)
        later = select(Event).where(Event.job_id == job_id, Event.number > after).order_by(Event.number).limit(limit)
        return News(session.scalars(later).all(), over)
