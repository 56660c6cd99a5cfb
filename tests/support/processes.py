"""The service as it is deployed: API and workers as processes, each started again when it ends, and ways to break them.

What Docker or systemd does with `restart: always` a thread does here. Every death is noted with its moment.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import httpx2
import psutil

from app import failpoints
from app.failpoints import Action
from worker.protocol import STEP

START_SECONDS = 90
STOP_SECONDS = 30
LOOK_SECONDS = 0.02
PR_SET_PDEATHSIG = 1
LIBC = ctypes.CDLL(None)


@dataclass(frozen=True)
class Death:
    """A process of the service has ended."""

    kind: str
    """`serve` or `worker`."""
    pid: int
    at: float
    """Of time.time()."""
    status: int


@dataclass(frozen=True)
class Taken:
    """A fault that was ordered has happened."""

    point: str
    pid: int
    at: float
    """Of time.time()."""


class Processes:
    """An API, and workers once they are wanted, over one home; use it as a context manager."""

    def __init__(self, environment: dict[str, str]) -> None:
        self.home = Path(environment["FASTMTL_HOME"])
        self.url = f"http://127.0.0.1:{_free_port()}"
        self.orders = self.home / "failpoints"
        self.deaths: list[Death] = []
        self._listeners: list[Callable[[Death], None]] = []
        self.environment = {
            **os.environ,
            **environment,
            "FASTMTL_HOST": "127.0.0.1",
            "FASTMTL_PORT": self.url.rpartition(":")[2],
            failpoints.VARIABLE: str(self.orders),
        }
        self._slots: dict[str, subprocess.Popen[bytes]] = {}
        self._wanted = ["serve"]
        self._stopping = threading.Event()
        self._keeper = threading.Thread(target=self._keep, name="keeper")

    def __enter__(self) -> Processes:
        """Start the API, which makes the tables."""
        (self.orders / failpoints.TAKEN).mkdir(parents=True)
        (self.home / "logs").mkdir(exist_ok=True)
        self._keeper.start()
        try:
            self.await_api()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop all."""
        self.stop()

    def stop(self) -> None:
        """Ask all to end, then make them; nothing is started again."""
        self._stopping.set()
        self._keeper.join()

    def await_api(self) -> None:
        """Wait until the API answers that it is ready."""
        give_up = time.monotonic() + START_SECONDS
        while time.monotonic() < give_up:
            with contextlib.suppress(httpx2.TransportError):
                if httpx2.get(f"{self.url}/v1/ready", timeout=2).is_success:
                    return
            time.sleep(0.05)
        raise RuntimeError(f"the API does not answer:\n{self.log('serve')[-3000:]}")

    def start_workers(self, count: int) -> None:
        """Start so many workers."""
        self._wanted += [f"worker {index + 1}" for index in range(count)]
        while len(self.workers) < count:
            time.sleep(LOOK_SECONDS)

    def when_one_dies(self, listener: Callable[[Death], None]) -> None:
        """Call it with every death, soon after."""
        self._listeners.append(listener)

    def log(self, kind: str) -> str:
        """Return what the API, or the workers, have logged."""
        path = self.home / "logs" / f"{kind}.log"
        return path.read_text(errors="replace") if path.exists() else ""

    @property
    def api(self) -> int:
        """The API's process id."""
        return self._slots["serve"].pid

    @property
    def workers(self) -> list[int]:
        """The workers' process ids."""
        return [process.pid for name, process in list(self._slots.items()) if name != "serve"]

    def children(self, of: int | None = None) -> list[int]:
        """Return the process ids of running steps, of one worker or of all."""
        found = []
        for worker in [of] if of else self.workers:
            with contextlib.suppress(psutil.NoSuchProcess):
                found += [child.pid for child in psutil.Process(worker).children() if _is_step(child)]
        return found

    def running_steps(self) -> dict[str, float]:
        """Return the ids of the steps that have a process, and when each was seen."""
        found = {}
        for pid in self.children():
            with contextlib.suppress(psutil.NoSuchProcess, psutil.ZombieProcess):
                at, line = time.time(), psutil.Process(pid).cmdline()  # empty where it has just ended
                if line:
                    found[Path(line[-1]).name.rpartition("-")[0]] = at  # the folder is called STEP-FENCE
        return found

    def everything(self) -> dict[int, str]:
        """Return every living process of this home, however it came to be, with its command line."""
        found = {}
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
                if process.environ().get("FASTMTL_HOME") == str(self.home):
                    found[process.pid] = " ".join(process.cmdline())
        return found

    def send(self, kind: str, by: signal.Signals, draw: random.Random) -> int | None:
        """Send a signal to the API, a worker or a running step, drawn; return its process id, None if there is none."""
        pids = {"api": [self.api], "worker": self.workers, "child": self.children()}[kind]
        if not pids:
            return None
        pid = draw.choice(pids)
        try:
            os.kill(pid, by)
        except ProcessLookupError:
            return None
        return pid

    def order(self, point: str, action: Action) -> None:
        """Let the next process that reaches the point break."""
        partial = self.orders / f".{point}"
        partial.write_text(action)
        partial.rename(self.orders / point)

    def await_taken(self, point: str, seconds: float) -> Taken | None:
        """Wait until the order was taken; where it was not in time it is withdrawn."""
        give_up = time.monotonic() + seconds
        while time.monotonic() < give_up:
            if not (self.orders / point).exists():
                return self.taken(point)[-1]
            time.sleep(LOOK_SECONDS)
        with contextlib.suppress(FileNotFoundError):
            (self.orders / point).unlink()
            return None
        return self.taken(point)[-1]

    def taken(self, point: str) -> list[Taken]:
        """Return by whom and when faults at a point were taken, in order."""
        names = [path.name.split("~") for path in (self.orders / failpoints.TAKEN).glob(f"{point}~*")]
        return sorted((Taken(name, int(pid), int(at) / 1e9) for name, pid, at in names), key=lambda each: each.at)

    def _keep(self) -> None:
        """Start what is missing until all is stopped. The processes end with this thread, whatever ends it."""
        while not self._stopping.wait(LOOK_SECONDS):
            for name in [*self._wanted]:
                process = self._slots.get(name)
                if process is None or process.poll() is not None:
                    if process is not None:
                        self._note(name, process)
                    self._slots[name] = self._start(name)
        for process in self._slots.values():
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(signal.SIGCONT)
            process.terminate()
        for process in self._slots.values():
            _end(process)

    def _note(self, name: str, process: subprocess.Popen[bytes]) -> None:
        death = Death(name.split()[0], process.pid, time.time(), process.returncode)
        self.deaths.append(death)
        for listener in self._listeners:
            listener(death)

    def _start(self, name: str) -> subprocess.Popen[bytes]:
        command = name.split()[0]
        with (self.home / "logs" / f"{command}.log").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "app.cli", command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self.environment,
                start_new_session=True,
                preexec_fn=_die_with_parent if sys.platform == "linux" else None,
            )


def _end(process: subprocess.Popen[bytes]) -> None:
    """Wait until it has ended, and make it where it does not."""
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def clear(folder: Path) -> None:
    """Remove every file below a folder; what goes by itself meanwhile is gone too."""
    for path in [*folder.rglob("*")]:
        with contextlib.suppress(FileNotFoundError):
            if path.is_file():
                path.unlink()


def scratch(home: Path) -> list[str]:
    """Return what steps have left in their scratch folders."""
    return sorted(str(path.relative_to(home)) for path in (home / "scratch").glob("*/*"))


def host() -> str:
    """Return this machine's name as workers write it before their process ids."""
    return socket.gethostname()


def remove(folder: Path) -> None:
    """Remove a home."""
    shutil.rmtree(folder, ignore_errors=True)


def _is_step(process: psutil.Process) -> bool:
    with contextlib.suppress(psutil.NoSuchProcess, psutil.ZombieProcess):
        return process.name() == STEP
    return False


def _die_with_parent() -> None:
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
