"""Jobs that share steps: what one computed is there for the next, and one's end spares what another needs."""

from __future__ import annotations

import pytest
from lives import CHAIN, NOON, OTHER_BUDGET, OUT_OF_MEMORY, SCORE, SELECT, SELECT_MORE, TRAIN, World

from app.db import Database
from app.models import Job
from fastmtl.config import JobConfig
from fastmtl.encoders import KNOWN
from fastmtl.pipeline import Tasks, plan
from fastmtl.plan import StepSpec, TaskRef

RTE, MNLI, QNLI = (TaskRef(key, f"digest of {key}", rows) for key, rows in [("rte", 600), ("mnli", 900), ("qnli", 800)])
NLI = Tasks(RTE, (MNLI, QNLI))


@pytest.fixture
def world(database: Database) -> World:
    return World(database)


def test_cancelling_one_of_two_jobs_leaves_the_steps_that_the_other_needs(world: World):
    cancelled, other = world.create(CHAIN), world.create(OTHER_BUDGET)
    claim = world.claim(TRAIN)
    world.jobs.cancel(cancelled)
    assert world.statuses(cancelled) == {"discriminator": "running", "score": "waiting", "select": "cancelled"}
    assert world.jobs.beat(claim, None)
    assert (world.job(cancelled).status, world.job(other).status) == ("cancelled", "running")


def test_cancelling_both_of_two_jobs_takes_the_running_step_from_its_worker(world: World):
    jobs = [world.create(CHAIN), world.create(OTHER_BUDGET)]
    claim = world.claim(TRAIN)
    for job_id in jobs:
        world.jobs.cancel(job_id)
    assert (world.jobs.beat(claim, None), world.jobs.holds(claim), world.step(TRAIN).status) == (
        False,
        False,
        "cancelled",
    )


def test_a_job_that_is_over_is_not_cancelled(world: World):
    job_id = world.create([TRAIN])
    world.finish(TRAIN)
    world.clock.turn(9)
    world.jobs.cancel(job_id)
    assert (world.job(job_id).status, world.job(job_id).finished_at) == ("succeeded", NOON)


def test_a_step_cancelled_under_a_worker_is_computed_by_another_for_the_next_job(world: World):
    first = world.create([TRAIN])
    late = world.claim(TRAIN)
    world.jobs.cancel(first)
    second = world.create([TRAIN])
    claim = world.claim(TRAIN, "bob")
    assert [world.jobs.finish(late, [], {"by": "ada"}), world.jobs.finish(claim, [], {"by": "bob"})] == [False, True]
    assert (world.job(first).status, world.job(second).status) == ("cancelled", "succeeded")
    assert world.step(TRAIN).result == {"by": "bob"}


def test_a_shared_step_that_fails_fails_both_jobs_and_cancels_what_they_waited_for(world: World):
    jobs = [world.create(CHAIN), world.create(OTHER_BUDGET)]
    world.jobs.fail(world.claim(TRAIN), OUT_OF_MEMORY, again=False)
    assert [world.job(job_id).status for job_id in jobs] == ["failed", "failed"]
    assert [world.job(job_id).error["step"] for job_id in jobs] == ["discriminator", "discriminator"]
    assert [world.step(step).status for step in (SCORE, SELECT, SELECT_MORE)] == ["cancelled"] * 3


def test_a_job_that_comes_while_its_step_runs_is_running_too_and_ends_with_it(world: World):
    first = world.create([TRAIN])
    claim = world.claim(TRAIN)
    second = world.create([TRAIN])
    seen = world.job(second).status
    world.jobs.finish(claim, [], {})
    assert (seen, world.job(first).status, world.job(second).status) == ("running", "succeeded", "succeeded")
    assert world.reused(second) == []


def test_a_job_whose_steps_are_all_done_is_done_when_it_is_created(world: World):
    world.create(CHAIN)
    world.finish(*CHAIN)
    world.clock.turn(60)
    world.bell.rung.clear()
    job_id = world.create(CHAIN)
    with world.database.reading() as session:
        job = session.get_one(Job, job_id)
        assert (job.status, job.selection.digest, job.finished_at) == ("succeeded", "abc", world.clock())
    assert (world.reused(job_id), world.bell.rung) == (["discriminator", "score", "select"], [])


def planned(tasks: Tasks = NLI, **config: object) -> list[StepSpec]:
    return plan(JobConfig.model_validate({"budget": 100, **config}), tasks, KNOWN)


SCORED = ["discriminator", "score 1/1"]
ALONE = ["finetune (primary_only)", "target (primary_only)"]  # knows no auxiliary row
EVERYTHING = [step.name for step in planned()]
SECOND_JOBS = [
    # what differs from the first job, and the steps of the second that are done already
    ("nothing", planned(), sorted(EVERYTHING)),
    ("budget", planned(budget=200), sorted([*SCORED, "rank", "leakage"])),
    ("primary", planned(Tasks(MNLI, (QNLI, RTE))), SCORED),
    ("order of the auxiliaries", planned(Tasks(RTE, (QNLI, MNLI))), sorted([*SCORED, *ALONE, "rank", "leakage"])),
    ("another auxiliary", planned(Tasks(RTE, (MNLI,))), ALONE),
    ("seed of what comes after", planned(training_seed=1), sorted([*SCORED, "rank", "leakage", "select", "explain"])),
    ("no arm to compare with", planned(compare=[]), sorted(set(EVERYTHING) - {"report", *ALONE})),
    ("seed of the discriminator", planned(seed=1), sorted([*ALONE, "leakage"])),
    ("rows that train the discriminator", planned(discriminator={"rows_per_task": 400}), sorted([*ALONE, "leakage"])),
]


@pytest.mark.parametrize(("second", "reused"), [pytest.param(*rest, id=name) for name, *rest in SECOND_JOBS])
def test_a_second_job_finds_done_what_its_difference_does_not_touch(
    world: World, second: list[StepSpec], reused: list[str]
):
    world.create(planned())
    world.finish(*planned())
    job_id = world.create(second)
    assert world.reused(job_id) == reused


def test_a_whole_plan_ends_when_workers_take_whatever_is_rung(world: World):
    job_id = world.create(planned(compare=["primary_only", "random"]))
    by_id = {world.step(step).id: step for step in planned(compare=["primary_only", "random"])}
    while world.bell.rung:
        world.finish(by_id[world.bell.rung.pop()])
    assert world.job(job_id).status == "succeeded"
