"""Bodies that tell of events and webhooks."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import Field

from app.events import EventType
from app.fields import ID_EXAMPLE, TIME_EXAMPLE, Record


class EventOut(Record):
    """Something that happened to a job."""

    number: int = Field(description="Its place in the job's log, from 1, without gaps.", ge=1, examples=[7])
    at: datetime = Field(description="When it happened.", examples=[TIME_EXAMPLE])
    type: EventType = Field(description="What happened.", examples=["step.succeeded"])
    data: dict[str, Any] = Field(description="More, by type.", examples=[{"step": "discriminator", "seconds": 12.5}])


class EventPage(Record):
    """Some events of a job, oldest first."""

    items: list[EventOut] = Field(description="The events.")
    next_cursor: str | None = Field(
        description="Leads to the next page; null on the last, where `after` with the last number goes on later.",
        examples=[None],
    )


class WebhookOut(Record):
    """A message about a job, and how its delivery stands."""

    id: str = Field(description="Its webhook-id, the same at every attempt.", max_length=100, examples=["msg_6f0e2f6c"])
    type: EventType = Field(description="What it tells.", examples=["job.succeeded"])
    url: str = Field(description="Where it goes.", max_length=2000, examples=["https://hooks.example.com/fastmtl"])
    created_at: datetime = Field(description="When it was written.", examples=[TIME_EXAMPLE])
    attempts: int = Field(description="Attempts so far.", ge=0, examples=[1])
    delivered_at: datetime | None = Field(description="When it was accepted; null until then.", examples=[TIME_EXAMPLE])
    next_attempt_at: datetime | None = Field(
        description="When it is tried next; null once it is delivered or given up.", examples=[None]
    )
    last_error: str | None = Field(description="Why the last attempt failed.", examples=["it answered 503"])


class WebhookList(Record):
    """The messages about a job."""

    items: list[WebhookOut] = Field(description="The messages, oldest first.")


class WebhookSecret(Record):
    """What the tenant's webhooks are signed with."""

    secret: str = Field(
        description="The secret, as Standard Webhooks writes it.", max_length=100, examples=["whsec_" + ID_EXAMPLE]
    )
