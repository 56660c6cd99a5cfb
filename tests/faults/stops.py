"""Workers that stand still for twice their lease and then go on, believing that their step is still theirs."""

from __future__ import annotations

import os
import random
import signal
import time
from collections import Counter

from accounts import Account, Place, Scale, exactly, told
from scene import MORE_ATTEMPTS, PAPER, RANDOM, Scene, World, another, running
from watch import Holding, Published, Watch

from app.db import IDLE_SECONDS
from app.failpoints import Action

STOPS = 20
LEASE = {
    "FASTMTL_LEASE_SECONDS": "5",
    "FASTMTL_HEARTBEAT_SECONDS": "1.5",
    "FASTMTL_SWEEP_SECONDS": "1",
    "FASTMTL_RING_AGAIN_SECONDS": "5",
}
SHORT_LEASE = {"FASTMTL_LEASE_SECONDS": "2", "FASTMTL_HEARTBEAT_SECONDS": "0.5"}
POINTS = (
    "database.before-commit",
    "worker.claimed",
    "worker.before-child",
    "worker.child-ended",
    "storage.stored-one",
    "worker.stored-not-finished",
)
WORKERS = 2


class Stopped:
    """What a worker held when it was stopped."""

    def __init__(self) -> None:
        self.held: list[Holding] = []
        self.where: Counter[str] = Counter()


def stopped_workers(place: Place, scale: Scale) -> Account:
    """Stop a worker for twice its lease or longer while it holds a step, let it go on, and look for what it wrote."""
    draw = random.Random(scale.seed)
    lease = LEASE if scale.full else {**LEASE, **SHORT_LEASE}
    with running(place, scale, **lease, FASTMTL_MAX_ATTEMPTS=str(MORE_ATTEMPTS)) as scene, Watch(scene) as watch:
        world = scene.prepared(RANDOM)
        scene.processes.start_workers(WORKERS)
        if scale.full:
            world.submit(PAPER)
        stopped = Stopped()
        while len(stopped.held) < scale.of(STOPS):
            _stop_one(scene, world, watch, stopped, draw, scale.full)
        world.client.over(list(world.jobs), 600)
        time.sleep(2 * scene.settings.sweep_seconds)  # what a worker still writes after its job is over
        return _account(scene, world, watch, stopped)


def _stop_one(
    scene: Scene, world: World, watch: Watch, stopped: Stopped, draw: random.Random, any_moment: bool
) -> None:
    """Stop a worker that holds a step, and let it go on when its lease is long over."""
    if len(scene.unfinished(list(world.jobs))) < 2:
        world.submit(another(RANDOM, len(world.jobs)))
    if any_moment and draw.random() < 0.3:
        where, pid = "any moment", _stop_at_any_moment(scene, draw)
    else:
        where = draw.choice(POINTS)
        scene.processes.order(where, Action.STOP)
        taken = scene.processes.await_taken(where, 15)
        pid = taken.pid if taken else None
    if pid is None or pid not in scene.processes.workers:
        if pid:  # the API, at a commit of its own
            os.kill(pid, signal.SIGCONT)
        return
    holding = watch.held_by(pid)
    time.sleep(_still_seconds(scene))
    os.kill(pid, signal.SIGCONT)
    if holding:
        stopped.held.append(holding)
        stopped.where[where] += 1


def _still_seconds(scene: Scene) -> float:
    """Twice the lease; where PostgreSQL ends a transaction that is silent, by default long before a lease, after that.

    Until then a worker that was stopped before its commit holds the step's row, and what it commits is rightful.
    """
    lease = scene.settings.lease_seconds
    idle = 0 if scene.place.stack == "embedded" else min(IDLE_SECONDS, lease / 3)  # as Database.of has it
    return max(2 * lease, idle + lease)


def _stop_at_any_moment(scene: Scene, draw: random.Random) -> int | None:
    time.sleep(draw.uniform(0, 2))
    busy = [pid for pid in scene.processes.workers if scene.processes.children(pid)]
    if not busy:
        return None
    pid = draw.choice(busy)
    os.kill(pid, signal.SIGSTOP)
    return pid


def _account(scene: Scene, world: World, watch: Watch, stopped: Stopped) -> Account:
    for config in world.jobs.values():
        scene.compute(config)
    published = Published(scene)
    statuses = Counter(scene.statuses(list(world.jobs)).values())
    steps = {step.id: step for job_id in world.jobs for step in scene.steps_of(job_id)}
    stale = [f"steps/{step_id}/{fence}/" for step_id, fence in stopped.held]
    kept = [place for place in stale if any(key.startswith(place) for key in published.keys + published.strays)]
    listed = ", ".join(f"{name} {count}" for name, count in sorted(stopped.where.items()))
    done = (
        f"{len(stopped.held)} times a worker that held a step was stopped (SIGSTOP: {listed}) for "
        f"{_still_seconds(scene):g} s, at a lease of {scene.settings.lease_seconds:g} s, and then continued; another "
        f"worker took the step meanwhile. {len(world.jobs)} jobs ran."
    )
    figures = [
        exactly("steps that were not taken over", sum(steps[step].fence <= fence for step, fence in stopped.held), 0),
        exactly("stale attempts of which a file or a row is left", len(kept), 0),
        exactly("finished steps that changed afterwards", len(set(watch.changed)), 0),
        exactly("steps with files of more than one attempt", len(published.mixed), 0),
        exactly("jobs lost", len(world.jobs) - statuses["succeeded"], 0),
        exactly("steps whose results differ from an uninterrupted run", len(published.other), 0),
        told("steps", published.steps),
    ]
    return Account(done, figures, kept)
