"""Bells that never ring: the broker is emptied under waiting jobs, the API is killed between commit and publish."""

from __future__ import annotations

import math
import threading
import time
import uuid
from collections.abc import Mapping
from datetime import datetime

import redis
from accounts import Account, Place, Scale, at_most, exactly, percentile, told
from processes import clear
from scene import RANDOM, Scene, World, another, running
from sqlalchemy import select
from watch import Published

from app.failpoints import Action
from app.models import Status, Step

QUEUED = 200
KILLS = 100
ON_THEIR_WAY_SECONDS = 60
WORKERS = 2
LOOK_SECONDS = 0.25


class Waiting:
    """Looks at queued steps all the time: when each was rung a second time, or begun."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._rung: dict[uuid.UUID, datetime | None] = {}
        """When each waiting step was rung when it was first seen."""
        self._moved: dict[uuid.UUID, float] = {}
        self._leaving = threading.Event()
        self._thread = threading.Thread(target=self._look_on, name="waiting", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Look no more."""
        self._leaving.set()
        self._thread.join()

    def since(self, moments: Mapping[str, float]) -> list[float]:
        """Return the seconds from each job's moment until its report, its one open step, was on its way."""
        found = []
        for job_id, at in moments.items():
            (report,) = [step for step in self._scene.steps_of(job_id) if step.kind == "report"]
            begun = (
                report.started_at.timestamp() if report.started_at else math.inf
            )  # it may never have been seen to wait
            found.append(min(self._moved.get(report.id, math.inf), begun) - at)
        return found

    def _look_on(self) -> None:
        while not self._leaving.wait(LOOK_SECONDS):
            with self._scene.database.reading() as session:
                asked = select(Step.id, Step.rung_at).where(Step.status == Status.QUEUED)
                queued = {step_id: rung for step_id, rung in session.execute(asked)}
            at = time.time()
            self._rung = {**queued, **self._rung}
            for step_id, rung in self._rung.items():
                if queued.get(step_id) != rung:
                    self._moved.setdefault(step_id, at)


def lost_bells(place: Place, scale: Scale) -> Account:
    """Queue jobs and empty the broker, then kill the API before it rings, again and again."""
    queued, kills = scale.of(QUEUED), scale.of(KILLS)
    with running(place, scale) as scene:
        world = scene.prepared(RANDOM)
        waiting = Waiting(scene)
        try:
            lost = _flush(scene, world, queued)
            killed = _kill(scene, world, kills)
            jobs = list(world.jobs)
            world.client.over(jobs, 60 + 10 * len(jobs))
        finally:
            waiting.close()
        return _account(scene, world, waiting.since(lost), waiting.since(killed))


def _flush(scene: Scene, world: World, queued: int) -> dict[str, float]:
    """Empty the broker under queued jobs; return when that was, by job."""
    jobs = [world.submit(another(RANDOM, number)) for number in range(queued)]
    _empty(scene)
    scene.processes.start_workers(WORKERS)
    at = time.time()
    while len(scene.unfinished(jobs)) == len(jobs):
        time.sleep(LOOK_SECONDS)
    _empty(scene)
    return dict.fromkeys(jobs, at)


def _empty(scene: Scene) -> None:
    broker = scene.settings.broker_url
    if broker is None:
        clear(scene.settings.home / "broker")
    else:
        with redis.Redis.from_url(broker.get_secret_value()) as client:
            client.flushall()


def _kill(scene: Scene, world: World, kills: int) -> dict[str, float]:
    """Kill the API between commit and publish; return when that was, by job."""
    fell = {}
    for number in range(kills):
        scene.processes.await_api()
        scene.processes.order("jobs.created-not-rung", Action.KILL)
        job_id = world.submit(another(RANDOM, QUEUED + number))
        taken = scene.processes.await_taken("jobs.created-not-rung", 30)
        assert taken, "the API did not come to the point"
        fell[job_id] = taken.at
    return fell


def _account(scene: Scene, world: World, flushed: list[float], killed: list[float]) -> Account:
    for config in world.jobs.values():
        scene.compute(config)
    published = Published(scene)
    succeeded = sum(status == "succeeded" for status in scene.statuses(list(world.jobs)).values())
    emptied = "every file of its folder was removed" if scene.place.stack == "embedded" else "FLUSHALL"
    done = (
        f"With {len(flushed)} jobs queued the broker was emptied ({emptied}); then {WORKERS} workers were started, and "
        f"it was emptied once more while they worked. {len(killed)} times the API was killed after a job was committed "
        "and before its bell was rung. A queued step that nobody took is rung again after "
        f"{scene.settings.ring_again_seconds:g} s."
    )
    figures = [
        exactly("jobs lost", len(world.jobs) - succeeded, 0),
        exactly("committed jobs that a client had to submit again", world.client.repeated, 0),
        at_most("seconds from the workers' start until all were on their way", max(flushed), ON_THEIR_WAY_SECONDS),
        at_most("seconds from a kill until its job was on its way", max(killed), ON_THEIR_WAY_SECONDS),
        told("of these the median", percentile(killed, 0.5)),
        exactly("steps whose results differ from an uninterrupted run", len(published.other), 0),
        told("jobs", len(world.jobs)),
    ]
    return Account(done, figures)
