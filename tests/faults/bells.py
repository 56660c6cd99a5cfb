"""Bells that never ring: the broker is emptied under waiting jobs, the API is killed between commit and publish."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime

import redis
from accounts import Account, Place, Scale, at_most, exactly, percentile, told
from processes import clear
from scene import RANDOM, Scene, World, another, running
from sqlalchemy import select
from watch import Published

from app.failpoints import Action
from app.models import JobStep, Status, Step

QUEUED = 200
KILLS = 100
ON_THEIR_WAY_SECONDS = 60
WORKERS = 2
LOOK_SECONDS = 0.25


class Waiting:
    """Steps whose bell was lost, until they are rung again or begun."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._since: dict[uuid.UUID, datetime] = {}
        self.seconds: list[float] = []
        """How long each waited."""
        self._leaving = threading.Event()
        self._thread = threading.Thread(target=self._look_on, name="waiting", daemon=True)
        self._thread.start()

    def add(self, jobs: Sequence[str], since: datetime) -> None:
        """Wait for the open steps of these jobs; a bell rung before `since` does not count."""
        with self._scene.database.reading() as session:
            mine = select(JobStep.step_id).where(JobStep.job_id.in_([uuid.UUID(each) for each in jobs]))
            steps = session.scalars(select(Step.id).where(Step.id.in_(mine), Step.status != Status.SUCCEEDED))
            self._since = {**self._since, **dict.fromkeys(steps, since)}

    def close(self) -> None:
        """Give those that are still waiting a moment, then look no more."""
        give_up = time.monotonic() + 2 * ON_THEIR_WAY_SECONDS
        while self._since and time.monotonic() < give_up:
            time.sleep(LOOK_SECONDS)
        self._leaving.set()
        self._thread.join()
        self.seconds += [float("inf") for _ in self._since]

    def _look_on(self) -> None:
        while not self._leaving.wait(LOOK_SECONDS):
            since = self._since
            with self._scene.database.reading() as session:
                asked = select(Step.id, Step.status, Step.rung_at).where(Step.id.in_(since))
                steps = session.execute(asked).all()
            at = datetime.now(UTC)
            moved = {each for each, status, rung in steps if status != Status.QUEUED or (rung and rung > since[each])}
            self.seconds += [(at - since[each]).total_seconds() for each in moved]
            self._since = {each: when for each, when in self._since.items() if each not in moved}


def lost_bells(place: Place, scale: Scale) -> Account:
    """Queue jobs and empty the broker, then kill the API before it rings, again and again."""
    queued, kills = scale.of(QUEUED), scale.of(KILLS)
    with running(place, scale, WORKERS) as scene:
        world = scene.tenant("one")
        world.client.over([world.submit(RANDOM)], 300)
        flushed, killed = Waiting(scene), Waiting(scene)
        try:
            _flush(scene, world, queued, flushed)
            _kill(scene, world, kills, killed)
        finally:
            flushed.close()
            killed.close()
        jobs = list(world.jobs)
        world.client.over(jobs, 60 + 10 * len(jobs))
        return _account(scene, world, flushed.seconds, killed.seconds)


def _flush(scene: Scene, world: World, queued: int, waiting: Waiting) -> None:
    """Empty the broker under queued jobs."""
    with scene.processes.without_workers():
        jobs = [world.submit(another(RANDOM, number)) for number in range(queued)]
        _empty(scene)
        waiting.add(jobs, datetime.now(UTC))
    while len(scene.unfinished(jobs)) == len(jobs):
        time.sleep(LOOK_SECONDS)
    _empty(scene)


def _empty(scene: Scene) -> None:
    broker = scene.settings.broker_url
    if broker is None:
        clear(scene.settings.home / "broker")
    else:
        with redis.Redis.from_url(broker.get_secret_value()) as client:
            client.flushall()


def _kill(scene: Scene, world: World, kills: int, waiting: Waiting) -> None:
    """Kill the API between commit and publish."""
    for number in range(kills):
        scene.processes.await_api()
        scene.processes.order("jobs.created-not-rung", Action.KILL)
        job_id = world.submit(another(RANDOM, QUEUED + number))
        taken = scene.processes.await_taken("jobs.created-not-rung", 30)
        assert taken, "the API did not come to the point"
        waiting.add([job_id], datetime.fromtimestamp(taken.at, UTC))


def _account(scene: Scene, world: World, flushed: list[float], killed: list[float]) -> Account:
    for config in world.jobs.values():
        scene.compute(config)
    published = Published(scene)
    succeeded = sum(status == "succeeded" for status in scene.statuses(list(world.jobs)).values())
    emptied = "every file of its folder was removed" if scene.place.stack == "embedded" else "FLUSHALL"
    done = (
        f"With {len(flushed)} jobs queued and no worker there the broker was emptied ({emptied}); then {WORKERS} "
        f"workers were started, and the broker was emptied once more while they worked. {len(killed)} times the API "
        "was killed after a job was committed and before its bell was rung. A queued step that nobody took is rung "
        f"again after {scene.settings.ring_again_seconds:g} s."
    )
    figures = [
        exactly("jobs lost", len(world.jobs) - succeeded, 0),
        exactly("committed jobs that a client had to submit again", world.client.repeated, 0),
        at_most("seconds from the flush until all were on their way", max(flushed), ON_THEIR_WAY_SECONDS),
        at_most("seconds from a kill until its job was on its way", max(killed), ON_THEIR_WAY_SECONDS),
        told("of these the median", percentile(killed, 0.5)),
        exactly("steps whose results differ from an uninterrupted run", len(published.other), 0),
        told("jobs", len(world.jobs)),
    ]
    return Account(done, figures)
