"""One child process a step: start it, keep its lease, pass its progress on, end it when it is not wanted any more.

The worker itself never imports torch: any torch operation before a fork was measured to hang every child, and memory
that a step took comes back only when its process ends.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from enum import Enum
from pathlib import Path

import psutil
import structlog
from sqlalchemy.exc import DBAPIError

from app.events import EventType
from app.failpoints import reach
from app.jobs import Claim, Jobs, News
from app.settings import Settings
from app.storage import Storage
from fastmtl.plan import Json
from worker import attempts, checkpoints
from worker.checkpoints import Keeper
from worker.failures import died, failure, memory_kills, not_stored, stalled
from worker.inputs import bring
from worker.launcher import Launcher, StepProcess
from worker.lease import held, patiently
from worker.protocol import OUTPUT, REQUEST, RESULT, Message, Request

log = structlog.get_logger()

LOOK_SECONDS = 1.0
"""How often the database is asked whether the step is still wanted, and told of progress."""
LISTEN_SECONDS = 10.0
"""How long the last lines of a child that has ended are waited for."""
AWAKE_SECONDS = 10.0
"""What counts, at most, of the time between two looks as the child's silence: else this process stood still itself."""


class Outcome(Enum):
    """How a child process ended."""

    DONE = "done"
    FAILED = "failed"
    NOT_OURS = "not ours"
    """Cancelled, or given to another worker: nothing is to be written."""
    STOPPED = "stopped"
    """The worker stops: the step goes back."""
    STALLED = "stalled"
    """It said nothing for too long."""


class Child:
    """A running step."""

    def __init__(self, process: StepProcess) -> None:
        self.process = process
        self.progress: Json | None = None
        self.news: list[News] = []
        """What it told besides its progress and was not handed on yet; the listener alone adds to it."""
        self.error: Json | None = None
        self.again = True
        self._lines = self._lines_seen = 0
        self._silent_seconds = 0.0
        self._listener = threading.Thread(target=self._listen, name="listen", daemon=True)
        self._listener.start()

    def end(self) -> None:
        """Kill it with all processes that it started, if any is left, and read its last line.

        It keeps nothing that is worth a goodbye: what it has done so far stands in its checkpoints.
        """
        self.process.end()
        self._listener.join(LISTEN_SECONDS)

    @property
    def was_killed(self) -> bool:
        """Whether it was ended by SIGKILL before it could say what was wrong."""
        return self.process.returncode == -signal.SIGKILL and self.error is None

    def silent_seconds(self, passed: float) -> float:
        """Return for how long it has said nothing; `passed` since this was last asked."""
        if self._lines != self._lines_seen:
            self._lines_seen, self._silent_seconds = self._lines, 0.0
        else:
            self._silent_seconds += min(passed, AWAKE_SECONDS)
        return self._silent_seconds

    def _listen(self) -> None:
        """Read the child's lines until it closes them."""
        with self.process.stdout as lines:
            for line in lines:
                self._lines += 1
                try:
                    self._hear(Message.model_validate_json(line))
                except ValueError:  # it was killed in the middle of a line
                    log.warning("child.garbled", line=line[:200])

    def _hear(self, message: Message) -> None:
        self.progress = message.progress or self.progress
        if message.metrics:
            self.news.append(News(EventType.STEP_METRICS, message.metrics))
        if message.warning:
            self.news.append(News(EventType.STEP_WARNING, {"message": message.warning}))
        if message.error:
            self.error, self.again = message.error, message.again


class Supervisor:
    """Computes claimed steps, one at a time."""

    def __init__(
        self,
        jobs: Jobs,
        storage: Storage,
        settings: Settings,
        stopping: threading.Event,
        program: Sequence[str] | None = None,
        memory_kills: Callable[[], int | None] = memory_kills,
    ) -> None:
        """`program` is as for Launcher. In tests both stand in for the real."""
        self._jobs = jobs
        self._storage = storage
        self._settings = settings
        self._stopping = stopping
        self._launcher = Launcher(program) if program else Launcher(warm_seconds=settings.warm_seconds)
        self._memory_kills = memory_kills

    def close(self) -> None:
        """End what is kept for the next step."""
        self._launcher.close()

    def compute(self, claim: Claim) -> None:
        """Compute a step and write down how it ended."""
        began = time.monotonic()
        with self._scratch(claim) as folder:
            missing = set(claim.spec.datasets) - set(claim.datasets)
            if missing:
                self._jobs.fail(claim, failure("dataset-deleted", "a dataset of this job was deleted"), again=False)
                return
            reach("worker.before-child")
            killed_before = self._memory_kills()
            keeper = self._prepare(claim, folder)
            if keeper is None:
                return
            child = Child(self._launcher.start(folder, claim.spec, attempts.environment()))
            try:
                outcome = attempts.current().watch(child, lambda: self._watch(claim, child, keeper))
            finally:
                child.end()
            with contextlib.suppress(DBAPIError):  # its end is worth more than its news
                self._tell_news(claim, child)
            reach("worker.child-ended")
            of_memory = child.was_killed and self._memory_kills() != killed_before
            self._settle(claim, child, outcome, folder, of_memory)
        log.info(
            "step.ended",
            step_id=str(claim.step_id),
            step=claim.spec.name,
            attempt=claim.attempt,
            outcome=outcome.value,
            seconds=round(time.monotonic() - began, 2),
        )

    def _settle(self, claim: Claim, child: Child, outcome: Outcome, folder: Path, of_memory: bool) -> None:
        """Write down how the child ended."""
        if outcome is Outcome.DONE:
            try:
                self._store(claim, folder)
            except OSError as error:
                self._fail(claim, not_stored("the step's files could not be stored", error), True)
        elif outcome is Outcome.FAILED:
            if of_memory:
                checkpoints.note_killed(self._storage, claim)
            reason = child.error or died(child.process.wait(), of_memory=of_memory)
            self._fail(claim, reason, child.again)
        elif outcome is Outcome.STALLED:
            self._fail(claim, stalled(self._settings.stall_seconds), True)
        elif outcome is Outcome.STOPPED:
            self._jobs.give_back(claim)

    def _fail(self, claim: Claim, reason: Json, again: bool) -> None:
        """Spend an attempt; what a step has done so far goes when there will be no other."""
        ours = patiently(lambda: self._jobs.fail(claim, reason, again=again))
        if ours and not (again and claim.attempt < self._settings.max_attempts):
            checkpoints.remove_of(self._storage, claim.step_id)

    def _tell_news(self, claim: Claim, child: Child) -> None:
        """Hand on to the job's log what the child told besides its progress."""
        news = list(child.news)
        if news and self._jobs.beat(claim, None, news):
            del child.news[: len(news)]  # now: were they not handed on, the next look would try again

    @contextlib.contextmanager
    def _scratch(self, claim: Claim) -> Iterator[Path]:
        """Give a folder of this attempt's own, removed at the end."""
        folder = scratch_root(self._settings) / f"{claim.step_id}-{claim.fence}"
        folder.mkdir(parents=True)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _prepare(self, claim: Claim, folder: Path) -> Keeper | None:
        """Bring what the step reads and write down what is asked; None where that failed, which spends an attempt."""
        try:
            with held(self._jobs, claim, self._settings.heartbeat_seconds):
                # What an attempt left that died between storing and finishing.
                self._storage.delete_prefix(*(_prefix(claim, older) for older in range(1, claim.fence)))
                keeper = Keeper(self._storage, claim)
                brought = bring(self._storage, claim, folder, self._stopping)
                keeping = keeper.keeping(self._settings.checkpoint_seconds)
        except OSError as error:
            self._fail(claim, not_stored("what the step reads could not be brought to the worker", error), True)
            return None
        request = Request(
            spec=claim.spec.to_json(),
            datasets=brought.datasets,
            # beside the dataset, so they go when it goes
            tokens={digest: self._storage.beside(key) / "tokens" for digest, key in claim.datasets.items()},
            inputs=brought.inputs,
            device=self._settings.device,
            threads=self._settings.threads,
            keeping=keeping,
        )
        (folder / REQUEST).write_text(request.model_dump_json())
        return keeper

    def _watch(self, claim: Claim, child: Child, keeper: Keeper) -> Outcome:
        """Wait until the child has ended or is to be ended, renewing the lease."""
        looked = beaten = time.monotonic()
        told = None
        while child.process.poll() is None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.process.wait(self._settings.poll_seconds)
            if self._stopping.is_set():
                return Outcome.STOPPED
            now = time.monotonic()
            if now - looked < LOOK_SECONDS:
                continue
            silent = child.silent_seconds(now - looked)
            looked = now
            keeper.look()
            due = now - beaten >= self._settings.heartbeat_seconds
            news = child.progress if child.progress is not told else None
            try:
                self._tell_news(claim, child)
                ours = self._jobs.beat(claim, news) if due or news else self._jobs.holds(claim)
            except DBAPIError as error:  # the lease runs on; whoever takes over will be told apart by the fence
                log.warning("database.unreachable", step_id=str(claim.step_id), error=str(error.orig))
                continue
            if not ours:
                return Outcome.NOT_OURS
            if silent >= self._settings.stall_seconds:
                return Outcome.STALLED
            if due or news:
                beaten, told = now, child.progress
        return Outcome.DONE if child.process.returncode == 0 else Outcome.FAILED

    def _store(self, claim: Claim, folder: Path) -> None:
        """Store the step's files, then make them known; a step that was given away meanwhile changes nothing."""
        result: Json = json.loads((folder / RESULT).read_text())
        prefix = _prefix(claim, claim.fence)
        with held(self._jobs, claim, self._settings.heartbeat_seconds):
            files = self._storage.store_folder(folder / OUTPUT, prefix)
            reach("worker.stored-not-finished")
            finished = patiently(lambda: self._jobs.finish(claim, files, result))
        if finished:
            checkpoints.remove_of(self._storage, claim.step_id)
        else:
            self._storage.delete_prefix(prefix)


def scratch_root(settings: Settings) -> Path:
    """Return the folder of this process's scratch folders."""
    return settings.home.absolute() / "scratch" / f"{socket.gethostname()}-{os.getpid()}"


def remove_left_scratch(settings: Settings) -> None:
    """Remove the scratch folders of this host's workers that are gone; other hosts may share the home.

    Called before this worker has one: in a container that is started again its predecessor had the same process id.
    """
    for folder in (settings.home / "scratch").glob(f"{socket.gethostname()}-*"):
        pid = int(folder.name.rpartition("-")[2])
        if pid == os.getpid() or not psutil.pid_exists(pid):
            shutil.rmtree(folder, ignore_errors=True)


def _prefix(claim: Claim, fence: int) -> str:
    """Return the storage prefix of an attempt's files: no two attempts ever write to the same place."""
    return f"steps/{claim.step_id}/{fence}"
