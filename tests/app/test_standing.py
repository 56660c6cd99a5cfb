"""How the work stands, as Prometheus is told: read from the database, not too often, and never failing."""

from __future__ import annotations

import socket
import time
import uuid
from datetime import timedelta

import pytest
from lives import CHAIN, NOON, TRAIN, World, spec
from sqlalchemy import event

from app.db import Database
from app.models import WebhookDelivery
from app.settings import Settings
from app.standing import Standing


@pytest.fixture
def world(database: Database, tmp_path) -> World:
    return World(database)


def collected(world: World, tmp_path) -> dict[str, dict[tuple[str, ...], float]]:
    """Values by name and labels, of steps only what there is."""
    found = Standing(world.database, Settings(home=tmp_path), world.clock).collect()
    return {family.name: {tuple(sample.labels.values()): sample.value for sample in family.samples} for family in found}


def value(world: World, tmp_path, name: str) -> float:
    return collected(world, tmp_path)[f"fastmtl_{name}"][()]


def test_an_empty_service_has_nothing_to_do(world, tmp_path):
    statuses = ("waiting", "queued", "running", "paused", "succeeded", "failed", "cancelled")
    assert collected(world, tmp_path) == {
        "fastmtl_database_up": {(): 1},
        "fastmtl_steps": {},
        "fastmtl_jobs": {(status,): 0 for status in statuses},
        "fastmtl_queue_steps": {(): 0},
        "fastmtl_queue_oldest_seconds": {(): 0},
        "fastmtl_leases_expired": {(): 0},
        "fastmtl_webhooks_due": {(): 0},
        "fastmtl_workers": {(): 0},
    }


def test_steps_and_jobs_are_counted_over_all_tenants(world, tmp_path):
    world.create(CHAIN)
    world.create([TRAIN])
    world.tenant = world.add_tenant("bob's")
    world.create([TRAIN])
    found = collected(world, tmp_path)
    assert found["fastmtl_steps"] == {
        ("discriminator", "queued"): 2,
        ("score", "waiting"): 1,
        ("select", "waiting"): 1,
    }
    assert (found["fastmtl_jobs"][("queued",)], found["fastmtl_queue_steps"][()]) == (3, 2)


def test_a_step_waits_since_its_job_was_posted(world, tmp_path):
    world.create([TRAIN])
    world.clock.turn(seconds=90)
    assert value(world, tmp_path, "queue_oldest_seconds") == 90


def test_a_step_waits_since_its_inputs_are_there(world, tmp_path):
    world.create(CHAIN)
    world.clock.turn(seconds=3600)
    world.finish(TRAIN)
    world.clock.turn(seconds=7)
    assert value(world, tmp_path, "queue_oldest_seconds") == 7


def test_a_step_that_was_tried_waits_since_its_last_attempt_began(world, tmp_path):
    world.create([TRAIN])
    world.clock.turn(seconds=1000)
    claim = world.claim(TRAIN)
    world.clock.turn(seconds=20)
    world.jobs.give_back(claim)
    world.clock.turn(seconds=5)
    assert value(world, tmp_path, "queue_oldest_seconds") == 25


def test_a_step_that_comes_back_in_a_later_job_waits_since_that_job(world, tmp_path):
    first = world.create([TRAIN])
    world.jobs.cancel(first)
    world.clock.turn(seconds=86_400)
    world.create([TRAIN])
    world.clock.turn(seconds=3)
    assert value(world, tmp_path, "queue_oldest_seconds") == 3


def test_the_oldest_of_many_is_told(world, tmp_path):
    for name in ("a", "b", "c"):
        world.create([spec(name)])
        world.clock.turn(seconds=10)
    world.claim(spec("a"))
    assert value(world, tmp_path, "queue_oldest_seconds") == 20


@pytest.mark.parametrize(("seconds", "expired"), [(29, 0), (31, 1)])  # a lease is 30 s
def test_a_running_step_whose_worker_fell_silent_is_told(world, tmp_path, seconds, expired):
    world.create([TRAIN])
    world.claim(TRAIN)
    world.clock.turn(seconds=seconds)
    assert value(world, tmp_path, "leases_expired") == expired


def test_webhooks_that_are_due_are_told(world, tmp_path):
    job_id = world.create([TRAIN])
    with world.database.transaction() as session:
        for due in (NOON - timedelta(seconds=1), NOON, NOON + timedelta(hours=1), None):
            session.add(
                WebhookDelivery(
                    id=uuid.uuid4(),
                    job_id=job_id,
                    tenant_id=world.tenant,
                    url="https://somebody.example/",
                    body={},
                    created_at=NOON,
                    next_attempt_at=due,
                )
            )
    assert value(world, tmp_path, "webhooks_due") == 2


@pytest.mark.parametrize(("fresh_seconds", "readings"), [(60, 1), (0, 3)])
def test_several_who_ask_within_a_few_seconds_cost_one_reading(world, tmp_path, fresh_seconds, readings):
    read = []
    event.listen(world.database.engine, "begin", lambda connection: read.append(connection))
    collector = Standing(world.database, Settings(home=tmp_path), fresh_seconds=fresh_seconds)
    for _ in range(3):
        list(collector.collect())
    assert len(read) == readings


def test_a_database_that_is_away_is_told_and_no_error(tmp_path):
    database = Database("postgresql+psycopg://ada:pa55@127.0.0.1:1/x")
    found = list(Standing(database, Settings(home=tmp_path)).collect())
    assert [(each.name, each.samples[0].value) for each in found] == [("fastmtl_database_up", 0)]


def test_a_database_that_hangs_is_given_up(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        database = Database(f"postgresql+psycopg://ada:pa55@127.0.0.1:{silent.getsockname()[1]}/x")
        began = time.monotonic()
        found = list(Standing(database, Settings(home=tmp_path), patience_seconds=0.2).collect())
        assert time.monotonic() - began < 5
    assert [(each.name, each.samples[0].value) for each in found] == [("fastmtl_database_up", 0)]
