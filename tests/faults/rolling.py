"""A rolling restart: every process of the service is asked to stop, one after another, while jobs run."""

from __future__ import annotations

import os
import signal
import time
from collections import Counter

from accounts import Account, Place, Scale, exactly, told
from scene import RANDOM, Scene, World, another, running
from sqlalchemy import select
from watch import Published, Watch

from app.events import EventType
from app.models import Event

JOBS = 20
LONG = {**RANDOM, "finetuning": {**RANDOM["finetuning"], "epochs": 80}}
"""A job whose training takes long enough for several of them to be there until the last restart."""
ROUNDS = 3
WORKERS = 3
RESTART_SECONDS = 60
BETWEEN_SECONDS = 1.0


def rolling_restart(place: Place, scale: Scale) -> Account:
    """Restart every process some times while jobs run, then let all jobs come to their end."""
    with running(place, scale) as scene, Watch(scene) as watch:
        worlds = _submit(scene, scale)
        scene.processes.start_workers(WORKERS if scale.full else 2)
        jobs = [job_id for world in worlds for job_id in world.jobs]
        restarted = sum(_restart_all(scene) for _ in range(ROUNDS if scale.full else 1))
        left = len(scene.unfinished(jobs))
        for world in worlds:
            world.client.over(list(world.jobs), 1800 if scale.full else 240)
        return _account(scene, worlds, watch, restarted, left)


def _submit(scene: Scene, scale: Scale) -> list[World]:
    """Submit jobs: in full each of a tenant of its own, so that all its steps are computed; in short only reports."""
    if not scale.full:
        world = scene.prepared(RANDOM)
        for number in range(scale.of(JOBS)):
            world.submit(another(RANDOM, number))
        return [world]
    worlds = [scene.tenant(f"tenant {number}") for number in range(JOBS)]
    for world in worlds:
        world.submit(LONG)
    return worlds


def _restart_all(scene: Scene) -> int:
    """Ask every process to stop, each once the one before it is there again; return how many there were."""
    processes = scene.processes
    pids = [processes.api, *processes.workers]
    for pid in pids:
        time.sleep(BETWEEN_SECONDS)
        os.kill(pid, signal.SIGTERM)
        give_up = time.monotonic() + RESTART_SECONDS
        while pid in (processes.api, *processes.workers):
            assert time.monotonic() < give_up, "a process that was asked to stop goes on"
            time.sleep(0.05)
        processes.await_api()
    return len(pids)


def _account(scene: Scene, worlds: list[World], watch: Watch, restarted: int, left: int) -> Account:
    for config in {str(config): config for world in worlds for config in world.jobs.values()}.values():
        scene.compute(config)
    jobs = [job_id for world in worlds for job_id in world.jobs]
    published = Published(scene)
    statuses = Counter(scene.statuses(jobs).values())
    steps = {step.id: step for job_id in jobs for step in scene.steps_of(job_id)}
    forced = [death for death in scene.processes.deaths if death.kind == "worker" and death.status != 0]
    figures = [
        exactly("jobs that did not succeed", len(jobs) - statuses["succeeded"], 0),
        exactly("steps finished twice", _finished_twice(scene), 0),
        exactly("finished steps that changed afterwards", len(set(watch.changed)), 0),
        exactly("steps with files of more than one attempt", len(published.mixed), 0),
        exactly("steps whose results differ from an uninterrupted run", len(published.other), 0),
        exactly("attempts that a restart cost", sum(step.attempts - 1 for step in steps.values()), 0),
        exactly("workers that did not end when they were asked to", len(forced), 0),
        told("jobs", len(jobs)),
        told("of these open after the last restart", left),
        told("steps", len(steps)),
    ]
    done = (
        f"While {len(jobs)} jobs ran, the API and every worker were asked to stop (SIGTERM) and started again, one "
        f"after another, {restarted} processes in all."
    )
    return Account(done, figures, [str(step.error) for step in steps.values() if step.error])


def _finished_twice(scene: Scene) -> int:
    """Count the steps whose end a job's log tells more than once."""
    with scene.database.reading() as session:
        told_of = session.execute(select(Event.job_id, Event.data).where(Event.type == EventType.STEP_SUCCEEDED))
        ends = Counter((job_id, data["step_id"]) for job_id, data in told_of)
    return sum(count > 1 for count in ends.values())
