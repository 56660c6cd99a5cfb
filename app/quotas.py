"""How much a tenant may have: bytes and rows of its datasets, jobs that are not over and their priority.

An upload in parts counts with the bytes that were declared from its beginning until it is given up, refused or swept:
else a disk could be filled with uploads that never end. Once it is a dataset, that counts in its place.

What it has is counted in the transaction that adds to it, while the tenant is locked: two that would pass alone do not
pass together.
"""

from __future__ import annotations

import uuid
from typing import NamedTuple

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app import tenants
from app.errors import QuotaExceeded, TooManyJobs
from app.models import DEFAULT_PRIORITY, Dataset, Job, PartialUpload, Status, Tenant
from app.settings import Settings

RETRY_SECONDS = 30
"""When to ask again whether a job has ended: how long they take, nobody knows beforehand."""
FINAL = [status for status in Status if status.final]


class Quota(NamedTuple):
    """How much of something a tenant has, and how much it may have; None is no limit."""

    used: int
    limit: int | None

    def has_room(self, more: int) -> bool:
        """Whether this much more fits."""
        return self.limit is None or self.used + more <= self.limit


class Quotas(NamedTuple):
    """All quotas of a tenant."""

    bytes: Quota
    rows: Quota
    live_jobs: Quota
    priority: Quota
    """The highest of its jobs that are not over, 0 where all are."""


class _Live(NamedTuple):
    """A tenant's jobs that are not over."""

    jobs: int
    priority: int
    """The highest, 0 where there is none."""


def quotas_of(session: Session, settings: Settings, tenant_id: uuid.UUID) -> Quotas:
    """Count what a tenant has."""
    return _count(session, settings, session.get_one(Tenant, tenant_id), _unfinished(session, tenant_id))


def foresee_upload(session: Session, settings: Settings, tenant_id: uuid.UUID, size: int) -> None:
    """Refuse an upload that will not fit, before it comes: `size` bytes at least. Raises QuotaExceeded."""
    _refuse_upload(session, settings, session.get_one(Tenant, tenant_id), size, rows=1)


def admit_upload(
    session: Session,
    settings: Settings,
    tenant_id: uuid.UUID,
    size: int,
    rows: int = 1,
    upload_id: uuid.UUID | None = None,
) -> None:
    """Let the transaction add a dataset, in the place of the upload in parts that it is made of, or such an upload.

    Raises QuotaExceeded.
    """
    _refuse_upload(session, settings, tenants.lock(session, tenant_id), size, rows, upload_id)


def admit_job(session: Session, settings: Settings, tenant_id: uuid.UUID) -> None:
    """Let the transaction bring back a job that was over. Raises TooManyJobs."""
    _refuse_job(session, settings, tenants.lock(session, tenant_id))


def admit_new_job(session: Session, settings: Settings, tenant_id: uuid.UUID, wanted: int | None) -> int:
    """Let the transaction add a job; return its priority: the wanted one, else the usual or the most that it may have.

    Raises TooManyJobs, QuotaExceeded.
    """
    tenant = tenants.lock(session, tenant_id)
    _refuse_job(session, settings, tenant)
    most = _first(tenant.max_priority, settings.quota_priority)
    assert most is not None, "the settings have one"
    if wanted is None:
        return min(DEFAULT_PRIORITY, most)
    if wanted > most:
        told = f"a job of this tenant may have a priority of at most {most}, not {wanted}; ask the operator for more"
        raise QuotaExceeded(told, "priority", _live_jobs(session, tenant).priority, most)
    return wanted


def _refuse_job(session: Session, settings: Settings, tenant: Tenant) -> None:
    """Refuse a job where the tenant has as many as it may; they are counted only where there is a limit."""
    limit = _first(tenant.max_live_jobs, settings.quota_live_jobs)
    if limit is None:
        return
    used = _live_jobs(session, tenant).jobs
    if used >= limit:
        raise TooManyJobs(
            f"{used:,} jobs are not over, and the quota is {limit:,} at once; wait for one to end, or cancel one",
            used,
            limit,
            RETRY_SECONDS,
        )


def _refuse_upload(
    session: Session, settings: Settings, tenant: Tenant, size: int, rows: int, upload_id: uuid.UUID | None = None
) -> None:
    unfinished = _unfinished(session, tenant.id, upload_id)
    quotas = _count(session, settings, tenant, unfinished)
    for name, quota, more in (("bytes", quotas.bytes, size), ("rows", quotas.rows, rows)):
        if quota.limit is not None and not quota.has_room(more):
            counted = (
                f" ({unfinished:,} of them declared for unfinished uploads)" if unfinished and name == "bytes" else ""
            )
            raise QuotaExceeded(
                f"the datasets hold {quota.used:,} of {quota.limit:,} {name}{counted}, and {more:,} more do not fit; "
                "delete datasets that are no longer needed, or ask the operator for a larger quota",
                name,
                quota.used,
                quota.limit,
            )


def _unfinished(session: Session, tenant_id: uuid.UUID, but: uuid.UUID | None = None) -> int:
    """Return the bytes that uploads in parts declared which are neither a dataset nor refused, all `but` one."""
    declared = select(func.coalesce(func.sum(PartialUpload.bytes), 0)).where(
        PartialUpload.tenant_id == tenant_id, PartialUpload.dataset_id.is_(None), PartialUpload.error.is_(None)
    )
    return int(session.execute(declared if but is None else declared.where(PartialUpload.id != but)).scalar_one())


def _count(session: Session, settings: Settings, tenant: Tenant, unfinished: int) -> Quotas:
    kept = select(func.coalesce(func.sum(Dataset.source_bytes), 0), func.coalesce(func.sum(Dataset.rows), 0))
    size, rows = session.execute(kept.where(Dataset.tenant_id == tenant.id)).one()
    live = _live_jobs(session, tenant)
    return Quotas(
        Quota(int(size) + unfinished, _first(tenant.max_bytes, settings.quota_bytes)),
        Quota(int(rows), _first(tenant.max_rows, settings.quota_rows)),
        Quota(live.jobs, _first(tenant.max_live_jobs, settings.quota_live_jobs)),
        Quota(live.priority, _first(tenant.max_priority, settings.quota_priority)),
    )


def _live_jobs(session: Session, tenant: Tenant) -> _Live:
    live = select(func.count(), func.coalesce(func.max(Job.priority), 0))
    return _Live(*session.execute(live.where(Job.tenant_id == tenant.id, Job.status.not_in(FINAL))).one())


def _first(own: int | None, default: int | None) -> int | None:
    return default if own is None else own
