"""The life of one job: which event moves a step from which status to which, on both databases."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from lives import CHAIN, CHOSEN, NOON, OUT_OF_MEMORY, SCORE, SELECT, TRAIN, World, spec
from sqlalchemy import select
from sqlalchemy.exc import NoResultFound

from app.db import Database
from app.jobs import Claim, StoredFile
from app.models import Artifact, Dataset, Job, JobDataset, Role, Selection


@pytest.fixture
def world(database: Database) -> World:
    return World(database)


# One line a status: what each event makes of it. `late` is a sweep after the lease ran out, `again` a new job that
# needs the same step, `error` a failure that another attempt may mend, `fatal` one that it may not. A step is `resting`
# that was running when its job was paused.
RULES = """
event      claim      beat       finish     error      fatal      give_back  sweep      late       cancel     again      pause      resume     retry
waiting    waiting    waiting    waiting    waiting    waiting    waiting    waiting    waiting    cancelled  waiting    waiting    waiting    waiting
queued     running    queued     queued     queued     queued     queued     queued     queued     cancelled  queued     waiting    queued     queued
running    running    running    succeeded  queued     failed     queued     running    queued     cancelled  running    waiting    running    running
succeeded  succeeded  succeeded  succeeded  succeeded  succeeded  succeeded  succeeded  succeeded  succeeded  succeeded  succeeded  succeeded  succeeded
failed     failed     failed     failed     failed     failed     failed     failed     failed     failed     queued     failed     failed     queued
cancelled  cancelled  cancelled  cancelled  cancelled  cancelled  cancelled  cancelled  cancelled  cancelled  queued     cancelled  cancelled  queued
resting    waiting    waiting    waiting    waiting    waiting    waiting    waiting    waiting    cancelled  queued     waiting    queued     waiting
"""  # noqa: E501
_, EVENTS, *ROWS = (line.split() for line in RULES.splitlines())
TRANSITIONS = [(row[0], event, after) for row in ROWS for event, after in zip(EVENTS[1:], row[1:], strict=True)]


@pytest.mark.parametrize(("before", "event", "after"), TRANSITIONS)
def test_an_event_moves_a_step_as_the_table_says(world: World, before: str, event: str, after: str):
    job_id = world.create([TRAIN, SCORE])
    step = SCORE if before == "waiting" else TRAIN
    claim = bring_to(world, job_id, step, before)
    assert world.step(step).status == ("waiting" if before == "resting" else before)

    happen(world, job_id, step, claim, event)

    assert world.step(step).status == after


def bring_to(world: World, job_id: uuid.UUID, step, status: str) -> Claim:
    """Bring the step to a status; return the claim that did, or one that guesses the fence."""
    if status in ("waiting", "queued"):
        return Claim(world.step(step).id, 0, 1, step, {}, {}, world.tenant, ())
    claim = world.claim(step)
    if status == "succeeded":
        world.jobs.finish(claim, [], {})
    if status == "failed":
        world.jobs.fail(claim, OUT_OF_MEMORY, again=False)
    if status == "cancelled":
        world.jobs.cancel(job_id)
    if status == "resting":
        world.jobs.pause(job_id)
    return claim


def happen(world: World, job_id: uuid.UUID, step, claim: Claim, event: str) -> None:
    jobs = world.jobs
    if event == "late":
        world.clock.turn(31)
    {
        "claim": lambda: jobs.claim(claim.step_id, "bob"),
        "beat": lambda: jobs.beat(claim, None),
        "finish": lambda: jobs.finish(claim, [], {}),
        "error": lambda: jobs.fail(claim, OUT_OF_MEMORY, again=True),
        "fatal": lambda: jobs.fail(claim, OUT_OF_MEMORY, again=False),
        "give_back": lambda: jobs.give_back(claim),
        "sweep": jobs.sweep,
        "late": jobs.sweep,
        "cancel": lambda: jobs.cancel(job_id),
        "again": lambda: world.create([TRAIN, SCORE]),
        "pause": lambda: jobs.pause(job_id),
        "resume": lambda: jobs.resume(job_id),
        "retry": lambda: jobs.retry(job_id),
    }[event]()


def test_a_job_is_queued_until_a_step_is_claimed_and_done_with_the_last(world: World):
    job_id = world.create(CHAIN)
    seen = [world.job(job_id).status]
    for step in CHAIN:
        claim = world.claim(step)
        seen.append(world.job(job_id).status)
        world.jobs.finish(claim, [], CHOSEN)
    seen.append(world.job(job_id).status)
    assert seen == ["queued", "running", "running", "running", "succeeded"]


def test_times_of_a_job_are_those_of_the_clock(world: World):
    job_id = world.create([TRAIN])
    world.clock.turn(5)
    claim = world.claim(TRAIN)
    world.clock.turn(7)
    world.jobs.finish(claim, [], {})
    job = world.job(job_id)
    assert [(time - NOON).total_seconds() for time in (job.created_at, job.started_at, job.finished_at)] == [0, 5, 12]


def test_a_step_is_rung_when_the_last_of_its_needs_is_done(world: World):
    first, second = spec("score", TRAIN, shard=1), spec("score", TRAIN, shard=2)
    joined = spec("select", first, second)
    world.create([TRAIN, first, second, joined])
    names = {world.step(step).id: name for name, step in [("1", first), ("2", second), ("t", TRAIN), ("j", joined)]}
    rung = ["".join(names[step_id] for step_id in world.bell.rung)]
    for step in (TRAIN, first, second):
        world.bell.rung.clear()
        world.finish(step)
        rung.append("".join(sorted(names[step_id] for step_id in world.bell.rung)))
    assert rung == ["t", "12", "", "j"]


def test_a_claim_brings_the_step_its_datasets_and_the_files_of_its_needs(world: World):
    train = spec("discriminator")
    score = spec("score", train)
    object.__setattr__(score, "datasets", ("digest-1", "digest-gone"))
    with world.database.transaction() as session:
        session.add(dataset(world.tenant, "digest-1", "datasets/1.parquet"))
    job_id = world.create([train, score])
    model = StoredFile("model.safetensors", "steps/1/model", 7, "5ha")
    world.jobs.finish(world.claim(train), [model], {})
    claim = world.claim(score)
    assert claim == Claim(
        step_id=world.step(score).id,
        fence=1,
        attempt=1,
        spec=score,
        datasets={"digest-1": "datasets/1.parquet"},
        inputs={train.fingerprint: [model]},
        tenant_id=world.tenant,
        job_ids=(job_id,),
    )


def test_files_of_a_step_are_known_once_it_is_finished(world: World):
    world.create([TRAIN])
    claim = world.claim(TRAIN)
    world.jobs.finish(claim, [StoredFile("b", "s/b", 2, "b2"), StoredFile("a", "s/a", 1, "a1")], {"rows": 3})
    with world.database.reading() as session:
        files = session.scalars(select(Artifact).order_by(Artifact.name)).all()
        assert [(f.step_id, f.name, f.storage_key, f.bytes, f.sha256) for f in files] == [
            (claim.step_id, "a", "s/a", 1, "a1"),
            (claim.step_id, "b", "s/b", 2, "b2"),
        ]
    assert world.step(TRAIN).result == {"rows": 3}


def test_what_a_job_chose_is_noted_when_its_select_step_is_done_and_not_later(world: World):
    after = spec("report", SELECT)
    job_id = world.create([*CHAIN, after])
    world.finish(*CHAIN)
    with world.database.reading() as session:
        chosen = session.scalars(select(Selection)).one()
        assert (chosen.job_id, chosen.counts, chosen.digest) == (job_id, CHOSEN["counts"], CHOSEN["digest"])
    assert world.job(job_id).status == "running"


def test_a_job_keeps_its_datasets_in_order(world: World):
    with world.database.transaction() as session:
        session.add_all([one := dataset(world.tenant, "1", "k1"), two := dataset(world.tenant, "2", "k2")])
    job = Job(id=uuid.uuid4(), tenant_id=world.tenant, name="", config={})
    world.jobs.create(job, [link(0, two, Role.PRIMARY, "rte"), link(1, one, Role.AUXILIARY, "mnli")], [TRAIN])
    with world.database.reading() as session:
        found = session.get_one(Job, job.id).datasets
        assert [(each.role, each.key, each.dataset_id) for each in found] == [
            ("primary", "rte", two.id),
            ("auxiliary", "mnli", one.id),
        ]


def test_progress_is_kept_when_a_later_beat_has_no_news_and_gone_with_the_next_claim(world: World):
    world.create([TRAIN])
    claim = world.claim(TRAIN)
    world.jobs.beat(claim, {"done": 3})
    world.jobs.beat(claim, None)
    kept = world.step(TRAIN).progress
    world.jobs.fail(claim, OUT_OF_MEMORY, again=True)
    world.claim(TRAIN)
    assert (kept, world.step(TRAIN).progress) == ({"done": 3}, None)


def test_three_attempts_are_made_then_the_job_fails_and_names_the_step(world: World):
    job_id = world.create(CHAIN)
    world.finish(TRAIN)
    attempts = []
    for _ in range(3):
        claim = world.claim(SCORE)
        attempts.append(claim.attempt)
        world.jobs.fail(claim, OUT_OF_MEMORY, again=True)
    assert attempts == [1, 2, 3]
    assert world.job(job_id).error == {**OUT_OF_MEMORY, "step": "score"}
    assert world.statuses(job_id) == {"discriminator": "succeeded", "score": "failed", "select": "cancelled"}
    assert world.job(job_id).status == "failed"


def test_a_failure_that_cannot_be_mended_is_not_tried_again(world: World):
    job_id = world.create([TRAIN])
    world.jobs.fail(world.claim(TRAIN), OUT_OF_MEMORY, again=False)
    assert (world.job(job_id).status, world.step(TRAIN).attempts) == ("failed", 1)


def test_an_attempt_that_was_given_back_is_not_counted(world: World):
    world.create([TRAIN])
    for _ in range(5):
        world.jobs.give_back(world.claim(TRAIN))
    assert world.claim(TRAIN).attempt == 1


def test_a_success_after_failures_leaves_no_error(world: World):
    job_id = world.create([TRAIN])
    world.jobs.fail(world.claim(TRAIN), OUT_OF_MEMORY, again=True)
    world.finish(TRAIN)
    assert (world.step(TRAIN).error, world.job(job_id).error) == (None, None)


def test_a_failed_step_is_tried_again_by_a_new_job_as_if_it_were_new(world: World):
    world.create(CHAIN)
    world.finish(TRAIN)
    world.jobs.fail(world.claim(SCORE), OUT_OF_MEMORY, again=False)
    job_id = world.create(CHAIN)
    row = world.step(SCORE)
    assert (row.status, row.attempts) == ("queued", 0)
    assert (row.error, row.worker, row.started_at, row.finished_at) == (None, None, None, None)
    world.finish(SCORE, SELECT)
    assert (world.job(job_id).status, world.reused(job_id)) == ("succeeded", ["discriminator"])


def test_the_life_of_an_unknown_job_or_step_is_refused(world: World):
    assert world.jobs.claim(uuid.uuid4(), "ada") is None
    with pytest.raises(NoResultFound):
        world.jobs.cancel(uuid.uuid4())


def dataset(tenant_id: uuid.UUID, digest: str, storage_key: str) -> Dataset:
    known: dict[str, Any] = {"name": "", "created_at": NOON, "kind": "classification", "rows": 3, "summary": {}}
    known["tenant_id"] = tenant_id
    return Dataset(id=uuid.uuid4(), digest=digest, storage_key=storage_key, source_bytes=1, source_sha256="", **known)


def link(position: int, of: Dataset, role: Role, key: str) -> JobDataset:
    return JobDataset(position=position, dataset_id=of.id, role=role, key=key)
