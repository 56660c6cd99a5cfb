"""Kill -9 and restarts while jobs run in the containers of docker-compose.yml: a short form of tests/faults."""

from __future__ import annotations

import time
import uuid
from collections import Counter
from collections.abc import Callable
from functools import cached_property
from pathlib import Path

from composed import Compose
from patient import Patient
from scene import NOT_THE_SAME_TWICE, RANDOM, WORDS
from worlds import write_world

from fastmtl.client import FINAL, Client

Json = dict
TRIED_EPOCHS, MOST_EPOCHS = 5, 100
LONG_SECONDS = 25
"""Of the training that is broken in the middle."""
SHORT_SECONDS = 10
"""Of a training of each of the jobs that run while all is restarted."""
JOB_SECONDS = 900
LOOK_SECONDS = 1.0
REDIS_AWAY_SECONDS = 6
JOBS = 20
LEFT_ALONE_SECONDS = 5


class Tenant:
    """A tenant with the datasets of a small world."""

    def __init__(self, compose: Compose, folder: Path) -> None:
        self.patient = Patient(compose.url, key := compose.key(f"breaking-{uuid.uuid4().hex[:12]}"))
        self.client = Client(compose.url, key)
        folder.mkdir(parents=True, exist_ok=True)
        ids = {name: self.patient.upload(path) for name, path in write_world(folder).items() if name != "validation"}
        self.request = {"primary": ids["primary"], "auxiliary": [ids["alike"], ids["unlike"]]}

    def submit(self, name: str, config: Json) -> str:
        """Submit a job and return its id."""
        return self.patient.submit(name, **self.request, config=config)

    def until(self, job: str, wanted: Callable[[Json], object]) -> Json:
        """Wait for a state of a job and return it."""
        give_up = time.monotonic() + JOB_SECONDS
        while not wanted(state := self.patient.job(job)):
            assert time.monotonic() < give_up, f"waited too long; the job is {state['status']}: {state['error']}"
            assert state["status"] not in ("failed", "cancelled"), state["error"]
            time.sleep(LOOK_SECONDS)
        return state

    def results(self, job: str) -> dict[str, str]:
        """Return the digests of a job's files, but for those that tell of time."""
        files = {str(each["name"]): str(each["sha256"]) for each in self.client.artifacts(job)}
        return {name: digest for name, digest in files.items() if not name.endswith(NOT_THE_SAME_TWICE)}

    def not_once(self, job: str) -> dict[str, int]:
        """Return the steps that were computed for a job and did not succeed exactly once, by its log."""
        events: list[Json] = []
        while page := self._events(job, after=events[-1]["number"] if events else 0):
            events += page
        times = Counter(str(each["data"]["step"]) for each in events if each["type"] == "step.succeeded")
        computed = [step["name"] for step in self.patient.job(job)["steps"] if not step["reused"]]
        assert computed, "every step was found done: it showed nothing"
        return {name: times[name] for name in computed if times[name] != 1}

    def _events(self, job: str, after: int) -> list[Json]:
        return self.client.request("GET", f"/jobs/{job}/events", params={"limit": 200, "after": after})["items"]


class Trial:
    """What the parts that break things share: a tenant, and a job of its that is done."""

    def __init__(self, compose: Compose, folder: Path) -> None:
        self.compose, self._folder = compose, folder

    def tenant(self) -> Tenant:
        """Make a tenant."""
        return Tenant(self.compose, self._folder)

    @cached_property
    def one(self) -> Tenant:
        """The tenant."""
        return self.tenant()

    def config(self, seconds: float) -> Json:
        """Return a job of five steps, the fourth of which, a training, takes about so long here."""
        epochs = round(TRIED_EPOCHS * seconds / self._tried_seconds)
        return _config(min(max(TRIED_EPOCHS, epochs), MOST_EPOCHS))

    @cached_property
    def _tried_seconds(self) -> float:
        """What the training takes with TRIED_EPOCHS."""
        other = self.tenant()
        state = other.until(other.submit("tried", _config(TRIED_EPOCHS)), succeeded)
        step = next(step for step in state["steps"] if step["kind"] == "finetune")
        return max(0.5, float(step["seconds"]))

    @cached_property
    def expected(self) -> dict[str, str]:
        """Digests of the files of the job that nothing disturbs."""
        other = self.tenant()
        job = other.submit("undisturbed", self.config(LONG_SECONDS))
        other.until(job, succeeded)
        return other.results(job)

    @cached_property
    def job(self) -> str:
        """A job of the tenant that is done."""
        job = self.one.submit("done", self.config(LONG_SECONDS))
        self.one.until(job, succeeded)
        return job


def _config(epochs: int) -> Json:
    return {**RANDOM, "finetuning": {**RANDOM["finetuning"], "epochs": epochs, "batch_size": 1}}


def succeeded(state: Json) -> bool:
    """Whether a job has."""
    return state["status"] == "succeeded"


def in_the_middle(state: Json, kind: str) -> bool:
    """Whether a step of a kind runs and has come to something."""
    return any(step["kind"] == kind and step["status"] == "running" and step["progress"] for step in state["steps"])


def killed(trial: Trial) -> str:
    """Kill the API, Redis and the worker during a job; it must end as it would have, and every step succeed once."""
    expected, one = trial.expected, trial.one
    job = one.submit("done", trial.config(LONG_SECONDS))
    one.until(job, lambda state: any(step["status"] == "running" for step in state["steps"]))
    _kill_api(trial.compose)
    one.until(job, lambda state: in_the_middle(state, "finetune"))
    trial.compose.run("kill", "redis")
    _kill_worker(trial.compose)
    time.sleep(REDIS_AWAY_SECONDS)
    trial.compose.run("start", "redis")
    state = one.until(job, succeeded)
    trial.job = job
    found, wrong = one.results(job), one.not_once(job)
    assert wrong == {}, f"steps that did not succeed exactly once: {wrong}"
    assert found == expected, f"files that differ: {sorted(set(found.items()) ^ set(expected.items()))[:6]}"
    attempts = {step["name"]: step["attempts"] for step in state["steps"] if step["attempts"] > 1}
    assert any("finetune" in name for name in attempts), f"the training was not killed: {attempts}"
    return (
        f"the API was killed at a step, Redis (away for {REDIS_AWAY_SECONDS} s) and the worker in the middle of a "
        f"training; the job succeeded, every step once, and its {len(found)} files are those of an undisturbed job; "
        f"attempts above one: {attempts}; requests cut off: {one.patient.cut}"
    )


def rolled(trial: Trial) -> str:
    """Restart every container, one after another, while jobs run; all must finish, and no step twice."""
    one, compose = trial.one, trial.compose
    config = trial.config(SHORT_SECONDS)
    compose.workers(2)
    jobs = [one.submit(f"job {number}", {**config, "seed": number, "training_seed": number}) for number in range(JOBS)]
    restarted, still_open = [], 0
    for service in ("worker", "redis", "postgres", "api"):
        for container in compose.containers(service):
            still_open = sum(one.patient.job(job)["status"] not in FINAL for job in jobs)
            compose.restart(container)
            restarted.append(f"{service} ({still_open} jobs open)")
    ended = one.patient.over(jobs, JOB_SECONDS)
    statuses = Counter(state["status"] for state in ended.values())
    assert statuses == {"succeeded": JOBS}, f"jobs: {dict(statuses)}"
    wrong = {job: steps for job in jobs if (steps := one.not_once(job))}
    assert wrong == {}, f"steps that did not succeed exactly once: {wrong}"
    assert still_open, "all jobs were over before the last restart: it showed nothing"
    compose.workers(1)
    return f"{JOBS} jobs succeeded, every step once; restarted one after another: {', '.join(restarted)}"


def shared_out(trial: Trial) -> str:
    """Have a worker for steps without a GPU alone, then one for the others too; each must compute its own."""
    compose, one = trial.compose, trial.tenant()
    compose.run("stop", "worker")
    compose.run("--profile", "cpu-steps", "up", "--detach", "--wait", "--no-deps", "cpu-worker")
    job = one.submit("shared out", WORDS)
    one.until(job, lambda state: _statuses(state)["target"] == "queued")
    time.sleep(LEFT_ALONE_SECONDS)
    alone = _statuses(one.patient.job(job))
    assert alone["target"] == "queued", f"a training was taken by a worker that has no device for it: {alone}"
    compose.run("start", "worker")
    one.until(job, succeeded)
    wrong = one.not_once(job)
    assert wrong == {}, f"steps that did not succeed exactly once: {wrong}"
    compose.run("--profile", "cpu-steps", "rm", "--stop", "--force", "cpu-worker")
    done = [kind for kind, status in alone.items() if status == "succeeded"]
    return (
        f"without another worker the one of `cpu-steps` computed {', '.join(done)} and left the training alone for "
        f"{LEFT_ALONE_SECONDS} s; with the usual worker back the job succeeded, every step once"
    )


def _statuses(state: Json) -> dict[str, str]:
    """Return the status of each step by its kind."""
    return {step["kind"]: step["status"] for step in state["steps"]}


def _kill_worker(compose: Compose) -> None:
    assert compose.send("worker", "worker", 9), "no worker was there to kill"


def _kill_api(compose: Compose) -> None:
    assert compose.send("api", "api", 9), "no API was there to kill"
    compose.await_ready()
