"""Who may do what: tenants, their keys, sessions of the page, and the answers that an Idempotency-Key stands for."""

from __future__ import annotations

import uuid
from datetime import datetime

from sqlalchemy import ForeignKey, Index, LargeBinary
from sqlalchemy.orm import Mapped, mapped_column, relationship

from app.models.base import Base, Json


class Tenant(Base):
    """Whose datasets and jobs they are. Tenants never see one another. A quota that is None is the service's own."""

    __tablename__ = "tenants"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)
    created_at: Mapped[datetime]
    max_bytes: Mapped[int | None]
    """Of all its uploads together."""
    max_rows: Mapped[int | None]
    """Of all its datasets together."""
    max_live_jobs: Mapped[int | None]
    """That are not over at the same time."""
    max_priority: Mapped[int | None]
    """Of its jobs."""

    keys: Mapped[list[ApiKey]] = relationship(back_populates="tenant")


class ApiKey(Base):
    """A key, of which only a keyed hash is stored."""

    __tablename__ = "api_keys"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    tenant_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("tenants.id"), index=True)
    name: Mapped[str]
    prefix: Mapped[str] = mapped_column(unique=True)
    """The part of the key that is no secret and by which it is found."""
    hash: Mapped[str]
    """HMAC-SHA256 of the whole key under the service's secret, hex."""
    scope: Mapped[str]
    """`app.keys.Scope`; each holds those before it."""
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]
    used_at: Mapped[datetime | None]
    """When it was last used, to the minute."""
    replaced_by: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("api_keys.id", name="api_keys_replaced_by_fkey"))
    """The key that it was rotated to: it then ends as was said, and is not rotated again."""

    tenant: Mapped[Tenant] = relationship(back_populates="keys")

    def counts(self, at: datetime) -> bool:
        """Whether it lets anybody in at that time."""
        return self.revoked_at is None and (self.expires_at is None or self.expires_at > at)


class PageSession(Base):
    """Somebody who showed a key to the web page and is known by a cookie since."""

    __tablename__ = "page_sessions"
    __table_args__ = (Index("page_sessions_by_expiry", "expires_at"), Index("page_sessions_by_key", "key_id"))

    hash: Mapped[str] = mapped_column(primary_key=True)
    """HMAC-SHA256 of the cookie's token under the service's secret, hex."""
    key_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("api_keys.id", ondelete="CASCADE"))
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime]


class IdempotentAnswer(Base):
    """The answer to a request that named an Idempotency-Key; without a status the request is still being answered."""

    __tablename__ = "idempotent_answers"
    __table_args__ = (Index("idempotent_answers_by_time", "created_at"),)

    tenant_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("tenants.id", ondelete="CASCADE"), primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    request: Mapped[str]
    """Method and path with query."""
    body_sha256: Mapped[str | None]
    resource_id: Mapped[uuid.UUID]
    """Id of what the request makes: a second attempt after a crash makes the same thing, not another."""
    created_at: Mapped[datetime]
    held_until: Mapped[datetime]
    """A request that has not answered by then died with its process."""
    status: Mapped[int | None]
    headers: Mapped[Json | None]
    body: Mapped[bytes | None] = mapped_column(LargeBinary)


class PartialUpload(Base):
    """An upload that comes in parts (tus 1.0). How much of it is there, its file says."""

    __tablename__ = "partial_uploads"
    __table_args__ = (Index("partial_uploads_by_expiry", "expires_at"),)

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    tenant_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("tenants.id"), index=True)
    bytes: Mapped[int]
    """Declared length."""
    options: Mapped[Json]
    """`app.schemas_uploads.UploadOptions` as JSON."""
    metadata_header: Mapped[str | None]
    """Upload-Metadata as it came, to be told again."""
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    held_until: Mapped[datetime | None]
    """A request is writing to it until then, at most."""
    dataset_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("datasets.id", ondelete="SET NULL"))
    error: Mapped[Json | None]
    """Why the whole file was refused: the problem that the last part was answered with."""
