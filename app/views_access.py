"""What is told of keys and of who asks."""

from __future__ import annotations

from app.clock import now
from app.db import Database
from app.keys import Caller, NewKey
from app.models import ApiKey, Tenant
from app.quotas import Quota, quotas_of
from app.schemas_access import KeyOut, NewKeyOut, QuotaOut, QuotasOut, SelfOut
from app.settings import Settings


def show_key(key: ApiKey) -> KeyOut:
    """Return what is told of a key."""
    return KeyOut.model_validate(_told(key))


def show_new_key(made: NewKey) -> NewKeyOut:
    """Return what is told of a key once."""
    return NewKeyOut.model_validate({**_told(made.record), "key": made.text})


def show_self(database: Database, settings: Settings, caller: Caller) -> SelfOut:
    """Return who asks, and what the tenant has of what it may have."""
    with database.reading() as session:
        key = session.get(ApiKey, caller.key_id) if caller.key_id else None
        quotas = quotas_of(session, settings, caller.tenant_id)
        return SelfOut(
            tenant=session.get_one(Tenant, caller.tenant_id).name,
            scope=caller.scope,
            key=show_key(key) if key else None,
            quotas=QuotasOut(**{name: _quota(quota) for name, quota in quotas._asdict().items()}),
            rate_limit=settings.rate_limit,
        )


def _told(key: ApiKey) -> dict[str, object]:
    told = {name: getattr(key, name) for name in KeyOut.model_fields if name != "active"}
    return {**told, "active": key.counts(now())}


def _quota(quota: Quota) -> QuotaOut:
    return QuotaOut(used=quota.used, limit=quota.limit)
