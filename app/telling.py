"""What the API shows of what is told to others: a job's events, its webhooks, what they are signed with."""

from __future__ import annotations

import uuid

from sqlalchemy import select

from app.cursors import Page, number_of, position_after
from app.db import Database
from app.errors import NotFound
from app.events import read
from app.models import Job, WebhookDelivery
from app.schemas_events import EventOut, WebhookOut
from app.webhooks import message_id


def page_of_events(
    database: Database, tenant_id: uuid.UUID, job_id: uuid.UUID, limit: int, cursor: str | None, after: int
) -> Page[EventOut]:
    """Return some events, oldest first, from the cursor on or after a number. Raises NotFound for the job."""
    start = after if cursor is None else number_of(cursor)
    news = read(database, tenant_id, job_id, start, limit + 1)
    if news is None:
        raise NotFound(f"there is no job {job_id}")
    shown = [EventOut.model_validate(each) for each in news.events[:limit]]
    return Page(shown, position_after(shown[-1].number) if len(news.events) > limit else None)


def webhooks_of(database: Database, tenant_id: uuid.UUID, job_id: uuid.UUID) -> list[WebhookOut]:
    """Return the messages about a job, oldest first. Raises NotFound for the job."""
    with database.reading() as session:
        job = session.get(Job, job_id)
        if job is None or job.tenant_id != tenant_id:
            raise NotFound(f"there is no job {job_id}")
        own = select(WebhookDelivery).where(WebhookDelivery.job_id == job_id)
        found = session.scalars(own.order_by(WebhookDelivery.created_at, WebhookDelivery.id)).all()
    return [_webhook_out(each) for each in found]


def _webhook_out(delivery: WebhookDelivery) -> WebhookOut:
    return WebhookOut(
        id=message_id(delivery.id),
        type=delivery.body["type"],
        url=delivery.url,
        created_at=delivery.created_at,
        attempts=delivery.attempts,
        delivered_at=delivery.delivered_at,
        next_attempt_at=delivery.next_attempt_at,
        last_error=delivery.last_error,
    )
