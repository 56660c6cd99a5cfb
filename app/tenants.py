"""Tenants: found by name, made, and held while something of theirs is counted."""

from __future__ import annotations

import uuid
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.errors import Conflict, NotFound
from app.models import Tenant


def find(session: Session, name: str) -> Tenant:
    """Return a tenant by name. Raises NotFound."""
    found = session.scalar(select(Tenant).where(Tenant.name == name))
    if found is None:
        raise NotFound(f"there is no tenant {name!r}")
    return found


def add(session: Session, name: str, at: datetime) -> Tenant:
    """Make a tenant. Raises Conflict where the name is taken."""
    if session.scalar(select(Tenant.id).where(Tenant.name == name)):
        raise Conflict(f"there is a tenant {name!r} already")
    tenant = Tenant(id=uuid.uuid4(), name=name, created_at=at)
    session.add(tenant)
    session.flush()
    return tenant


def every(session: Session) -> list[Tenant]:
    """Return all tenants by name."""
    return list(session.scalars(select(Tenant).order_by(Tenant.name)))


def lock(session: Session, tenant_id: uuid.UUID) -> Tenant:
    """Return a tenant and let no other transaction lock it before this one ends: what is counted then stays true.

    Rows that only refer to it may still be written (FOR NO KEY UPDATE). SQLite's transactions follow one another as
    it is.
    """
    held = select(Tenant).where(Tenant.id == tenant_id).with_for_update(key_share=True)
    return session.execute(held.execution_options(populate_existing=True)).scalar_one()
