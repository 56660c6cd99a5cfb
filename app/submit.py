"""Turns a request for a selection into a job: finds its datasets, checks that they fit, plans its steps."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Sequence
from datetime import timedelta
from typing import NamedTuple

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.clock import now
from app.db import Database
from app.estimate import compact, foretell
from app.jobs import Jobs
from app.models import Dataset, Job, JobDataset, Role
from app.quotas import admit_new_job
from app.roll import Roll
from app.schemas import NewJob
from app.schemas_estimate import EstimateOut
from app.settings import Settings
from app.webhooks import check_url
from fastmtl import pipeline
from fastmtl.datasets import TaskKind
from fastmtl.errors import InvalidConfig
from fastmtl.plan import StepSpec, TaskRef

MIN_ROWS_ALONE = 2
"""Rows of a primary without a validation dataset: one trains, one is held out."""


class Plan(NamedTuple):
    """A job that could be run: its datasets, the primary first, with what each is called, and its steps."""

    datasets: list[Dataset]
    keys: dict[uuid.UUID, str]
    steps: list[StepSpec]


def submit(
    database: Database, jobs: Jobs, settings: Settings, tenant_id: uuid.UUID, request: NewJob, job_id: uuid.UUID
) -> uuid.UUID:
    """Create the job of that id, unless it is there, and return the id. Raises InvalidConfig naming the field."""
    with database.reading() as session:
        if session.get(Job, job_id) is not None:
            return job_id
        if request.webhook_url:
            check_url(settings, request.webhook_url)
        found = _datasets(session, tenant_id, request)
    plan = _plan(settings, request, found)
    count = len(request.auxiliary)
    roles = [Role.PRIMARY, *[Role.AUXILIARY] * count, *([Role.VALIDATION] if request.validation else [])]
    members = [
        JobDataset(position=position, dataset_id=each.id, role=role, key=plan.keys[each.id])
        for position, (each, role) in enumerate(zip(plan.datasets, roles, strict=True))
    ]
    job = Job(
        id=job_id,
        tenant_id=tenant_id,
        name=request.name,
        config=request.config.model_dump(mode="json"),
        deadline_at=now() + timedelta(seconds=request.deadline_seconds) if request.deadline_seconds else None,
        webhook_url=request.webhook_url,
        estimate=compact(_foretell(database, settings, tenant_id, request, plan)),
    )

    def admit(session: Session) -> None:
        job.priority = admit_new_job(session, settings, tenant_id, request.priority)

    return jobs.create(job, members, plan.steps, admit)


def estimate(database: Database, settings: Settings, tenant_id: uuid.UUID, request: NewJob) -> EstimateOut:
    """Return what the job would take; nothing is written. Raises what `submit` does."""
    with database.reading() as session:
        found = _datasets(session, tenant_id, request)
    return _foretell(database, settings, tenant_id, request, _plan(settings, request, found))


def _plan(settings: Settings, request: NewJob, found: list[Dataset]) -> Plan:
    """Check a request for these datasets and write its steps down."""
    _check(request, found)
    keys = _keys(found)
    refs = [TaskRef(keys[each.id], each.digest, each.rows) for each in found]
    auxiliary = tuple(refs[1 : 1 + len(request.auxiliary)])
    tasks = pipeline.Tasks(refs[0], auxiliary, refs[-1] if request.validation else None)
    return Plan(found, keys, pipeline.plan(request.config, tasks, settings.encoders))


def _foretell(database: Database, settings: Settings, tenant_id: uuid.UUID, request: NewJob, plan: Plan) -> EstimateOut:
    workers = Roll(settings).count()
    with database.reading() as session:
        return foretell(session, tenant_id, plan.datasets, request.config, plan.steps, settings.encoders, workers)


def _datasets(session: Session, tenant_id: uuid.UUID, request: NewJob) -> list[Dataset]:
    """Return the primary, the auxiliaries in their order, and the validation dataset where there is one."""
    wanted = {"primary": request.primary}
    wanted |= {f"auxiliary.{index}": each for index, each in enumerate(request.auxiliary)}
    if request.validation:
        wanted["validation"] = request.validation
    fields: dict[uuid.UUID, str] = {}
    for field, each in wanted.items():
        if each in fields:
            raise InvalidConfig(field, f"{field} is the same dataset as {fields[each]}; every dataset has one role")
        fields[each] = field
    rows = session.scalars(select(Dataset).where(Dataset.id.in_(fields), Dataset.tenant_id == tenant_id))
    there = {dataset.id: dataset for dataset in rows}
    for each, field in fields.items():
        if each not in there:
            raise InvalidConfig(field, f"there is no dataset {each}")
    return [there[each] for each in fields]


def _check(request: NewJob, found: Sequence[Dataset]) -> None:
    """Refuse a primary that is too small and a validation dataset that does not fit it."""
    primary = found[0]
    if request.validation is None:
        if primary.rows < MIN_ROWS_ALONE:
            raise InvalidConfig(
                "primary",
                f"{primary.name!r} has {primary.rows} row; without a validation dataset at least 2 are needed",
            )
        return
    validation = found[-1]
    if (validation.kind, _is_pair(validation)) != (primary.kind, _is_pair(primary)):
        told = [f"{'pairs' if _is_pair(each) else 'single texts'} for {each.kind}" for each in (primary, validation)]
        raise InvalidConfig("validation", f"the primary holds {told[0]}, the validation dataset {told[1]}")
    if primary.kind == TaskKind.CLASSIFICATION and (
        strange := sorted(set(_classes(validation)) - set(_classes(primary)))
    ):
        raise InvalidConfig(
            "validation", f"its classes {strange[:20]} are not among the primary's, {_classes(primary)[:20]}"
        )


def _is_pair(dataset: Dataset) -> bool:
    return dataset.summary["columns"]["text_b"] is not None


def _classes(dataset: Dataset) -> list[str]:
    return [each["label"] for each in dataset.summary["labels"]]


def _keys(found: Sequence[Dataset]) -> dict[uuid.UUID, str]:
    """Return what each dataset is called in the job's files: its name, with a piece of the id where two share it."""
    names = Counter(dataset.name for dataset in found)
    return {each.id: each.name if names[each.name] == 1 else f"{each.name}@{str(each.id)[:8]}" for each in found}
