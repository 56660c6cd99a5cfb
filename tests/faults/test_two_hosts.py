"""Workers on two hosts of which one is cut off with a step in its hands, and comes back."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from accounts import Place, Scale
from scene import SMALL, Scene, running
from sqlalchemy import select
from two_hosts import Host, NoNamespaces, hosts
from watch import Published

from app.models import Status, Step

PATIENCE_SECONDS = 300
JOB = {**SMALL, "leak_guard": "off", "discriminator": {**SMALL["discriminator"], "epochs": 20}}
"""Seven steps, the first of them a training that is cut off."""


@pytest.fixture
def two(request: pytest.FixtureRequest) -> Iterator[list[Host]]:
    numbers = [(os.getpid() + offset) % 250 + 1 for offset in (0, 1)]
    with contextlib.ExitStack() as stack:
        try:
            made = stack.enter_context(hosts(numbers, "fmtl"))
        except NoNamespaces as missing:
            pytest.skip(str(missing))
        yield made


@pytest.fixture
def place(postgres_url: str, redis_url: str, tmp_path: Path) -> Place:
    environment = {"FASTMTL_HOME": str(tmp_path / "home")}
    environment |= {"FASTMTL_DATABASE_URL": postgres_url, "FASTMTL_BROKER_URL": redis_url}
    return Place("full", environment, tmp_path)


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_a_host_that_is_cut_off_loses_its_step_and_spoils_nothing_when_it_is_back(two: list[Host], place: Place):
    near, far = two
    with running(place, Scale(0.1), FASTMTL_CHECKPOINT_SECONDS="1") as scene, contextlib.ExitStack() as stack:
        world = scene.tenant("ada's")
        job = world.submit(JOB)
        cut_off = stack.enter_context(worker_on(far, scene))
        until(lambda: holder(scene, "discriminator").endswith(f"-{cut_off.pid}"))
        far.cut()
        other = stack.enter_context(worker_on(near, scene))
        until(lambda: holder(scene, "discriminator").endswith(f"-{other.pid}"))
        far.mend()
        until(lambda: scene.statuses([job])[job] not in (Status.QUEUED, Status.RUNNING))
        scene.compute(JOB)
        published = Published(scene)
        steps = {step.kind: step for step in scene.steps_of(job)}
        assert scene.statuses([job]) == {job: Status.SUCCEEDED}
        assert (published.mixed, published.damaged, published.other) == ([], [], [])
        assert (steps["discriminator"].attempts, cut_off.poll()) == (2, None)
        until(lambda: published_strays(scene) == [])


def published_strays(scene: Scene) -> list[str]:
    return Published(scene).strays


@contextlib.contextmanager
def worker_on(host: Host, scene: Scene) -> Iterator[subprocess.Popen[bytes]]:
    """Run a worker on a host, which reaches database and broker over its cable."""
    given = scene.processes.environment
    with (
        host.relayed(given["FASTMTL_DATABASE_URL"]) as database,
        host.relayed(given["FASTMTL_BROKER_URL"]) as broker,
        (scene.processes.home / "logs" / f"{host.name}.log").open("ab") as log,
    ):
        environment = {**given, "FASTMTL_DATABASE_URL": database, "FASTMTL_BROKER_URL": broker}
        command = host.command(sys.executable, "-m", "app.cli", "worker")
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        try:
            yield process
        finally:
            process.kill()
            process.wait()


def holder(scene: Scene, kind: str) -> str:
    """Return who runs the step of that kind; nobody's name where none does."""
    with scene.database.reading() as session:
        running_now = select(Step.worker).where(Step.kind == kind, Step.status == Status.RUNNING)
        return session.scalars(running_now).first() or ""


def until(true: Callable[[], bool]) -> None:
    give_up = time.monotonic() + PATIENCE_SECONDS
    while not true():
        assert time.monotonic() < give_up, "it does not come about"
        time.sleep(0.1)
