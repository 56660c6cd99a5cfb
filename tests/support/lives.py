"""A small world for the life of jobs: a clock that is turned by hand, a bell that remembers, jobs of three steps."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from sqlalchemy import select

from app.db import Database
from app.jobs import Claim, Jobs, Ready
from app.models import DEFAULT_PRIORITY, Job, JobStep, Json, Step, Tenant
from app.settings import Settings
from fastmtl.plan import StepSpec

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
CHOSEN: Json = {"counts": {"mnli": {"selected": 10}}, "digest": "abc"}
OUT_OF_MEMORY: Json = {"type": "out-of-memory", "message": "no memory left"}


class Clock:
    """Stands still until it is turned."""

    def __init__(self) -> None:
        self.time = NOON

    def __call__(self) -> datetime:
        return self.time

    def turn(self, seconds: float) -> None:
        self.time += timedelta(seconds=seconds)


class Bell:
    """Remembers what it rang for."""

    def __init__(self) -> None:
        self.rung: list[uuid.UUID] = []

    def ring(self, ready: Sequence[Ready]) -> None:
        self.rung += [each.step_id for each in ready]


class World:
    """Jobs over one database."""

    def __init__(self, database: Database) -> None:
        self.database, self.clock, self.bell = database, Clock(), Bell()
        self.settings = Settings(lease_seconds=30, ring_again_seconds=60, max_attempts=3)
        self.jobs = Jobs(database, self.bell, self.settings, self.clock)
        self.tenant = self.add_tenant("ada's")

    def create(
        self,
        specs: Sequence[StepSpec],
        deadline: float | None = None,
        priority: int = DEFAULT_PRIORITY,
        tenant: uuid.UUID | None = None,
    ) -> uuid.UUID:
        """Create a job of these steps, to be over in so many seconds."""
        job = new_job(tenant or self.tenant)
        job.priority = priority
        job.deadline_at = self.clock() + timedelta(seconds=deadline) if deadline else None
        return self.jobs.create(job, [], specs)

    def add_tenant(self, name: str) -> uuid.UUID:
        tenant = Tenant(id=uuid.uuid4(), name=name, created_at=NOON)
        with self.database.transaction() as session:
            session.add(tenant)
        return tenant.id

    def claim(self, spec: StepSpec, worker: str = "ada") -> Claim:
        """Claim a step that must be there to be taken."""
        claim = self.jobs.claim(self.step(spec).id, worker)
        assert claim is not None
        return claim

    def finish(self, *specs: StepSpec) -> None:
        """Claim and finish steps, one after another."""
        for spec in specs:
            self.finish_claim(self.claim(spec))

    def finish_claim(self, claim: Claim) -> None:
        """Finish a claimed step."""
        assert self.jobs.finish(claim, [], CHOSEN if claim.spec.kind == "select" else {})

    def step(self, spec: StepSpec) -> Step:
        """Return the step as another connection sees it."""
        with self.database.reading() as session:
            return session.scalars(select(Step).where(Step.fingerprint == spec.fingerprint)).one()

    def job(self, job_id: uuid.UUID) -> Job:
        """Return the job as another connection sees it."""
        with self.database.reading() as session:
            return session.get_one(Job, job_id)

    def statuses(self, job_id: uuid.UUID) -> dict[str, str]:
        """Return the status of every step of a job by name."""
        with self.database.reading() as session:
            links = session.scalars(select(JobStep).where(JobStep.job_id == job_id).order_by(JobStep.position))
            return {link.name: link.step.status for link in links}

    def reused(self, job_id: uuid.UUID) -> list[str]:
        """Return the names of the steps that were done before the job came."""
        with self.database.reading() as session:
            links = session.scalars(select(JobStep).where(JobStep.job_id == job_id, JobStep.reused))
            return sorted(link.name for link in links)


def new_job(tenant_id: uuid.UUID) -> Job:
    """Return a job that is not written yet."""
    return Job(id=uuid.uuid4(), tenant_id=tenant_id, name="a job", config={"budget": 10}, priority=DEFAULT_PRIORITY)


def spec(name: str, *needs: StepSpec, **params: object) -> StepSpec:
    """Return a step of that name and kind."""
    return StepSpec(kind=name, name=name, version=1, params=params, needs=tuple(need.fingerprint for need in needs))


TRAIN = spec("discriminator")
SCORE = spec("score", TRAIN)
SELECT = spec("select", SCORE, budget=10)
SELECT_MORE = spec("select", SCORE, budget=20)
CHAIN = [TRAIN, SCORE, SELECT]
OTHER_BUDGET = [TRAIN, SCORE, SELECT_MORE]
