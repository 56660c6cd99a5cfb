"""Kill -9 at random: the API, workers and steps, at marked points and at any moment, while jobs go on."""

from __future__ import annotations

import random
import signal
import time
from collections import Counter
from collections.abc import Iterator

from accounts import Account, Figure, Place, Scale, at_most, exactly, percentile, told
from scene import MORE_ATTEMPTS, PAPER, RANDOM, WORDS, Scene, World, another, running
from watch import Published, Watch

from app.failpoints import Action

KILLS = 200
NOTICED_SECONDS = 45
WORKERS = 3
POINTS = (
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
"""Points that only a training comes to, of which the short form has few."""
AT_ONCE = 6
"""Jobs that are open at a time while there are kills."""
POINT_SECONDS = 15
"""How long a process may take to come to a marked point before another is tried."""
PAUSE_SECONDS = (0.2, 3.0)


class Supply:
    """Submits jobs while there are kills, so that there is always something to break."""

    def __init__(self, scene: Scene, scale: Scale) -> None:
        self._scene = scene
        self._configs = [RANDOM] if not scale.full else [PAPER, WORDS, RANDOM]
        self._reports = 4 if scale.full else 20
        self.worlds: list[World] = []
        self._next = self._endless()

    @property
    def jobs(self) -> list[str]:
        """All jobs' ids."""
        return [job_id for world in self.worlds for job_id in world.jobs]

    def top_up(self) -> None:
        """Submit jobs until enough are open."""
        for _ in range(AT_ONCE - len(self._scene.unfinished(self.jobs))):
            world, config = next(self._next)
            world.submit(config)

    def _endless(self) -> Iterator[tuple[World, dict]]:
        """Yield whole jobs in a tenant of their own, then jobs of the same whose report alone is new."""
        while True:
            world = self._scene.tenant(f"tenant {len(self.worlds)}")
            self.worlds.append(world)
            for config in self._configs:
                yield world, config
            for number in range(self._reports):
                yield world, another(self._configs[-1], number)


def random_kills(place: Place, scale: Scale) -> Account:
    """Kill processes at random while jobs run, then let all jobs come to their end."""
    draw = random.Random(scale.seed)
    with running(place, scale, WORKERS if scale.full else 2, FASTMTL_MAX_ATTEMPTS=str(MORE_ATTEMPTS)) as scene:
        supply = Supply(scene, scale)
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
        world = supply.worlds[-1]
        world.submit(another(RANDOM, 1000 + len(world.jobs)))
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
        told("kills at marked points", sum(killed[point] for point in POINTS)),
        told("requests cut off", scene.cut),
    ]


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
