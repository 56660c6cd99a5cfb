"""Deliveries: when, by whom, how often."""

from __future__ import annotations

import random
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import pytest
from lives import CHAIN, NOON, World
from receiver import PUBLIC, Names, Receiver, Wire, receiving
from sqlalchemy import select

from app.db import Database
from app.models import Job, Status, WebhookDelivery
from app.settings import Settings
from app.webhooks import enqueue
from worker.sender import Sender
from worker.webhooks import HELD, LASTS, Claimed, Courier, next_attempt

SETTINGS = Settings(secret="s" * 32, webhook_allow_http=True, webhook_poll_seconds=0.01)
URL = "http://hooks.example.com/x"


class Steady(random.Random):
    """Draws the middle: no jitter."""

    def uniform(self, a: float, b: float) -> float:
        return (a + b) / 2


@pytest.fixture
def world(database: Database) -> World:
    return World(database)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as running:
        yield running


def courier(world: World, port: int | None = None) -> Courier:
    sender = Sender(SETTINGS, world.clock, Names([PUBLIC]), Wire(port))
    return Courier(world.database, SETTINGS, sender, world.clock)


def owe(world: World, messages: int = 1) -> list[uuid.UUID]:
    """End jobs whose owner wants to know; return the ids of the messages."""
    for _ in range(messages):
        job_id = world.create(CHAIN)
        with world.database.transaction() as session:
            job = session.get_one(Job, job_id)
            job.status, job.webhook_url = Status.SUCCEEDED, URL
            enqueue(session, job, world.clock())
    return [each.id for each in deliveries(world)]


def deliveries(world: World) -> list[WebhookDelivery]:
    with world.database.reading() as session:
        return list(session.scalars(select(WebhookDelivery)))


def claimed(courier: Courier) -> Claimed:
    found = courier.claim()
    assert found is not None
    return found


def stands(world: World) -> tuple:
    """How the one delivery stands."""
    (each,) = deliveries(world)
    due = each.next_attempt_at and (each.next_attempt_at - NOON).total_seconds()
    return each.attempts, due, each.delivered_at, each.last_error


def test_a_message_is_delivered_once_and_then_due_no_more(world, receiver):
    owe(world)
    sending = courier(world, receiver.port)
    sending.deliver(claimed(sending))
    assert stands(world) == (1, None, NOON, None)
    world.clock.turn(10 * 86400)
    assert (sending.claim(), len(receiver.requests)) == (None, 1)


def test_a_failure_is_noted_in_a_sentence_and_tried_again_later(world, receiver):
    owe(world)
    receiver.answers = [(500, {"X-Secret": "the body and headers of an answer are nobody's business"})]
    sending = courier(world, receiver.port)
    sending._random = Steady()
    sending.deliver(claimed(sending))
    assert stands(world) == (1, 5.0, None, "it answered 500")
    assert sending.claim() is None
    world.clock.turn(5)
    sending.deliver(claimed(sending))
    assert stands(world) == (2, None, NOON + timedelta(seconds=5), None)


def test_a_receiver_that_is_gone_is_asked_no_more(world, receiver):
    owe(world)
    receiver.answers = [(410, {})]
    sending = courier(world, receiver.port)
    sending.deliver(claimed(sending))
    assert stands(world) == (1, None, None, "it answered 410: it wants no more; given up")


def test_a_message_is_tried_for_a_day_and_then_given_up(world):
    owe(world)
    sending = courier(world)
    sending._random = Steady()
    tried = []
    while deliveries(world)[0].next_attempt_at:
        world.clock.time = deliveries(world)[0].next_attempt_at
        tried.append((world.clock.time - NOON).total_seconds())
        sending.deliver(claimed(sending))
    early = [0, 5, 35, 155, 755, 4355]  # 5 s, 30 s, 2 min, 10 min and 1 h between them
    late = [4355 + 10_800 * n for n in range(1, 8)]  # then 3 h; the next would be after 86,400 s
    assert tried == early + late
    assert stands(world) == (13, None, None, "the connection failed; given up")


@pytest.mark.parametrize(
    ("attempts", "shortest", "longest"),
    [
        (1, 4.5, 5.5),  # 5 s, a tenth more or less
        (2, 27, 33),
        (5, 3240, 3960),
        (6, 9720, 11_880),  # 3 h
        (9, 9720, 11_880),
    ],
)
def test_delays_differ_by_a_tenth(attempts, shortest, longest):
    draw = random.Random(3)
    due = [next_attempt(NOON, attempts, NOON, draw) for _ in range(200)]
    seconds = [(each - NOON).total_seconds() for each in due if each]
    assert shortest <= min(seconds) < max(seconds) <= longest
    assert len(set(seconds)) > 100


def test_nothing_is_tried_after_a_day():
    assert next_attempt(NOON, 1, NOON + LASTS - timedelta(seconds=4), random.Random(1)) is None


def test_what_is_claimed_is_nobody_elses_until_the_claim_runs_out(world):
    owe(world)
    first, second = courier(world), courier(world)
    assert claimed(first).attempt == 1
    assert second.claim() is None
    world.clock.turn(HELD.total_seconds())
    assert claimed(second).attempt == 2


def test_a_worker_that_was_away_too_long_writes_nothing(world, receiver):
    owe(world)
    slow, quick = courier(world), courier(world, receiver.port)
    stale = claimed(slow)
    world.clock.turn(HELD.total_seconds())
    quick.deliver(claimed(quick))
    before = stands(world)
    slow.deliver(stale)
    assert stands(world) == before


def test_a_message_whose_workers_die_every_time_is_given_up_too(world):
    owe(world)
    dying = courier(world)
    for _ in range(3):
        claimed(dying)
        world.clock.turn(HELD.total_seconds())
    world.clock.turn(LASTS.total_seconds())
    assert (dying.claim(), stands(world)) == (None, (3, None, None, "not sent; given up"))


def test_a_message_that_no_worker_was_there_for_is_sent_however_late(world, receiver):
    owe(world)
    world.clock.turn(3 * 86400)
    sending = courier(world, receiver.port)
    assert sending.deliver(claimed(sending)).delivered


def test_workers_side_by_side_claim_every_message_once(world):
    owed = owe(world, 12)
    found: list[uuid.UUID] = []

    def take() -> None:
        own = courier(world)
        while one := own.claim():
            found.append(one.message.id)

    workers = [threading.Thread(target=take) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert sorted(found) == sorted(owed)


@contextmanager
def running(world: World, receiver: Receiver) -> Iterator[None]:
    """Run a courier in a thread; it has stopped on leaving."""
    stopping = threading.Event()
    thread = threading.Thread(target=courier(world, receiver.port).run, args=(stopping,))
    thread.start()
    try:
        yield
    finally:
        stopping.set()
        thread.join(20)
    assert not thread.is_alive()


def delivered(world: World, messages: int) -> set[uuid.UUID]:
    """Wait until so many messages are delivered; return which."""
    until = time.monotonic() + 30
    while True:
        found = {each.id for each in deliveries(world) if each.delivered_at}
        if len(found) >= messages or time.monotonic() > until:
            return found
        time.sleep(0.02)


def test_a_running_courier_delivers_what_comes_and_stops(world, receiver):
    with running(world, receiver):
        owed = owe(world, 6)
        assert delivered(world, 6) == set(owed)
    assert [(each.attempts, each.delivered_at) for each in deliveries(world)] == [(1, NOON)] * 6


def test_a_receiver_that_says_nothing_does_not_hold_up_the_others(world, receiver):
    receiver.silent = 1
    with running(world, receiver):
        silent = owe(world)
        while not receiver.requests:
            time.sleep(0.02)
        everything = owe(world, 2)
        assert delivered(world, 2) == set(everything) - set(silent)
        receiver.speak.set()
        assert delivered(world, 3) == set(everything)
