"""A service under test, whatever runs it, and what the tests of the whole path do to it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path

import psutil

from fastmtl.client import Client
from worker.protocol import STEP

Json = dict
WAIT_SECONDS = 400
WORKER = ("app.cli", "worker")
"""Words of a worker's command line."""


class Service(ABC):
    """A running API with a worker and a tenant that has nothing yet."""

    def __init__(self, client: Client, encoders: dict[str, str]) -> None:
        self.client = client
        self.encoders = encoders
        """As this process reaches them."""

    def until(self, job: Json, wanted: Callable[[Json], object]) -> Json:
        """Wait for a state of a job and return it."""
        end = time.monotonic() + WAIT_SECONDS
        while not wanted(state := self.client.job(job["id"])):
            assert time.monotonic() < end, f"waited too long; the job is {state['status']}: {state['error']}"
            assert state["status"] not in ("failed", "cancelled") or wanted(state), state["error"]
            time.sleep(0.1)
        return state

    @abstractmethod
    def start_worker(self) -> None:
        """Start one more."""

    @abstractmethod
    def kill(self, kind: str) -> int:
        """End all processes of a kind by SIGKILL, and return how many there were."""

    @abstractmethod
    def steps_running(self) -> int:
        """Return how many steps have a process."""

    @abstractmethod
    def ask_workers_to_stop(self) -> None:
        """Send every worker SIGTERM."""


class LocalService(Service):
    """Processes of this machine over a home of their own."""

    def __init__(self, client: Client, encoders: dict[str, str], environment: dict[str, str]) -> None:
        super().__init__(client, encoders)
        self._environment = environment
        self._workers: list[subprocess.Popen[bytes]] = []

    def start_worker(self) -> None:
        """Start one more."""
        self.start_machine(Path(self._environment["FASTMTL_HOME"]))

    def start_machine(self, home: Path) -> subprocess.Popen[bytes]:
        """Start a worker in a home of its own, as on another machine."""
        logs = home / "logs"
        logs.mkdir(parents=True, exist_ok=True)
        environment = {**self._environment, "FASTMTL_HOME": str(home)}
        with (logs / "more-workers.log").open("ab") as log:
            command = [sys.executable, "-m", "app.cli", "worker"]
            self._workers.append(subprocess.Popen(command, env=environment, stdout=log, stderr=log))
        return self._workers[-1]

    def kill(self, kind: str) -> int:
        """End all processes of a kind by SIGKILL, and return how many there were."""
        return self._send(kind, signal.SIGKILL)

    def steps_running(self) -> int:
        """Return how many steps have a process."""
        return len(self._pids("child"))

    def ask_workers_to_stop(self) -> None:
        """Send every worker SIGTERM."""
        assert self._send("worker", signal.SIGTERM)

    def stop(self) -> None:
        """Stop the workers that were started here."""
        for worker in self._workers:
            worker.terminate()
        for worker in self._workers:
            worker.wait(30)

    def _send(self, kind: str, what: signal.Signals) -> int:
        pids = self._pids(kind)
        for pid in pids:
            os.kill(pid, what)
        return len(pids)

    def _pids(self, kind: str) -> list[int]:
        found = []
        for process in psutil.process_iter():
            try:
                ours = process.environ().get("FASTMTL_HOME") == self._environment["FASTMTL_HOME"]
                called = process.name() == STEP if kind == "child" else set(WORKER) <= set(process.cmdline())
            except (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
                continue
            if ours and called:
                found.append(process.pid)
        return found
