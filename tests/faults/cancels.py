"""Jobs that are cancelled at random moments of their lives."""

from __future__ import annotations

import random
import threading
import time
import uuid
from dataclasses import dataclass

from accounts import Account, Place, Scale, at_most, exactly, percentile, told
from scene import LONG, RANDOM, Scene, World, another, running
from sqlalchemy import select

from app.models import Status, Step

CANCELS = 100
GONE_SECONDS = 5
WORKERS = 2
OPEN = 2
"""Jobs at a time."""
LONG_SECONDS = (0.0, 10.0)
"""When a long job is cancelled, after it was submitted: as it waits, as its process starts, as it trains."""
SHORT_SECONDS = (0.0, 3.0)
"""When a job of one short step is: also as its files are stored and it is finished."""
LOOK_SECONDS = 0.1


@dataclass
class Cancelled:
    """A job that was cancelled, and when."""

    job_id: str
    steps: set[str]
    asked: float
    answered: float
    state: dict


class Sightings:
    """When a process of each step was last seen alive."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self.last: dict[str, float] = {}
        self._leaving = threading.Event()
        self._thread = threading.Thread(target=self._look_on, name="sightings", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Look no more."""
        self._leaving.set()
        self._thread.join()

    def _look_on(self) -> None:
        while not self._leaving.wait(LOOK_SECONDS):
            self.last |= self._scene.processes.running_steps()


def random_cancels(place: Place, scale: Scale) -> Account:
    """Cancel jobs at random moments; look when their processes were last seen, and whether they stay cancelled."""
    draw = random.Random(scale.seed)
    with running(place, scale) as scene:
        world = scene.prepared(RANDOM)
        scene.processes.start_workers(WORKERS)
        seen = Sightings(scene)
        try:
            cancelled, late = _cancel(world, scene, draw, scale)
            time.sleep(2 * GONE_SECONDS)
        finally:
            seen.close()
        return _account(scene, world, cancelled, late, seen)


def _cancel(world: World, scene: Scene, draw: random.Random, scale: Scale) -> tuple[list[Cancelled], int]:
    """Cancel so many jobs; return them, and how many were over before."""
    cancelled: list[Cancelled] = []
    late = number = 0
    due: list[tuple[float, str]] = []
    while len(cancelled) < scale.of(CANCELS):
        while len(due) < OPEN:
            number += 1
            config, moment = (({**LONG, "seed": number}, LONG_SECONDS), (another(RANDOM, number), SHORT_SECONDS))[
                number % 2
            ]
            due.append((time.time() + draw.uniform(*moment), world.submit(config)))
        at, job_id = due.pop(due.index(min(due)))
        time.sleep(max(0.0, at - time.time()))
        asked = time.time()
        state = world.client.end(job_id)
        if state is None:
            late += 1
        else:
            steps = {str(step.id) for step in scene.steps_of(job_id)}
            cancelled.append(Cancelled(job_id, steps, asked, time.time(), state))
    for _, job_id in due:
        world.client.end(job_id)
    return cancelled, late


def _account(scene: Scene, world: World, cancelled: list[Cancelled], late: int, seen: Sightings) -> Account:
    answers = [each.answered - each.asked for each in cancelled]
    last = [max((seen.last.get(step, 0.0) for step in each.steps), default=0.0) for each in cancelled]
    gone = [max(at, each.answered) - each.asked for each, at in zip(cancelled, last, strict=True)]
    now = {each.job_id: world.client.job(each.job_id) for each in cancelled}
    changed = [each.job_id for each in cancelled if _told(now[each.job_id]) != _told(each.state)]
    busy = scene.processes.running_steps()
    with scene.database.reading() as session:
        mine = {uuid.UUID(step) for each in cancelled for step in each.steps}
        status = select(Step.id).where(Step.id.in_(mine), Step.status.not_in((Status.CANCELLED, Status.SUCCEEDED)))
        unfinished = session.scalars(status).all()
    done = (
        f"{len(cancelled)} jobs were cancelled, each at a random moment: up to {LONG_SECONDS[1]:g} s after it was "
        f"submitted where its first step is long, up to {SHORT_SECONDS[1]:g} s where its only open step is short. "
        f"{late} more were over before."
    )
    figures = [
        at_most(
            "seconds from the request until the step's process is gone, 99 of 100", percentile(gone, 0.99), GONE_SECONDS
        ),
        told("of these the median", percentile(gone, 0.5)),
        told("the longest", max(gone)),
        told("seconds until the answer, 99 of 100", percentile(answers, 0.99)),
        told("jobs whose step had a process", sum(at > 0 for at in last)),
        exactly("processes of cancelled jobs that run on", len(busy), 0),
        exactly("steps of cancelled jobs that are not over", len(unfinished), 0),
        exactly("jobs whose status changed afterwards", len(changed), 0),
    ]
    return Account(done, figures, [*changed, *map(str, unfinished)])


def _told(state: dict) -> tuple[str, str | None]:
    return state["status"], state["finished_at"]
