"""A worker's half: what it says of the steps that it is rung for, in lines, measures and spans."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import structlog
from lives import NOON, Bell, new_job, spec
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode
from sqlalchemy import select
from structlog.testing import capture_logs

from app import exporting
from app.db import Database
from app.jobs import Jobs
from app.models import Step, Tenant
from app.roll import Roll
from app.settings import Settings
from app.tracing import Tracing
from worker.tasks import Worker

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
RANK = spec("rank")
CARRIED = {"request_id": "mine", "traceparent": PARENT}


class World:
    """A worker, and jobs over its database of a step that fails at once: it has no parameters."""

    def __init__(self, home: Path) -> None:
        self.settings = Settings(home=home, sweep_seconds=0.05, poll_seconds=0.02, max_attempts=1)
        home.mkdir()
        self.exporter = InMemorySpanExporter()
        self.provider = exporting.provider("worker", self.exporter)
        database = Database(self.settings.database)
        database.migrate()
        self.worker = Worker(self.settings, Tracing(self.provider))
        self.tenant = uuid.uuid4()
        with database.transaction() as session:
            session.add(Tenant(id=self.tenant, name="ada's", created_at=NOON))
        self.jobs = Jobs(database, Bell(), self.settings)
        self.database = database

    def post(self, *specs) -> str:
        return str(self.jobs.create(new_job(self.tenant), [], specs))

    def step_id(self) -> uuid.UUID:
        with self.database.reading() as session:
            return session.scalars(select(Step.id)).one()

    def spans(self) -> dict:
        self.provider.force_flush()
        return {span.name: span for span in self.exporter.get_finished_spans()}

    def value(self, name: str, **labels: str) -> float | None:
        return self.worker.registry.get_sample_value(f"fastmtl_{name}", labels)


@contextmanager
def world_in(home: Path) -> Iterator[World]:
    made = World(home)
    yield made
    made.provider.shutdown()
    made.database.close()


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with world_in(tmp_path / "home") as made:
        yield made


@pytest.fixture(scope="module")
def answered(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[World, str, list[dict]]]:
    """A world whose one step was rung for, tried, and failed."""
    with world_in(tmp_path_factory.mktemp("worker") / "home") as world:
        job = world.post(RANK)
        with capture_logs([structlog.contextvars.merge_contextvars]) as lines:
            world.worker.work(world.step_id(), CARRIED)
        yield world, job, lines


def test_every_line_of_a_step_says_what_it_is_about(answered):
    world, job, lines = answered
    about = {
        "request_id": "mine",
        "job_ids": [job],
        "step_id": str(world.step_id()),
        "tenant_id": str(world.tenant),
    }
    assert [line["event"] for line in lines] == ["step.began", "step.ended"]
    assert [{name: line[name] for name in about} for line in lines] == [about, about]
    assert structlog.contextvars.get_contextvars() == {}


def test_what_its_process_logs_says_so_too(world, capfd):
    job = world.post(RANK)
    world.worker.work(world.step_id(), CARRIED)
    told = capfd.readouterr().err
    assert "step.failed" in told and "Traceback" in told
    assert [each in told for each in ("mine", job, str(world.step_id()), str(world.tenant))] == [True] * 4


def test_its_span_is_a_child_of_the_request_that_rang_and_holds_its_process(answered):
    spans = answered[0].spans()
    step, process = spans["step rank"], spans["process"]
    assert f"00-{step.context.trace_id:032x}-{step.parent.span_id:016x}-01" == PARENT
    assert process.parent.span_id == step.context.span_id
    assert step.start_time <= process.start_time < process.end_time <= step.end_time
    assert (step.kind, step.status.status_code) == (SpanKind.CONSUMER, StatusCode.ERROR)
    assert dict(step.attributes) == {
        "fastmtl.kind": "rank",
        "fastmtl.step_id": str(answered[0].step_id()),
        "fastmtl.attempt": 1,
        "fastmtl.outcome": "failed",
        "fastmtl.request_id": "mine",
    }


def test_it_is_measured(answered):
    world = answered[0]
    assert world.value("steps_ended_total", kind="rank", outcome="failed") == 1
    assert world.value("step_seconds_count", kind="rank") == 1
    assert world.value("worker_busy") == 0


def test_a_second_bell_is_neither_told_nor_measured(answered):
    world = answered[0]
    with capture_logs() as lines:
        world.worker.work(world.step_id(), CARRIED)
    assert (lines, world.value("step_seconds_count", kind="rank")) == ([], 1)


def test_a_step_that_several_jobs_wait_for_names_them_all(world):
    jobs = [world.post(RANK), world.post(RANK)]
    with capture_logs([structlog.contextvars.merge_contextvars]) as lines:
        world.worker.work(world.step_id(), {})
    assert lines[0]["job_ids"] == jobs and "request_id" not in lines[0]


def test_sweeps_are_counted_and_say_that_the_worker_is_there(world):
    world.post(RANK)
    sweeping = threading.Thread(target=world.worker.sweep)
    roll = Roll(world.settings)
    sweeping.start()
    for _ in range(600):
        if roll.count():
            break
        threading.Event().wait(0.05)
    counted = roll.count()
    world.worker.stop()
    sweeping.join(30)
    assert (counted, world.value("sweeps_total", outcome="failed")) == (1, 0)
    assert world.value("sweeps_total", outcome="done") >= 1 and world.value("sweep_age_seconds") >= 0


def test_a_sweep_that_fails_is_counted_and_tried_again(world):
    sweeping = threading.Thread(target=world.worker.sweep)
    with world.database.engine.connect() as connection:
        connection.exec_driver_sql("ALTER TABLE steps RENAME TO hidden")
        connection.commit()
    with capture_logs() as lines:
        sweeping.start()
        for _ in range(600):
            if world.value("sweeps_total", outcome="failed") >= 2:
                break
            threading.Event().wait(0.05)
        world.worker.stop()
        sweeping.join(30)
    assert {line["event"] for line in lines} == {"sweep.failed"} and len(lines) >= 2
    assert world.value("sweeps_total", outcome="done") == 0
