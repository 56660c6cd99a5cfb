"""Whose turn it is: between tenants, between a tenant's jobs, and by what a worker takes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from lives import World, spec
from sqlalchemy import event

from app.db import Database
from app.jobs import Claim
from app.models import Step
from fastmtl.plan import StepSpec


@pytest.fixture
def world(database: Database) -> World:
    return World(database)


def shards(of: str, count: int) -> list[StepSpec]:
    """A job that is all score shards."""
    return [spec("score", of=of, shard=number) for number in range(count)]


def whose(claim: Claim | None) -> str:
    assert claim is not None
    return claim.spec.params["of"]


def taken(world: World, count: int, *, at_once: bool) -> str:
    """Whose steps are taken, one after another on one worker, or by as many workers at once."""
    found = ""
    for _ in range(count):
        world.clock.turn(1)
        claim = world.jobs.claim_next("ada")
        found += whose(claim)
        if not at_once:
            world.finish_claim(claim)
    return found


@pytest.mark.parametrize("at_once", [False, True])
def test_a_small_job_is_not_stuck_behind_a_large_one(world: World, at_once: bool):
    world.create(shards("L", 20))
    before = taken(world, 2, at_once=at_once)
    world.create(shards("s", 2))
    after = taken(world, 5, at_once=at_once)
    assert (before, after.count("s"), after[0]) == ("LL", 2, "s")


@pytest.mark.parametrize("at_once", [False, True])
def test_a_tenant_with_one_job_has_as_many_turns_as_one_with_three(world: World, at_once: bool):
    for name in "abc":
        world.create(shards(name, 10))
    world.create(shards("z", 10), tenant=world.add_tenant("bob's"))
    assert taken(world, 12, at_once=at_once).count("z") == 6


@pytest.mark.parametrize("at_once", [False, True])
def test_of_a_tenants_jobs_the_one_with_the_higher_priority_goes_first(world: World, at_once: bool):
    world.create(shards("n", 4))
    world.create(shards("h", 4), priority=9)
    world.create(shards("l", 4), priority=0)
    assert taken(world, 12, at_once=at_once) == "hhhhnnnnllll"


def test_a_priority_takes_no_turns_from_other_tenants(world: World):
    world.create(shards("h", 6), priority=9)
    world.create(shards("z", 6), tenant=world.add_tenant("bob's"), priority=0)
    assert sorted(taken(world, 6, at_once=False)) == list("hhhzzz")


def test_of_jobs_of_one_priority_the_one_with_fewer_running_steps_goes_first(world: World):
    world.create(shards("a", 6))
    running = taken(world, 3, at_once=True)
    world.create(shards("b", 6))
    assert (running, taken(world, 4, at_once=True)) == ("aaa", "bbba")


def test_in_a_line_the_most_urgent_step_goes_first(world: World):
    world.create([spec("target", of="t"), spec("score", of="s"), spec("leakage", of="l")])
    assert taken(world, 3, at_once=False) == "lst"


def test_each_worker_takes_what_it_is_for(world: World):
    world.create([spec("leakage", of="c"), spec("score", of="g")])
    kinds = [world.jobs.claim_next(name, takes).spec.kind for name, takes in [("ada", "gpu"), ("bob", "cpu")]]
    assert kinds == ["score", "leakage"]
    assert [world.jobs.claim_next("eve", takes) for takes in ("all", "cpu", "gpu")] == [None, None, None]


def test_a_worker_without_a_device_leaves_what_needs_one(world: World):
    world.create(shards("g", 3))
    assert world.jobs.claim_next("ada", "cpu") is None
    assert whose(world.jobs.claim_next("ada", "all")) == "g"


def line_and_priority(world: World, step: StepSpec) -> tuple[object, int]:
    found: Step = world.step(step)
    return found.line, found.priority


def test_a_step_of_two_jobs_stands_in_the_line_of_the_more_urgent_one_while_that_lives(world: World):
    (step,) = shards("both", 1)
    usual = world.create([step])
    urgent = world.create([step], priority=8)
    seen = [line_and_priority(world, step)]
    world.jobs.pause(urgent)
    seen.append(line_and_priority(world, step))
    world.jobs.resume(urgent)
    seen.append(line_and_priority(world, step))
    world.jobs.cancel(urgent)
    seen.append(line_and_priority(world, step))
    assert seen == [(urgent, 8), (usual, 5), (urgent, 8), (usual, 5)]


@contextmanager
def statements(database: Database) -> Iterator[list[str]]:
    """Every statement that goes to the database meanwhile."""
    said: list[str] = []

    def note(_connection, _cursor, statement, *_) -> None:
        said.append(statement)

    event.listen(database.engine, "before_cursor_execute", note)
    yield said
    event.remove(database.engine, "before_cursor_execute", note)


def test_a_claim_and_a_finish_say_as_much_for_a_job_of_many_steps_as_for_a_small_one(world: World):
    said = []
    for count in (3, 300):
        world.create(shards(str(count), count))
        claim = world.jobs.claim_next("ada")
        world.finish_claim(claim)
        with statements(world.database) as found:
            world.finish_claim(world.jobs.claim_next("ada"))
        said.append(len(found))
        world.tenant = world.add_tenant(f"after {count}")
    assert said[0] == said[1] <= 22


def test_one_statement_decides_and_takes(world: World):
    world.create(shards("a", 3))
    with statements(world.database) as said:
        world.jobs.claim_next("ada")
    changing = [each for each in said if "UPDATE steps" in each]
    looking = [each for each in said if each.startswith("SELECT") and "ORDER BY coalesce" in each]
    assert (len(changing), looking) == (1, [])


def test_of_workers_that_ask_whether_to_sweep_one_is_told_so(world: World):
    first = [world.jobs.is_due() for _ in range(3)]
    world.clock.turn(world.settings.sweep_seconds)
    assert (first, [world.jobs.is_due() for _ in range(2)]) == ([True, False, False], [True, False])
