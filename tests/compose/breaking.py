"""Kill -9 and restarts while jobs run in the containers of docker-compose.yml: a short form of tests/faults."""

from __future__ import annotations

import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from composed import Compose
from patient import Patient
from scene import NOT_THE_SAME_TWICE, PAPER, RANDOM
from worlds import write_world

from fastmtl.client import Client

Json = dict
JOB_SECONDS = 600
REDIS_AWAY_SECONDS = 6
JOBS = 20
ROLL_PAUSE_SECONDS = 8


class Tenant:
    """A tenant with the datasets of a small world."""

    def __init__(self, compose: Compose, folder: Path) -> None:
        self.client = Patient(compose.url, key := compose.key(f"breaking-{uuid.uuid4().hex[:12]}"))
        self.straight = Client(compose.url, key)
        folder.mkdir(parents=True, exist_ok=True)
        ids = {name: self.client.upload(path) for name, path in write_world(folder).items() if name != "validation"}
        self.request = {"primary": ids["primary"], "auxiliary": [ids["alike"], ids["unlike"]]}

    def submit(self, name: str, config: Json) -> str:
        """Submit a job and return its id."""
        return self.client.submit(name, **self.request, config=config)

    def until(self, job: str, wanted: Callable[[Json], object]) -> Json:
        """Wait for a state of a job and return it."""
        give_up = time.monotonic() + JOB_SECONDS
        while not wanted(state := self.client.job(job)):
            assert time.monotonic() < give_up, f"waited too long; the job is {state['status']}: {state['error']}"
            assert state["status"] not in ("failed", "cancelled"), state["error"]
            time.sleep(0.1)
        return state

    def results(self, job: str) -> dict[str, str]:
        """Return the digests of a job's files, but for those that tell of time."""
        files = {str(each["name"]): str(each["sha256"]) for each in self.straight.artifacts(job)}
        return {name: digest for name, digest in files.items() if not name.endswith(NOT_THE_SAME_TWICE)}

    def succeeded(self, job: str) -> Counter[str]:
        """Return how often each step of a job has succeeded, by its log."""
        events, after = [], 0
        while True:
            page = self.straight.request("GET", f"/jobs/{job}/events", params={"limit": 200, "after": after})["items"]
            if not page:
                return Counter(str(each["data"]["step"]) for each in events if each["type"] == "step.succeeded")
            events += page
            after = page[-1]["number"]

    def close(self) -> None:
        """Close the connections."""
        self.client.close()
        self.straight.close()


@contextmanager
def tenant(compose: Compose, folder: Path) -> Iterator[Tenant]:
    """Make a tenant; its connections are closed on leaving."""
    made = Tenant(compose, folder)
    try:
        yield made
    finally:
        made.close()


def undisturbed(compose: Compose, folder: Path) -> dict[str, str]:
    """Run a job that nothing interrupts and return the digests of its files."""
    with tenant(compose, folder) as one:
        job = one.submit("undisturbed", PAPER)
        one.until(job, lambda state: state["status"] == "succeeded")
        return one.results(job)


def killed(compose: Compose, folder: Path, what: str, expected: dict[str, str]) -> str:
    """Kill something in the middle of a job; the job must end as it would have, and every step succeed once."""
    with tenant(compose, folder) as one:
        job = one.submit(f"{what} killed", PAPER)
        one.until(job, lambda state: in_the_middle(state, "discriminator"))
        KILLS[what](compose)
        state = one.until(job, lambda state: state["status"] == "succeeded")
        found, twice = one.results(job), [name for name, times in one.succeeded(job).items() if times != 1]
        assert twice == [], f"steps that succeeded more than once: {twice}"
        assert found == expected, f"files that differ: {sorted(set(found.items()) ^ set(expected.items()))[:6]}"
        attempts = next(step["attempts"] for step in state["steps"] if step["name"] == "discriminator")
        told = f"attempts at the step that ran: {attempts}; cut requests: {one.client.cut}"
        return f"the job succeeded with {len(found)} files equal to an undisturbed one's; {told}"


def in_the_middle(state: Json, name: str) -> bool:
    """Whether a step runs and has come to something."""
    return any(step["name"] == name and step["status"] == "running" and step["progress"] for step in state["steps"])


def rolled(compose: Compose, folder: Path) -> str:
    """Restart every container, one after another, while jobs run; all must finish, and no step twice."""
    with tenant(compose, folder) as one:
        compose.workers(2)
        jobs = [one.submit(f"job {number}", {**RANDOM, "seed": number}) for number in range(JOBS)]
        one.until(jobs[0], lambda state: state["status"] in ("running", "succeeded"))
        restarted = []
        for service in ("worker", "redis", "postgres", "api"):
            for container in compose.containers(service):
                compose.restart(container)
                restarted.append(service)
                time.sleep(ROLL_PAUSE_SECONDS)
        done_at_end = sum(one.client.job(job)["status"] == "succeeded" for job in jobs)
        ended = one.client.over(jobs, JOB_SECONDS)
        statuses = Counter(state["status"] for state in ended.values())
        assert statuses == {"succeeded": JOBS}, f"jobs: {dict(statuses)}"
        twice = [(job, step) for job in jobs for step, times in one.succeeded(job).items() if times != 1]
        assert twice == [], f"steps that succeeded more than once: {twice}"
        assert done_at_end < JOBS, "all jobs were over before the last restart: it showed nothing"
        compose.workers(1)
        return (
            f"{JOBS} jobs succeeded, every step once; restarted: {', '.join(restarted)}, "
            f"{JOBS - done_at_end} jobs still open after the last"
        )


def _kill_worker(compose: Compose) -> None:
    assert compose.send("worker", "worker", 9), "no worker was there to kill"


def _kill_api(compose: Compose) -> None:
    for _ in range(2):
        assert compose.send("api", "api", 9), "no API was there to kill"
        compose.await_ready()


def _kill_redis(compose: Compose) -> None:
    compose.run("kill", "redis")
    time.sleep(REDIS_AWAY_SECONDS)
    compose.run("start", "redis")


KILLS: dict[str, Callable[[Compose], None]] = {"worker": _kill_worker, "API": _kill_api, "Redis": _kill_redis}
