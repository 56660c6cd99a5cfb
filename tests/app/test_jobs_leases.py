"""Fences, leases and the sweep: what is lost comes back, and what comes back late changes nothing."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from datetime import timedelta
from functools import partial

import pytest
from lives import CHAIN, OUT_OF_MEMORY, SCORE, TRAIN, Bell, World, new_job, spec
from sqlalchemy import select, update

from app.db import Database
from app.jobs import Jobs, Ready
from app.models import JobStep, Step, StepNeed
from fastmtl.plan import StepSpec


@pytest.fixture
def world(database: Database) -> World:
    return World(database)


def at_once(*calls: Callable[[], object]) -> list[object]:
    """Make the calls in as many threads, all from one start signal; return what they returned, in order."""
    start = threading.Barrier(len(calls))

    def call(one: Callable[[], object]) -> object:
        start.wait()
        return one()

    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(call, calls))


def test_of_two_claimers_exactly_one_wins_every_time(world: World):
    winners = []
    for number in range(50):
        world.create([step := spec("score", round=number)])
        claims = at_once(*[partial(world.jobs.claim, world.step(step).id, name) for name in ("ada", "bob")])
        winners.append(sum(claim is not None for claim in claims))
    assert winners == [1] * 50


def test_a_claim_and_a_cancel_at_once_both_end_and_leave_no_step_running(world: World):
    for number in range(30):
        job_id = world.create([step := spec("score", round=number)])
        step_id = world.step(step).id
        at_once(partial(world.jobs.claim, step_id, "ada"), partial(world.jobs.cancel, job_id))
        assert (world.job(job_id).status, world.step(step).status) == ("cancelled", "cancelled")


def test_a_finish_and_a_cancel_at_once_agree_on_one_end(world: World):
    for number in range(30):
        job_id = world.create([step := spec("score", round=number)])
        claim = world.claim(step)
        ours, _ = at_once(partial(world.jobs.finish, claim, [], {}), partial(world.jobs.cancel, job_id))
        end = "succeeded" if ours else "cancelled"
        assert (world.job(job_id).status, world.step(step).status) == (end, end)


@pytest.mark.parametrize("taken_over", [False, True])
def test_the_writes_of_a_worker_that_lost_its_step_are_refused(world: World, taken_over: bool):
    world.create([TRAIN])
    stale = world.claim(TRAIN)
    world.clock.turn(31)
    world.jobs.sweep()
    if taken_over:
        world.claim(TRAIN, "bob")
    before = row(world, TRAIN)
    refused = [world.jobs.beat(stale, {"done": 1}), world.jobs.finish(stale, [], {}), world.jobs.holds(stale)]
    refused.append(world.jobs.fail(stale, OUT_OF_MEMORY, again=True))
    world.jobs.give_back(stale)
    assert (refused, row(world, TRAIN)) == ([False] * 4, before)


def test_a_step_finished_twice_is_finished_once(world: World):
    world.create([TRAIN])
    claim = world.claim(TRAIN)
    assert [world.jobs.finish(claim, [], {"first": 1}), world.jobs.finish(claim, [], {"second": 2})] == [True, False]
    assert world.step(TRAIN).result == {"first": 1}


def test_a_worker_that_beats_keeps_its_step(world: World):
    world.create([TRAIN])
    claim = world.claim(TRAIN)
    for _ in range(10):  # 10 x 20 s, though the lease is 30 s
        world.clock.turn(20)
        assert world.jobs.beat(claim, None)
        assert world.jobs.sweep() == 0
    assert world.jobs.holds(claim)


def test_a_beat_that_is_being_written_while_the_sweep_looks_keeps_the_step(world: World):
    world.create([TRAIN])
    claim = world.claim(TRAIN)
    world.clock.turn(31)
    with ThreadPoolExecutor(1) as pool:
        with world.database.transaction() as session:
            session.execute(update(Step).values(lease_until=world.clock() + timedelta(seconds=30)))
            sweep = pool.submit(world.jobs.sweep)
            wait([sweep], timeout=0.5)
    assert (sweep.result(), world.jobs.holds(claim)) == (0, True)


def test_a_silent_worker_loses_its_step_and_another_is_rung(world: World):
    world.create([TRAIN])
    claim = world.claim(TRAIN)
    world.bell.rung.clear()
    world.clock.turn(31)
    assert world.jobs.sweep() == 1
    again = world.claim(TRAIN, "bob")
    assert (world.bell.rung, again.attempt, again.fence > claim.fence) == ([claim.step_id], 2, True)
    assert world.step(TRAIN).error["type"] == "worker-lost"


def test_a_running_step_without_a_lease_counts_as_silent(world: World):
    world.create([TRAIN])
    world.claim(TRAIN)
    with world.database.transaction() as session:
        session.execute(update(Step).values(lease_until=None))
    assert (world.jobs.sweep(), world.step(TRAIN).status) == (1, "queued")


def test_three_silent_workers_fail_the_job_which_names_the_step_and_the_worker(world: World):
    job_id = world.create(CHAIN)
    world.finish(TRAIN)
    for _ in range(3):
        world.claim(SCORE, "gpu-7")
        world.clock.turn(31)
        world.jobs.sweep()
    error = world.job(job_id).error
    assert (world.job(job_id).status, error["type"], error["step"]) == ("failed", "worker-lost", "score")
    assert "gpu-7 fell silent" in error["message"] and "3 attempts are spent" in error["message"]


def test_when_one_lost_step_fails_the_job_its_other_lost_step_is_cancelled_and_not_queued(world: World):
    first, second = spec("score", TRAIN, shard=1), spec("score", TRAIN, shard=2)
    job_id = world.create([TRAIN, first, second])
    world.finish(TRAIN)
    for _ in range(2):
        world.jobs.fail(world.claim(first), OUT_OF_MEMORY, again=True)
    world.claim(first), world.claim(second)
    world.clock.turn(31)
    world.jobs.sweep()
    assert (world.job(job_id).status, world.step(first).status, world.step(second).status) == (
        "failed",
        "failed",
        "cancelled",
    )


def test_a_bell_that_was_never_heard_is_rung_again_by_the_sweep(world: World):
    deaf = Jobs(world.database, Deaf(), world.settings, world.clock)
    deaf.create(new_job(world.tenant), [], CHAIN)
    first = world.jobs.sweep()  # not yet: it was rung a moment ago
    world.clock.turn(61)
    assert (first, world.jobs.sweep(), world.bell.rung) == (0, 1, [world.step(TRAIN).id])
    assert world.jobs.sweep() == 0  # and now it was rung a moment ago again


def test_a_step_that_was_given_back_is_rung_by_the_next_sweep(world: World):
    world.create([TRAIN])
    world.jobs.give_back(world.claim(TRAIN))
    assert world.jobs.sweep() == 1


def test_what_is_rung_stands_in_the_database_already(world: World):
    bell = Witness(world.database)
    jobs = Jobs(world.database, bell, world.settings, world.clock)
    jobs.create(new_job(world.tenant), [], CHAIN)
    jobs.finish(world.claim(TRAIN), [], {})
    jobs.fail(world.claim(SCORE), OUT_OF_MEMORY, again=True)
    world.clock.turn(61)
    jobs.sweep()
    assert bell.seen == [("discriminator", "queued"), *[("score", "queued")] * 3]


def test_a_job_that_could_not_be_written_rings_nothing_and_leaves_nothing(world: World):
    twice = [TRAIN, dataclasses.replace(TRAIN, name="the same step again"), None]
    with pytest.raises(AttributeError):
        world.create(twice)
    with world.database.reading() as session:
        assert (session.scalars(select(Step)).all(), world.bell.rung) == ([], [])


def test_eight_creators_of_one_plan_make_its_steps_once(world: World):
    job_ids = at_once(*[lambda: world.create(CHAIN)] * 8)
    with world.database.reading() as session:
        steps = sorted(session.scalars(select(Step.kind)))
        links = len(session.scalars(select(JobStep)).all())
        needs = len(session.scalars(select(StepNeed)).all())
    assert (len(set(job_ids)), steps, links, needs) == (8, ["discriminator", "score", "select"], 24, 2)
    assert world.bell.rung == [world.step(TRAIN).id]


def test_eight_sweeps_at_once_ring_once(world: World):
    world.create([TRAIN])
    world.bell.rung.clear()
    world.clock.turn(61)
    assert sorted(at_once(*[world.jobs.sweep] * 8)) == [0] * 7 + [1]


class Deaf(Bell):
    """Loses everything."""

    def ring(self, ready: Sequence[Ready]) -> None:
        """Ring for nobody."""


class Witness(Bell):
    """Looks, over a connection of its own, at what it is asked to ring for."""

    def __init__(self, database: Database) -> None:
        super().__init__()
        self.database = Database(database.url)
        self.seen: list[tuple[str, str]] = []

    def ring(self, ready: Sequence[Ready]) -> None:
        with self.database.reading() as session:
            self.seen += [(step.kind, step.status) for step in (session.get_one(Step, each.step_id) for each in ready)]
        self.database.close()


def row(world: World, step: StepSpec) -> dict[str, object]:
    """Return every column of a step."""
    found = world.step(step)
    return {column.key: getattr(found, column.key) for column in Step.__table__.columns}
