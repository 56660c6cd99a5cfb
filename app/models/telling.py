"""What is told to others: a job's events, the webhooks of its end, and what steps were measured to take."""

from __future__ import annotations

import uuid
from datetime import datetime

from sqlalchemy import ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from app.models.base import Base, Json


class Event(Base):
    """Something that happened to a job. Numbers of a job rise by one and are never seen out of order."""

    __tablename__ = "events"

    job_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    at: Mapped[datetime]
    type: Mapped[str]
    """`app.events.EventType`."""
    data: Mapped[Json]


class WebhookDelivery(Base):
    """A message that waits to be delivered, or was, or was given up."""

    __tablename__ = "webhook_deliveries"
    __table_args__ = (Index("webhook_deliveries_due", "next_attempt_at"),)

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    job_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"), index=True)
    tenant_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("tenants.id"))
    url: Mapped[str]
    body: Mapped[Json]
    created_at: Mapped[datetime]
    attempts: Mapped[int] = mapped_column(default=0)
    next_attempt_at: Mapped[datetime | None]
    """None: delivered, or given up."""
    delivered_at: Mapped[datetime | None]
    last_error: Mapped[str | None]


class Measurement(Base):
    """What a finished step took, from which the next ones are foretold."""

    __tablename__ = "measurements"
    __table_args__ = (Index("measurements_by_kind", "device", "kind", "created_at"),)

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    device: Mapped[str]
    """Name of the device that computed it, with precision and threads."""
    kind: Mapped[str]
    """Kind of step."""
    encoder: Mapped[str]
    """Digest of the encoder's description; empty for steps without one."""
    created_at: Mapped[datetime]
    work: Mapped[Json]
    """What there was to do: {rows, tokens, ...}."""
    seconds: Mapped[float]
    peak_bytes: Mapped[int | None]
