"""Datasets, jobs, steps and what they leave behind. Status is written by `app.jobs` alone.

A step stands once for all jobs of a tenant that need it: its fingerprint is unique there, `job_steps` says which jobs
wait for it. So what was computed once is found done, and two jobs that want the same at the same time wait for one
computation. Nothing is shared between tenants, not even that something was computed.
"""

from __future__ import annotations

import uuid
from datetime import datetime
from enum import StrEnum

from sqlalchemy import ForeignKey, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from app.models.base import Base, Json

LEAST_PRIORITY, DEFAULT_PRIORITY, MOST_PRIORITY = 0, 5, 9


class Status(StrEnum):
    """Of a job or a step. A job is never WAITING, a step never PAUSED; a step QUEUED has its inputs but no worker."""

    WAITING = "waiting"
    QUEUED = "queued"
    RUNNING = "running"
    PAUSED = "paused"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def final(self) -> bool:
        """Whether nothing will change any more by itself."""
        return self in (Status.SUCCEEDED, Status.FAILED, Status.CANCELLED)


class Role(StrEnum):
    """What a dataset is to a job."""

    PRIMARY = "primary"
    VALIDATION = "validation"
    AUXILIARY = "auxiliary"


class Dataset(Base):
    """A received dataset in its canonical form."""

    __tablename__ = "datasets"
    __table_args__ = (Index("datasets_by_time", "tenant_id", "created_at", "id"),)

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    tenant_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("tenants.id"))
    name: Mapped[str]
    created_at: Mapped[datetime]
    kind: Mapped[str]
    rows: Mapped[int]
    digest: Mapped[str] = mapped_column(index=True)
    """SHA-256 of the canonical file."""
    source_bytes: Mapped[int]
    source_sha256: Mapped[str]
    storage_key: Mapped[str]
    summary: Mapped[Json]
    """`fastmtl.datasets.Summary` as JSON."""


class Job(Base):
    """A selection job."""

    __tablename__ = "jobs"
    __table_args__ = (Index("jobs_by_time", "tenant_id", "created_at", "id"),)

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    tenant_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("tenants.id"))
    name: Mapped[str]
    status: Mapped[str] = mapped_column(index=True)
    config: Mapped[Json]
    """`fastmtl.config.JobConfig` as JSON, presets resolved."""
    created_at: Mapped[datetime]
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    error: Mapped[Json | None]
    """{type, message, step}"""
    deadline_at: Mapped[datetime | None]
    """When it fails if it is not over by then."""
    last_event: Mapped[int] = mapped_column(default=0)
    """Number of its newest event."""
    estimate: Mapped[Json | None]
    """What was foretold when it was posted; None where nothing had been measured yet."""
    webhook_url: Mapped[str | None]
    priority: Mapped[int] = mapped_column(default=DEFAULT_PRIORITY)
    """Of the tenant's jobs the one with more goes first."""

    datasets: Mapped[list[JobDataset]] = relationship(order_by="JobDataset.position", back_populates="job")
    steps: Mapped[list[JobStep]] = relationship(order_by="JobStep.position", back_populates="job")
    selection: Mapped[Selection | None] = relationship(back_populates="job")


class JobDataset(Base):
    """A dataset of a job, and the key that names it in the job's files."""

    __tablename__ = "job_datasets"

    job_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True)
    dataset_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("datasets.id"), index=True)
    role: Mapped[str]
    key: Mapped[str]

    job: Mapped[Job] = relationship(back_populates="datasets")
    dataset: Mapped[Dataset] = relationship()


class Step(Base):
    """One step, computed once for all jobs that need it."""

    __tablename__ = "steps"
    __table_args__ = (
        UniqueConstraint("tenant_id", "fingerprint", name="steps_once_a_tenant"),
        Index("steps_by_status", "status", "rung_at"),
        Index("steps_in_line", "status", "needs_device", "line", "urgency", "id"),
        Index("steps_begun_by_line", "line", "started_at"),
        Index("steps_begun_by_tenant", "tenant_id", "started_at"),
    )

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    tenant_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("tenants.id"))
    fingerprint: Mapped[str]
    kind: Mapped[str]
    spec: Mapped[Json]
    """`fastmtl.plan.StepSpec` as JSON."""
    needs_device: Mapped[bool]
    """Whether it computes with torch: a worker that takes only other steps leaves it to one with a device."""
    urgency: Mapped[int]
    """`fastmtl.pipeline.urgency`: of a line's steps the lowest goes first."""
    line: Mapped[uuid.UUID]
    """In whose turn it is taken (app.jobs.turns): the live job that needs it with the highest priority, the oldest."""
    priority: Mapped[int] = mapped_column(default=DEFAULT_PRIORITY)
    """That job's."""
    status: Mapped[str]
    fence: Mapped[int] = mapped_column(default=0)
    """Rises with every claim; a writer with an older one is refused."""
    attempts: Mapped[int] = mapped_column(default=0)
    worker: Mapped[str | None]
    lease_until: Mapped[datetime | None]
    rung_at: Mapped[datetime | None]
    """When a worker was last told of it."""
    result: Mapped[Json | None]
    """What the step says of itself when it is done: small, for the API to show."""
    progress: Mapped[Json | None]
    """{done, total, unit, message, per_second, seconds_left}"""
    error: Mapped[Json | None]
    """{type, message}"""
    created_at: Mapped[datetime]
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]

    artifacts: Mapped[list[Artifact]] = relationship(order_by="Artifact.name", back_populates="step")


class Sweep(Base):
    """When the graph of steps was last swept: workers do it in turn, so that many cost no more than one."""

    __tablename__ = "sweeps"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    """There is one row, 1."""
    at: Mapped[datetime]


class StepNeed(Base):
    """`step_id` needs what `needs_id` leaves behind."""

    __tablename__ = "step_needs"

    step_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("steps.id", ondelete="CASCADE"), primary_key=True)
    needs_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("steps.id"), primary_key=True, index=True)


class JobStep(Base):
    """A step of a job."""

    __tablename__ = "job_steps"

    job_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True)
    step_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("steps.id"), index=True)
    name: Mapped[str]
    reused: Mapped[bool]
    """It was done before the job came."""

    job: Mapped[Job] = relationship(back_populates="steps")
    step: Mapped[Step] = relationship()


class Artifact(Base):
    """A stored file of a finished step; it is complete, or this row is not there."""

    __tablename__ = "artifacts"

    step_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("steps.id", ondelete="CASCADE"), primary_key=True)
    name: Mapped[str] = mapped_column(primary_key=True)
    """Path below the step's folder, with forward slashes."""
    storage_key: Mapped[str]
    bytes: Mapped[int]
    sha256: Mapped[str]

    step: Mapped[Step] = relationship(back_populates="artifacts")


class Selection(Base):
    """What a job chose."""

    __tablename__ = "selections"

    job_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True)
    step_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("steps.id"))
    config: Mapped[Json]
    counts: Mapped[Json]
    """By dataset key: {rows, seen, leaked, eligible, selected, share, random_share}."""
    digest: Mapped[str]
    """SHA-256 of the chosen (dataset, row) pairs in order of rank."""
    created_at: Mapped[datetime]

    job: Mapped[Job] = relationship(back_populates="selection")
