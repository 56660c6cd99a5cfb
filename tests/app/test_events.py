"""The log of events, on both databases."""

from __future__ import annotations

import threading
import uuid

import pytest
from lives import CHAIN, NOON, World
from sqlalchemy import select

from app.db import Database
from app.events import EventType, add, read
from app.models import Event


@pytest.fixture
def world(database: Database) -> World:
    return World(database)


def append(world: World, job_id: uuid.UUID, kind: EventType, data: dict | None = None) -> int:
    with world.database.transaction() as session:
        return add(session, job_id, kind, data or {}, NOON)


def log_of(world: World, job_id: uuid.UUID) -> list[Event]:
    with world.database.reading() as session:
        return list(session.scalars(select(Event).where(Event.job_id == job_id).order_by(Event.number)))


def test_numbers_of_a_job_rise_by_one_from_where_they_were(world):
    one, other = world.create(CHAIN), world.create(CHAIN)
    before = world.job(one).last_event
    numbers = [append(world, one, EventType.STEP_STARTED) for _ in range(3)]
    append(world, other, EventType.STEP_STARTED)
    assert numbers == [before + 1, before + 2, before + 3]
    assert (world.job(one).last_event, world.job(other).last_event) == (before + 3, before + 1)


def test_an_event_says_when_what_and_to_which_job(world):
    job_id = world.create(CHAIN)
    number = append(world, job_id, EventType.STEP_FAILED, {"step": "score", "again": True})
    event = log_of(world, job_id)[-1]
    said = (event.job_id, event.number, event.at, event.type, event.data)
    assert said == (job_id, number, NOON, "step.failed", {"step": "score", "again": True})


def test_an_event_of_what_was_rolled_back_never_was(world):
    job_id = world.create(CHAIN)
    before = len(log_of(world, job_id))
    with pytest.raises(RuntimeError), world.database.transaction() as session:
        add(session, job_id, EventType.JOB_FAILED, {}, NOON)
        raise RuntimeError("the disk is full")
    assert len(log_of(world, job_id)) == before
    assert append(world, job_id, EventType.JOB_PAUSED) == before + 1


def test_a_reader_who_sees_a_number_sees_all_before_it_while_many_write(world):
    job_id = world.create(CHAIN)
    writers = [
        threading.Thread(target=lambda: [append(world, job_id, EventType.STEP_METRICS) for _ in range(10)])
        for _ in range(4)
    ]
    for writer in writers:
        writer.start()
    seen: list[list[int]] = []
    while any(writer.is_alive() for writer in writers):
        seen.append([event.number for event in log_of(world, job_id)])
    assert all(numbers == list(range(1, len(numbers) + 1)) for numbers in seen)
    assert [event.number for event in log_of(world, job_id)] == list(range(1, world.job(job_id).last_event + 1))


def test_a_reader_goes_on_from_the_last_number_it_saw(world):
    job_id = world.create(CHAIN)
    start = world.job(job_id).last_event
    for step in ("discriminator", "score", "select"):
        append(world, job_id, EventType.STEP_STARTED, {"step": step})
    first = read(world.database, world.tenant, job_id, start, 2)
    assert first is not None
    assert ([event.data["step"] for event in first.events], first.over) == (["discriminator", "score"], False)
    rest = read(world.database, world.tenant, job_id, first.events[-1].number, 2)
    assert rest is not None
    assert [event.data["step"] for event in rest.events] == ["select"]


def test_a_reader_is_told_that_a_job_is_over_together_with_its_last_events(world):
    job_id = world.create(CHAIN)
    world.jobs.cancel(job_id)
    last = append(world, job_id, EventType.STEP_WARNING)
    news = [read(world.database, world.tenant, job_id, after, 100) for after in (last - 1, last, last + 5)]
    assert [(len(each.events), each.over) for each in news if each] == [(1, True), (0, True), (0, True)]


def test_another_tenants_log_is_not_there(world):
    job_id = world.create(CHAIN)
    append(world, job_id, EventType.STEP_STARTED)
    readers = (world.tenant, world.add_tenant("bob's"))
    assert [read(world.database, reader, job_id, 0, 10) is None for reader in readers] == [False, True]
    assert read(world.database, world.tenant, uuid.uuid4(), 0, 10) is None
