"""Bells that never ring: the broker is emptied under waiting jobs, the API is killed between commit and publish."""

from __future__ import annotations

import os
import signal
import time
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime

import redis
from accounts import Account, Place, Scale, at_most, exactly, percentile, told
from processes import clear
from scene import RANDOM, Scene, World, another, running
from sqlalchemy import or_, select
from watch import Published

from app.failpoints import Action
from app.models import JobStep, Status, Step

QUEUED = 200
KILLS = 100
ON_THEIR_WAY_SECONDS = 60
WORKERS = 2
LOOK_SECONDS = 0.25


def lost_bells(place: Place, scale: Scale) -> Account:
    """Queue jobs and empty the broker, then kill the API before it rings, again and again."""
    queued, kills = scale.of(QUEUED), scale.of(KILLS)
    with running(place, scale, WORKERS) as scene:
        world = scene.tenant("one")
        first = world.submit(RANDOM)
        world.client.over([first], 300)
        after_flush = _flushed(scene, world, queued)
        after_kill = _killed(scene, world, kills)
        jobs = list(world.jobs)
        _finish(scene, jobs, 60 + 10 * len(jobs))
        for config in world.jobs.values():
            scene.compute(config)
        published = Published(scene)
        succeeded = sum(status == "succeeded" for status in scene.statuses(jobs).values())
        done = (
            f"With {queued} jobs queued and no worker at work the broker was emptied "
            f"({'every file of its folder' if place.stack == 'embedded' else 'FLUSHALL'}), then the workers went on. "
            f"{kills} times the API was killed after a job was committed and before its bell was rung. A queued step "
            f"that nobody took is rung again after {scene.settings.ring_again_seconds:g} s."
        )
        figures = [
            exactly("jobs lost", len(jobs) - succeeded, 0),
            exactly("committed jobs that a client had to submit again", world.client.repeated, 0),
            at_most("seconds from the flush until all were on their way", max(after_flush), ON_THEIR_WAY_SECONDS),
            at_most("seconds from a kill until its job had begun", max(after_kill), ON_THEIR_WAY_SECONDS),
            told("of these the median", percentile(after_kill, 0.5)),
            exactly("steps whose results differ from an uninterrupted run", len(published.other), 0),
            told("jobs", len(jobs)),
        ]
        return Account(done, figures)


def _flushed(scene: Scene, world: World, queued: int) -> list[float]:
    """Empty the broker under queued jobs; return the seconds until each was on its way."""
    for worker in scene.processes.workers:
        os.kill(worker, signal.SIGSTOP)
    jobs = [world.submit(another(RANDOM, number)) for number in range(queued)]
    waiting = _steps(scene, jobs)
    broker = scene.settings.broker_url
    if broker is None:
        clear(scene.settings.home / "broker")
    else:
        with redis.Redis.from_url(broker.get_secret_value()) as client:
            client.flushall()
    at = datetime.now(UTC)
    for worker in scene.processes.workers:
        os.kill(worker, signal.SIGCONT)
    return _until_on_their_way(scene, waiting, at)


def _killed(scene: Scene, world: World, kills: int) -> list[float]:
    """Kill the API between commit and publish; return the seconds from each kill until its job began."""
    fell: dict[str, float] = {}
    for number in range(kills):
        scene.processes.await_api()
        scene.processes.order("jobs.created-not-rung", Action.KILL)
        job_id = world.submit(another(RANDOM, QUEUED + number))
        taken = scene.processes.await_taken("jobs.created-not-rung", 30)
        assert taken, "the API did not come to the point"
        fell[job_id] = taken.at
    _finish(scene, list(fell), 60 + 10 * len(fell))
    begun = []
    for job_id, at in fell.items():
        starts = [step.started_at for step in scene.steps_of(job_id) if step.kind == "report"]
        begun += [start.timestamp() - at if start else float("inf") for start in starts]
    return begun


def _steps(scene: Scene, jobs: Sequence[str]) -> list[uuid.UUID]:
    """Return the steps that the jobs wait for."""
    with scene.database.reading() as session:
        mine = select(JobStep.step_id).where(JobStep.job_id.in_([uuid.UUID(each) for each in jobs]))
        return list(session.scalars(select(Step.id).where(Step.id.in_(mine), Step.status == Status.QUEUED)))


def _until_on_their_way(scene: Scene, steps: Sequence[uuid.UUID], since: datetime) -> list[float]:
    """Return for each step the seconds until it was rung again or begun; infinity where it never was."""
    waiting, seconds = set(steps), []
    give_up = time.monotonic() + 4 * ON_THEIR_WAY_SECONDS
    while waiting and time.monotonic() < give_up:
        with scene.database.reading() as session:
            moved = or_(Step.rung_at > since, Step.status != Status.QUEUED)
            gone = set(session.scalars(select(Step.id).where(Step.id.in_(steps), moved)))
        passed = (datetime.now(UTC) - since).total_seconds()
        seconds += [passed for _ in waiting & gone]
        waiting -= gone
        time.sleep(LOOK_SECONDS)
    return seconds + [float("inf") for _ in waiting]


def _finish(scene: Scene, jobs: list[str], seconds: float) -> None:
    """Wait until the jobs are over, or the time is."""
    give_up = time.monotonic() + seconds
    while scene.unfinished(jobs) and time.monotonic() < give_up:
        time.sleep(1)
