"""Kill -9 at random: the API, workers and steps, at marked points and at any moment, while jobs go on."""

from __future__ import annotations

import random
import signal
import time
from collections import Counter
from collections.abc import Iterator
from itertools import count

from accounts import Account, Figure, Place, Scale, at_most, exactly, percentile, told
from scene import MORE_ATTEMPTS, PAPER, RANDOM, WORDS, Scene, World, another, running
from sqlalchemy import select
from watch import Published, Watch

from app.events import EventType
from app.failpoints import Action
from app.models import Event

KILLS = 200
NOTICED_SECONDS = 45
WORKERS = 3
POINTS = (
    "database.before-commit",
    "jobs.created-not-rung",
    "worker.claimed",
    "worker.before-child",
    "worker.child-ended",
    "storage.stored-one",
    "worker.stored-not-finished",
    "jobs.finished-not-rung",
    "child.started",
    "child.half-way",
    "child.computed",
)
TRAININGS = ("child.half-way",)
"""Points that only a training comes to; in the short form only reports are made."""
AT_ONCE = 6
"""Jobs that are open at a time while there are kills."""
POINT_SECONDS = 15
"""How long a process may take to come to a marked point before another is tried."""
PAUSE_SECONDS = (0.2, 3.0)


class Supply:
    """Submits jobs while there are kills, so that there is always something to break."""

    def __init__(self, scene: Scene, scale: Scale) -> None:
        self._scene = scene
        self.worlds = [scene.prepared(RANDOM)]
        self._next = self._whole_jobs() if scale.full else self._reports()

    @property
    def jobs(self) -> list[str]:
        """All jobs' ids."""
        return [job_id for world in self.worlds for job_id in world.jobs]

    def top_up(self) -> None:
        """Submit jobs until enough are open."""
        for _ in range(AT_ONCE - len(self._scene.unfinished(self.jobs))):
            world, config = next(self._next)
            world.submit(config)

    def _whole_jobs(self) -> Iterator[tuple[World, dict]]:
        """Yield jobs in one tenant after another, so that all is computed anew, and a few whose report alone is new."""
        while True:
            world = self._scene.tenant(f"tenant {len(self.worlds)}")
            self.worlds.append(world)
            yield from ((world, config) for config in (PAPER, WORDS, RANDOM))
            yield from ((self.worlds[0], another(RANDOM, 4 * len(self.worlds) + index)) for index in range(4))

    def _reports(self) -> Iterator[tuple[World, dict]]:
        """Yield jobs that are done but for their report."""
        return ((self.worlds[0], another(RANDOM, number)) for number in count())


def random_kills(place: Place, scale: Scale) -> Account:
    """Kill processes at random while jobs run, then let all jobs come to their end."""
    draw = random.Random(scale.seed)
    with running(place, scale, FASTMTL_MAX_ATTEMPTS=str(MORE_ATTEMPTS), FASTMTL_CHECKPOINT_SECONDS="0.5") as scene:
        supply = Supply(scene, scale)
        scene.processes.start_workers(WORKERS if scale.full else 2)
        with Watch(scene) as watch:
            began = time.monotonic()
            killed = _kill(scene, supply, draw, scale)
            seconds = time.monotonic() - began
            _wait(scene, supply.jobs, 1800 if scale.full else 240)
        figures = _figures(scene, supply, watch, killed)
        figures += [told("seconds in which they fell", seconds)]
        return Account(_done(killed, supply, scene), figures, _notes(scene, supply))


def _kill(scene: Scene, supply: Supply, draw: random.Random, scale: Scale) -> Counter[str]:
    """Kill so many processes; return how many of each kind, and at which points."""
    killed: Counter[str] = Counter()
    points = [point for point in POINTS if scale.full or point not in TRAININGS]
    for number in range(scale.of(KILLS)):
        done = False
        while not done:
            supply.top_up()
            what = draw.choice(points) if number % 2 else draw.choice(("api", "worker", "child"))
            done = _at_point(scene, supply, what) if number % 2 else _at_any_moment(scene, what, draw)
            if done:
                killed[what] += 1
    return killed


def _at_point(scene: Scene, supply: Supply, point: str) -> bool:
    scene.processes.order(point, Action.KILL)
    if point.startswith("jobs.created"):
        supply.worlds[0].submit(another(RANDOM, 1000 + len(supply.worlds[0].jobs)))
    return scene.processes.await_taken(point, POINT_SECONDS) is not None


def _at_any_moment(scene: Scene, kind: str, draw: random.Random) -> bool:
    time.sleep(draw.uniform(*PAUSE_SECONDS))
    return scene.processes.send(kind, signal.SIGKILL, draw) is not None


def _wait(scene: Scene, jobs: list[str], seconds: float) -> None:
    give_up = time.monotonic() + seconds
    while scene.unfinished(jobs) and time.monotonic() < give_up:
        time.sleep(0.5)


def _figures(scene: Scene, supply: Supply, watch: Watch, killed: Counter[str]) -> list[Figure]:
    for config in {str(config): config for world in supply.worlds for config in world.jobs.values()}.values():
        scene.compute(config)
    published = Published(scene)
    statuses = Counter(scene.statuses(supply.jobs).values())
    return [
        exactly("jobs lost", len(supply.jobs) - statuses["succeeded"], 0),
        exactly("steps published twice", len(set(watch.changed)) + len(published.mixed), 0),
        exactly("files that are not what their row says", len(published.damaged), 0),
        exactly("files of attempts that came to nothing", len(published.strays), 0),
        exactly("steps whose results differ from an uninterrupted run", len(published.other), 0),
        at_most(
            "seconds until a dead worker is noticed", max(watch.noticed + watch.unnoticed, default=0), NOTICED_SECONDS
        ),
        told("of these the median", percentile(watch.noticed, 0.5)),
        told("steps that dead workers held", len(watch.noticed)),
        told("jobs", len(supply.jobs)),
        told("steps", published.steps),
        told("trainings that went on from a checkpoint", _resumed(scene)),
        told("kills at marked points", sum(killed[point] for point in POINTS)),
        told("requests cut off", scene.cut),
    ]


def _resumed(scene: Scene) -> int:
    """Count the trainings whose log says that they went on in the middle."""
    with scene.database.reading() as session:
        metrics = session.scalars(select(Event.data).where(Event.type == EventType.STEP_METRICS))
        return sum("resumed_at_step" in data for data in metrics)


def _done(killed: Counter[str], supply: Supply, scene: Scene) -> str:
    listed = ", ".join(f"{name} {count}" for name, count in sorted(killed.items()))
    return (
        f"{sum(killed.values())} processes were ended by SIGKILL and started again ({listed}) while {len(supply.jobs)} "
        f"jobs ran. Attempts a step: {scene.settings.max_attempts} instead of 3, since chance kills some steps often; "
        f"lease {scene.settings.lease_seconds:g} s, sweep {scene.settings.sweep_seconds:g} s."
    )


def _notes(scene: Scene, supply: Supply) -> list[str]:
    """Return what became of jobs that did not succeed."""
    wrong = [job_id for job_id, status in scene.statuses(supply.jobs).items() if status != "succeeded"]
    notes = []
    for job_id in wrong[:5]:
        steps = [(step.spec["name"], step.status, step.attempts, step.error) for step in scene.steps_of(job_id)]
        notes.append(f"job {job_id}: {steps}")
    return notes
