"""Steps that run out of memory, crash, hang or are not wanted any more, one job after another on one worker."""

from __future__ import annotations

import os
import random
import signal
import time
from collections import Counter

import psutil
from accounts import Account, Place, Scale, at_most, exactly, told
from processes import scratch
from scene import RANDOM, Scene, World, another, running
from watch import Published

from app.failpoints import Action

JOBS = 50
MEMORY_MIB = 32
"""How much more memory, in MiB, a worker may hold after all of it: its log, its caches and the allocator's slack."""
OPEN_FILES = 10
"""How many more open files: a pool of connections may have grown, of SQLite's by three files each; a leak makes 50."""
SETTLE_SECONDS = 3
STALL_SECONDS = 20
FAULTS = ("oom", "segv", "killed", "hang, cancelled", "cancelled", "hang", "oom in training")
SHORT = 5
"""The others take long: a silent process is waited for, a training starts torch."""
OUTCOMES = {
    "oom": ("failed",),
    "oom in training": ("failed", "succeeded"),
    "segv": ("succeeded",),
    "killed": ("succeeded",),
    "hang": ("succeeded",),
    "hang, cancelled": ("cancelled",),
    "cancelled": ("cancelled", "succeeded"),
}
"""How a job may end by what happened to it; a step's process that dies costs an attempt, and the next one succeeds."""


class Size:
    """What a worker holds."""

    def __init__(self, pid: int) -> None:
        process = psutil.Process(pid)
        self.mib = process.memory_info().rss / 2**20
        self.files = process.num_fds()
        self.threads = process.num_threads()


def bad_steps(place: Place, scale: Scale) -> Account:
    """Break jobs in a row and compare the worker with what it was before."""
    draw = random.Random(scale.seed)
    settings = {"FASTMTL_STALL_SECONDS": str(STALL_SECONDS)} if scale.full else {}
    with running(place, scale, **settings) as scene:
        world = scene.prepared(RANDOM)
        scene.processes.start_workers(1)
        world.client.over([world.submit(another(RANDOM, 0))], 300)
        (worker,) = scene.processes.workers
        before = Size(worker)
        ends: Counter[str] = Counter()
        wrong = []
        faults = FAULTS if scale.full else FAULTS[:SHORT]
        for number in range(scale.of(JOBS)):
            fault = faults[number % len(faults)]
            status = _break(scene, world, fault, number + 1, draw)
            ends[f"{fault}: {status}"] += 1
            wrong += [f"{fault}: {status}"] if status not in OUTCOMES[fault] else []
        time.sleep(SETTLE_SECONDS)
        alive = scene.processes.workers == [worker]
        after = Size(worker) if alive else before
        return _account(scene, ends, wrong, before, after, alive)


def _break(scene: Scene, world: World, fault: str, number: int, draw: random.Random) -> str:
    """Submit a job, let that happen to it, and return how it ended."""
    training = fault == "oom in training"
    if training:
        scene.processes.order("child.half-way", Action.OOM)
    elif fault not in ("killed", "cancelled"):
        scene.processes.order("child.started", Action(fault.split(",")[0]))
    job_id = world.submit({**RANDOM, "training_seed": number} if training else another(RANDOM, number))
    if fault == "hang, cancelled":
        assert scene.processes.await_taken("child.started", 60), "no step came to the point"
    elif fault == "killed":
        _kill_its_step(scene, job_id)
    elif fault == "cancelled":
        time.sleep(draw.uniform(0, 2))
    if fault.endswith("cancelled"):
        world.client.end(job_id)
        while scratch(scene.processes.home):  # its process would take the order that is meant for the next job's
            time.sleep(0.02)
    return str(world.client.over([job_id], 300)[job_id]["status"])


def _kill_its_step(scene: Scene, job_id: str) -> None:
    """Kill the step's process as the system does when memory is short."""
    give_up = time.monotonic() + 60
    while not (pids := scene.processes.children()):
        assert time.monotonic() < give_up, "no step began"
        time.sleep(0.02)
    os.kill(pids[0], signal.SIGKILL)


def _account(scene: Scene, ends: Counter[str], wrong: list[str], before: Size, after: Size, alive: bool) -> Account:
    expected = {scene.processes.api, *scene.processes.workers}
    orphans = {pid: line for pid, line in scene.processes.everything().items() if pid not in expected}
    left = scratch(scene.processes.home)
    strays = Published(scene).strays
    done = "Jobs in a row on one worker, and how each ended: " + ", ".join(
        f"{end} {count}" for end, count in sorted(ends.items())
    )
    figures = [
        exactly("jobs that ended otherwise than they should", len(wrong), 0),
        exactly("workers that did not live through it", 0 if alive else 1, 0),
        exactly("orphan processes", len(orphans), 0),
        exactly("scratch folders left", len(left), 0),
        exactly("files of attempts that came to nothing", len(strays), 0),
        at_most("MiB of memory that the worker grew by", after.mib - before.mib, MEMORY_MIB),
        told("MiB of memory before", before.mib),
        at_most("open files that the worker has more", after.files - before.files, OPEN_FILES),
        at_most("threads that the worker has more", after.threads - before.threads, 1),
    ]
    return Account(done + ".", figures, [*wrong, *orphans.values(), *left, *strays])
