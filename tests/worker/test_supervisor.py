"""How a step's process may end, what stays of it, and what is told of it. The processes are small programs."""

from __future__ import annotations

import io
import itertools
import os
import socket
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import psutil
import pytest
from lives import World, spec
from sqlalchemy import select
from stores import object_store

from app.db import Database
from app.jobs import StoredFile
from app.models import Event, Status, Step
from app.settings import Settings
from app.storage import FolderStorage, Storage
from worker.supervisor import AWAKE_SECONDS, Child, Supervisor, remove_left_scratch, scratch_root

STEP = spec("discriminator")
OPENING = """
import json, os, pathlib, signal, subprocess, sys, time
folder = pathlib.Path(sys.argv[1])
keeping = json.loads((folder / "request.json").read_text())["keeping"]
kept = pathlib.Path(keeping["folder"])

def tell(**message):
    print(json.dumps(message), flush=True)

def keep():
    kept.mkdir(parents=True)
    (kept / f"00000001-{'0' * 64}.safetensors").write_text("")

def give_birth():
    born = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(300)"])
    (pathlib.Path(__file__).parent / "born").write_text(str(born.pid))

def succeed():
    (folder / "output").mkdir()
    (folder / "output" / "model").write_text("weights")
    (folder / "result.json").write_text('{"losses": [0.5]}')
"""


@dataclass
class Place:
    """A worker with one step to compute, whose process runs the code that is given."""

    world: World
    home: Path
    memory_kills: Callable[[], int] = lambda: 0
    """What the kernel says that it has ended for want of memory."""

    def compute(
        self,
        code: str,
        stopping: threading.Event | None = None,
        storage: Storage | None = None,
        **settings: object,
    ) -> Step:
        """Make an attempt; return how the step stands then."""
        claim = self.world.claim(STEP)
        program = self.home / "program.py"
        program.write_text(OPENING + textwrap.dedent(code))
        wanted = Settings(home=self.home, poll_seconds=0.02, **settings)
        storage, command = storage or FolderStorage(self.home / "storage"), (sys.executable, str(program))
        stopping = stopping or threading.Event()
        Supervisor(self.world.jobs, storage, wanted, stopping, command, self.memory_kills).compute(claim)
        return self.world.step(STEP)

    def when_kept(self, act: Callable[[], object]) -> None:
        """Do something, in another thread, once the step has kept something."""

        self.when(self.kept, act)

    def when(self, happened: Callable[[], object], *acts: Callable[[], object]) -> None:
        """Do some things, in another thread, once something has happened."""

        def wait() -> None:
            while not happened():
                time.sleep(0.02)
            for act in acts:
                act()

        threading.Thread(target=wait, daemon=True).start()

    def kept(self) -> list[str]:
        """The fences of which something is kept."""
        folder = self.home / "storage" / "checkpoints"
        return sorted(path.parent.name for path in folder.rglob("*.safetensors"))

    def news(self) -> list[tuple[str, dict]]:
        """What the job's log says of metrics and warnings."""
        with self.world.database.reading() as session:
            events = session.scalars(select(Event).order_by(Event.number)).all()
        return [
            (each.type, {name: value for name, value in each.data.items() if name in ("epoch", "loss", "message")})
            for each in events
            if each.type in ("step.metrics", "step.warning")
        ]

    def has_orphans(self) -> bool:
        """Whether the process that the step's process started is still there some seconds later."""
        pid = int((self.home / "born").read_text())
        until = time.monotonic() + 5
        while psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
            if time.monotonic() > until:
                return True
            time.sleep(0.02)
        return False


@pytest.fixture
def place(sqlite_url: str, tmp_path: Path) -> Iterator[Place]:
    world = World(Database(sqlite_url))
    world.create([STEP])
    yield Place(world, tmp_path)
    world.database.close()


def test_a_step_that_is_done_leaves_its_files_and_no_checkpoint(place):
    step = place.compute("keep(); succeed()")
    assert (step.status, step.result, place.kept()) == (Status.SUCCEEDED, {"losses": [0.5]}, [])


@pytest.mark.parametrize("name", ["SIGSEGV", "SIGKILL"])
def test_a_process_that_is_killed_spends_an_attempt_and_leaves_no_orphan_but_its_checkpoint(place, name):
    step = place.compute(f"keep(); give_birth(); os.kill(os.getpid(), signal.{name})")
    assert (step.status, step.attempts, step.error["type"]) == (Status.QUEUED, 1, "process-died")
    assert (place.has_orphans(), place.kept()) == (False, ["1"])


HALVINGS = """
with (pathlib.Path(__file__).parent / "halvings").open("a") as noted:
    noted.write(f"{keeping['halvings']} ")
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_after_each_process_that_memory_ended_the_next_attempt_computes_half_as_much_at_once(place):
    place.memory_kills = itertools.count().__next__
    steps = [place.compute(HALVINGS) for _ in range(3)]
    assert [each.status for each in steps] == [Status.QUEUED, Status.QUEUED, Status.FAILED]
    assert steps[0].error["message"].startswith("the machine ran out of memory and ended the step's process")
    assert (place.home / "halvings").read_text() == "0 1 2 "
    assert list((place.home / "storage" / "checkpoints").iterdir()) == []


def test_a_process_that_somebody_else_killed_is_followed_by_one_that_computes_as_much(place):
    """As much at once, and so the same bits as without the kill."""
    for _ in range(2):
        place.compute(HALVINGS)
    assert (place.home / "halvings").read_text() == "0 0 "


def test_the_lease_is_renewed_while_a_large_output_is_stored(place):
    world = place.world

    class Slow(FolderStorage):
        """Takes a minute, twice the lease, while the sweep looks on."""

        def store_folder(self, folder: Path, prefix: str) -> list[StoredFile]:
            for _ in range(3):
                world.clock.turn(20)
                await_lease(world, world.clock() + timedelta(seconds=30))
                world.jobs.sweep()
            return super().store_folder(folder, prefix)

    step = place.compute("succeed()", storage=Slow(place.home / "storage"), heartbeat_seconds=0.02)
    assert (step.status, step.attempts, step.fence) == (Status.SUCCEEDED, 1, 1)


def await_lease(world: World, until: datetime) -> None:
    """Wait until the lease was renewed to that time."""
    give_up = time.monotonic() + 60
    while world.step(STEP).lease_until != until:
        assert time.monotonic() < give_up, "the lease is not renewed"
        time.sleep(0.02)


def test_a_store_that_is_away_costs_an_attempt_before_the_step_or_after_it_and_no_more(place, bucket, gate, tmp_path):
    storage = object_store(tmp_path / "objects", bucket.behind(gate.url))
    gate.shut()
    step = place.compute("succeed()", storage=storage)
    assert (step.status, step.attempts) == (Status.QUEUED, 1)
    told = "what the step reads could not be brought to the worker: the object store does not answer"
    assert step.error == {"type": "storage", "message": told}
    gate.open()
    place.when((place.home / "begun").exists, gate.shut, (place.home / "away").touch)
    step = place.compute(
        """
        place = pathlib.Path(__file__).parent
        (place / "begun").touch()
        while not (place / "away").exists():
            time.sleep(0.02)
        succeed()
        """,
        storage=storage,
    )
    assert (step.status, step.attempts) == (Status.QUEUED, 2)
    assert step.error["message"] == "the step's files could not be stored: the object store does not answer"
    gate.open()
    step = place.compute("succeed()", storage=storage)
    assert (step.status, bucket.keys()) == (Status.SUCCEEDED, [f"steps/{step.id}/3/model"])


def test_a_process_that_says_nothing_for_too_long_is_ended_with_all_that_it_started(place):
    code = 'give_birth(); tell(progress={"done": 1, "total": 9}); time.sleep(300)'
    step = place.compute(code, stall_seconds=2.5)
    assert (step.status, step.attempts, step.error["type"]) == (Status.QUEUED, 1, "step-stalled")
    assert "said nothing for 2.5 seconds" in step.error["message"]
    assert "FASTMTL_STALL_SECONDS" in step.error["message"]
    assert not place.has_orphans()


def test_a_process_that_ended_leaves_none_that_it_started(place):
    assert place.compute("give_birth(); succeed()").status == Status.SUCCEEDED
    assert not place.has_orphans()


def test_a_process_that_goes_on_telling_is_not_taken_for_hung(place):
    code = """
    for done in range(8):
        tell(progress={"done": done, "total": 9})
        time.sleep(0.5)
    succeed()
    """
    assert place.compute(code, stall_seconds=3).status == Status.SUCCEEDED


def test_the_last_attempt_takes_the_checkpoints_with_it(place):
    for attempt in ("1", "2"):
        assert place.compute("keep(); os.abort()").status == Status.QUEUED
        assert place.kept()[-1] == attempt
    assert (place.compute("keep(); os.abort()").status, place.kept()) == (Status.FAILED, [])


def test_an_error_that_no_attempt_can_mend_takes_the_checkpoints_with_it(place):
    told = {"type": "not-enough-memory", "message": "not even one row fits"}
    step = place.compute(f"keep(); tell(error={told}, again=False); sys.exit(1)")
    assert (step.status, step.error, place.kept()) == (Status.FAILED, told, [])


def test_the_next_attempt_is_shown_what_the_older_one_kept_and_its_own_takes_its_place(place):
    place.compute("keep(); os.abort()")
    code = """
    assert [pathlib.Path(each).name for each in keeping["older"]] == ["1"]
    keep()
    while pathlib.Path(keeping["older"][0]).exists():
        time.sleep(0.02)
    os.abort()
    """
    place.compute(code)
    assert place.kept() == ["2"]


def test_a_worker_that_stops_gives_the_step_back_with_what_was_done(place):
    stopping = threading.Event()
    place.when_kept(stopping.set)
    step = place.compute("keep(); time.sleep(300)", stopping)
    assert (step.status, step.attempts, place.kept()) == (Status.QUEUED, 0, ["1"])


def test_a_step_that_is_taken_away_is_ended_and_left_alone(place):
    def take_away() -> None:
        place.world.clock.turn(60)
        place.world.jobs.sweep()

    place.when_kept(take_away)
    step = place.compute("keep(); time.sleep(300)")
    assert (step.status, step.error["type"], place.kept()) == (Status.QUEUED, "worker-lost", ["1"])


def test_metrics_and_warnings_reach_the_jobs_log_in_order_the_last_ones_too(place):
    code = """
    tell(metrics={"epoch": 1, "loss": 0.5})
    tell(warning="a batch did not fit")
    tell(metrics={"epoch": 2, "loss": 0.25})
    succeed()
    """
    place.compute(code)
    assert place.news() == [
        ("step.metrics", {"epoch": 1, "loss": 0.5}),
        ("step.warning", {"message": "a batch did not fit"}),
        ("step.metrics", {"epoch": 2, "loss": 0.25}),
    ]


def test_half_a_line_of_a_process_that_was_killed_is_no_news(place):
    assert place.compute('sys.stdout.write(\'{"progress": {"do\'); succeed()').status == Status.SUCCEEDED


def silence(passed: list[float], speaks_before: int) -> list[float]:
    """What is told of a child's silence at each look; before one of them it says something."""

    class Process:
        stdout = io.StringIO()

    child = Child(Process())  # type: ignore[arg-type]
    told = []
    for look, seconds in enumerate(passed):
        child._lines += look == speaks_before
        told.append(child.silent_seconds(seconds))
    return told


def test_silence_is_counted_from_the_last_word_and_not_while_the_worker_itself_stood_still():
    # an hour passed between the fourth look and the fifth: the worker was stopped, and heard nothing
    assert silence([1.0, 1.0, 1.0, 1.0, 3600.0], speaks_before=2) == [1.0, 2.0, 0.0, 1.0, 1.0 + AWAKE_SECONDS]


def test_a_worker_removes_what_workers_that_are_gone_have_left_on_its_host(tmp_path: Path):
    settings = Settings(home=tmp_path)
    gone = subprocess.Popen(["true"])
    gone.wait()
    names = {
        "gone": f"{socket.gethostname()}-{gone.pid}",
        "alive": f"{socket.gethostname()}-{os.getppid()}",
        "elsewhere": f"another-host-{gone.pid}",
        "same id as this one": scratch_root(settings).name,
    }
    for name in names.values():
        (tmp_path / "scratch" / name / "step-1").mkdir(parents=True)
    remove_left_scratch(settings)
    kept = {what for what, name in names.items() if (tmp_path / "scratch" / name).exists()}
    assert kept == {"alive", "elsewhere"}
