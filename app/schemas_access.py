"""Bodies of requests and answers about API keys and quotas."""

from __future__ import annotations

import uuid
from datetime import datetime, timedelta

from pydantic import AwareDatetime, Field, model_validator

from app.clock import now
from app.fields import ID_EXAMPLE, NO_CONTROLS, TIME_EXAMPLE, Record
from app.keys import PREFIX_LENGTH, Scope

MAX_DAYS = 3650
MAX_OVERLAP_HOURS = 24 * 30
PREFIX_EXAMPLE = "3fJ8kQ0aZ1bX"


class KeyRequest(Record):
    """A key to be made. Without a time it does not end by itself."""

    name: str = Field(
        min_length=1, max_length=200, pattern=NO_CONTROLS, description="A name for people.", examples=["nightly"]
    )
    scope: Scope = Field(
        description="What it may do: `read`; `write` also uploads, submits and cancels; `admin` also makes keys."
    )
    expires_at: AwareDatetime | None = Field(
        None, description="When it ends, with its zone.", examples=["2030-01-31T12:00:00Z"]
    )
    expires_in_days: int | None = Field(
        None, ge=1, le=MAX_DAYS, description="After how many days it ends; instead of expires_at.", examples=[90]
    )

    @model_validator(mode="after")
    def _one_end_to_come(self) -> KeyRequest:
        if self.expires_at is not None and self.expires_in_days is not None:
            raise ValueError("write expires_at or expires_in_days, not both")
        if self.expires_at is not None and self.expires_at <= now():
            raise ValueError("expires_at is over already")
        return self

    def ends(self) -> datetime | None:
        """Return when the key ends, if it does."""
        if self.expires_in_days is not None:
            return now() + timedelta(days=self.expires_in_days)
        return self.expires_at


class RotateRequest(Record):
    """How a key is followed by another."""

    overlap_hours: float = Field(
        24,
        ge=0,
        le=MAX_OVERLAP_HOURS,
        description="How long the old key still counts beside the new one, hours.",
        examples=[24],
    )


class KeyOut(Record):
    """What is known of a key; the key itself is not."""

    id: uuid.UUID = Field(description="The key's id.", examples=[ID_EXAMPLE])
    name: str = Field(max_length=200, description="Its name.", examples=["nightly"])
    prefix: str = Field(
        max_length=PREFIX_LENGTH, description="Its part that is no secret, after `fastmtl_`.", examples=[PREFIX_EXAMPLE]
    )
    scope: Scope = Field(description="What it may do.")
    active: bool = Field(description="Whether it counts: it has not ended and was not revoked.")
    created_at: datetime = Field(description="When it was made.", examples=[TIME_EXAMPLE])
    expires_at: datetime | None = Field(description="When it ends; null if never.", examples=[TIME_EXAMPLE])
    revoked_at: datetime | None = Field(description="When it was revoked.", examples=[None])
    used_at: datetime | None = Field(description="When it was last used, to the minute.", examples=[TIME_EXAMPLE])
    replaced_by: uuid.UUID | None = Field(description="The key that it was rotated to.", examples=[None])


class NewKeyOut(KeyOut):
    """A key that was just made."""

    key: str = Field(
        max_length=100,
        description="The key. Nothing can show it again: keep it now.",
        examples=[f"fastmtl_{PREFIX_EXAMPLE}_…"],
    )


class KeyPage(Record):
    """Some keys, newest first."""

    items: list[KeyOut] = Field(description="The keys, the ended ones too.")
    next_cursor: str | None = Field(description="Leads to the next page; null on the last.", examples=[None])


class QuotaOut(Record):
    """How much there is of something, and how much there may be."""

    used: int = Field(ge=0, description="What there is.", examples=[1000])
    limit: int | None = Field(ge=0, description="What there may be; null if there is no limit.", examples=[100000])


class QuotasOut(Record):
    """The quotas of a tenant."""

    bytes: QuotaOut = Field(description="Bytes of uploads that are kept, and that were declared for unfinished ones.")
    rows: QuotaOut = Field(description="Rows of datasets.")
    live_jobs: QuotaOut = Field(description="Jobs that are not over.")
    priority: QuotaOut = Field(description="Highest priority of a job that is not over, and that a job may have.")


class SelfOut(Record):
    """Who asks."""

    tenant: str = Field(max_length=200, description="Name of the tenant.", examples=["default"])
    scope: Scope = Field(description="What this key may do.")
    key: KeyOut | None = Field(description="The key; null where the service asks for none.")
    quotas: QuotasOut = Field(description="What the tenant has, and what it may have.")
    rate_limit: str | None = Field(
        max_length=50, description="How many requests a key may send; null if any number.", examples=["6000/minute"]
    )
