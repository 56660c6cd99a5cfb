"""What the owner does with a job: let it rest, go on, try again, remove it; what its log then tells."""

from __future__ import annotations

import uuid

import pytest
from lives import CHAIN, NOON, OTHER_BUDGET, OUT_OF_MEMORY, SCORE, SELECT, TRAIN, World
from sqlalchemy import func, select

from app.db import Database
from app.events import EventType
from app.jobs import News, StoredFile
from app.models import Artifact, Base, Event, Job


@pytest.fixture
def world(database: Database) -> World:
    return World(database)


def log(world: World, job_id: uuid.UUID) -> list[str]:
    with world.database.reading() as session:
        return list(session.scalars(select(Event.type).where(Event.job_id == job_id).order_by(Event.number)))


def test_a_pause_takes_the_running_step_from_its_worker_and_spends_no_attempt(world: World):
    job_id = world.create(CHAIN)
    claim = world.claim(TRAIN)
    world.jobs.pause(job_id)
    assert (world.job(job_id).status, world.jobs.beat(claim, None), world.jobs.finish(claim, [], {})) == (
        "paused",
        False,
        False,
    )
    assert (world.statuses(job_id)["discriminator"], world.step(TRAIN).attempts) == ("waiting", 0)


def test_a_paused_job_is_left_alone_by_the_sweep_and_by_late_bells(world: World):
    job_id = world.create(CHAIN)
    world.jobs.pause(job_id)
    world.clock.turn(3600)
    assert (world.jobs.sweep(), world.jobs.claim(world.step(TRAIN).id, "bob")) == (0, None)


def test_a_resumed_job_is_worked_to_its_end(world: World):
    job_id = world.create(CHAIN)
    world.finish(TRAIN)
    world.jobs.pause(job_id)
    world.bell.rung.clear()
    world.jobs.resume(job_id)
    assert world.bell.rung == [world.step(SCORE).id]
    world.finish(SCORE, SELECT)
    assert world.job(job_id).status == "succeeded"


def test_a_step_that_a_live_job_shares_goes_on_when_the_other_is_paused(world: World):
    paused, live = world.create(CHAIN), world.create(OTHER_BUDGET)
    claim = world.claim(TRAIN)
    world.jobs.pause(paused)
    assert (world.jobs.beat(claim, None), world.job(live).status) == (True, "running")
    world.finish_claim(claim)
    assert world.statuses(paused)["score"] == "queued"  # the live one needs that too


def test_cancelling_the_live_one_of_two_leaves_the_shared_step_waiting_for_the_paused_one(world: World):
    paused, live = world.create(CHAIN), world.create(OTHER_BUDGET)
    world.claim(TRAIN)
    world.jobs.pause(paused)
    world.jobs.cancel(live)
    assert (world.statuses(paused)["discriminator"], world.statuses(live)["select"]) == ("waiting", "cancelled")


def test_a_job_whose_step_failed_while_it_rested_fails_when_it_is_resumed(world: World):
    paused, live = world.create(CHAIN), world.create(OTHER_BUDGET)
    claim = world.claim(TRAIN)
    world.jobs.pause(paused)
    world.jobs.fail(claim, OUT_OF_MEMORY, again=False)
    assert (world.job(live).status, world.job(paused).status, world.jobs.resume(paused)) == (
        "failed",
        "paused",
        "failed",
    )


def test_a_retried_job_does_what_is_left_of_it_with_all_attempts(world: World):
    job_id = world.create(CHAIN)
    world.finish(TRAIN)
    world.jobs.fail(world.claim(SCORE), OUT_OF_MEMORY, again=False)
    world.jobs.retry(job_id)
    assert (world.statuses(job_id), world.step(SCORE).attempts, world.job(job_id).error) == (
        {"discriminator": "succeeded", "score": "queued", "select": "waiting"},
        0,
        None,
    )


def test_a_job_fails_at_its_deadline_even_while_it_rests(world: World):
    late, resting = world.create(CHAIN, deadline=60), world.create(OTHER_BUDGET, deadline=60)
    world.jobs.pause(resting)
    world.clock.turn(59)
    world.jobs.sweep()
    before = [world.job(each).status for each in (late, resting)]
    world.clock.turn(1)
    world.jobs.sweep()
    assert (before, [world.job(each).error["type"] for each in (late, resting)]) == (
        ["queued", "paused"],
        ["deadline-exceeded"] * 2,
    )


def test_a_retried_job_has_as_long_a_deadline_as_at_first(world: World):
    job_id = world.create(CHAIN, deadline=60)
    world.clock.turn(61)
    world.jobs.sweep()
    world.jobs.retry(job_id)
    assert (world.job(job_id).deadline_at - NOON).total_seconds() == 61 + 60


def test_a_deleted_job_takes_along_what_only_it_has_and_its_receipt_says_so(world: World):
    mine, _other = world.create(CHAIN), world.create(OTHER_BUDGET)
    world.finish(TRAIN, SCORE)
    select_files = [StoredFile("selection.parquet", "steps/x/1/selection.parquet", 700, "d" * 64)]
    world.jobs.finish(world.claim(SELECT), select_files, {"counts": {}, "digest": "d"})
    own = world.step(SELECT).id

    receipt = world.jobs.delete(mine)

    assert receipt is not None
    assert (receipt.steps, receipt.artifacts, receipt.bytes, receipt.shared_steps, receipt.step_ids) == (
        1,
        1,
        700,
        2,
        (own,),
    )
    with world.database.reading() as session:
        left = {table: session.scalar(select(func.count()).select_from(table)) for table in (Job, Artifact)}
        assert (left[Job], left[Artifact], log(world, mine)) == (1, 0, [])


def test_a_tenants_last_job_leaves_no_row_behind(world: World):
    job_id = world.create(CHAIN)
    world.finish(*CHAIN)
    world.jobs.delete(job_id)
    with world.database.reading() as session:
        counts = {t.name: session.scalar(select(func.count()).select_from(t)) for t in Base.metadata.sorted_tables}
    assert {name: count for name, count in counts.items() if count} == {"tenants": 1}


def test_a_job_that_is_not_over_is_not_deleted(world: World):
    job_id = world.create(CHAIN)
    assert (world.jobs.delete(job_id), world.job(job_id).status) == (None, "queued")


def test_the_log_of_a_job_tells_what_happened_in_order(world: World):
    job_id = world.create(CHAIN)
    world.jobs.fail(world.claim(TRAIN), OUT_OF_MEMORY, again=True)
    claim = world.claim(TRAIN)
    world.jobs.beat(claim, None, [News(EventType.STEP_METRICS, {"epoch": 1, "loss": 0.5})])
    world.finish_claim(claim)
    world.jobs.pause(job_id)
    world.jobs.resume(job_id)
    world.finish(SCORE, SELECT)
    assert log(world, job_id) == [
        "job.created",
        *["step.started", "job.started", "step.failed", "step.started", "step.metrics", "step.succeeded"],
        *["job.paused", "job.resumed"],
        *["step.started", "job.started", "step.succeeded"],
        *["step.started", "step.succeeded", "selection.made", "job.succeeded"],
    ]


def test_a_stale_worker_tells_nothing(world: World):
    job_id = world.create(CHAIN)
    claim = world.claim(TRAIN)
    world.clock.turn(31)
    world.jobs.sweep()
    before = log(world, job_id)
    assert not world.jobs.beat(claim, None, [News(EventType.STEP_WARNING, {"message": "late"})])
    assert log(world, job_id) == before
