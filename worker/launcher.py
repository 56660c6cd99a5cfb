"""Starts the process of a step: forked from a process that has loaded what steps need, or one that loads it itself.

Loading torch, transformers and scikit-learn takes four seconds of a core, a fork a hundredth of one. Either way each
step has a process of its own, which leads a session, ends with its worker and gives its memory back.

multiprocessing's fork server was no way: it loads the worker's own main module into every process, gives it no
environment of its own, and has no public way to be ended.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Protocol

from fastmtl import pipeline
from fastmtl.plan import StepSpec

PROGRAM = (sys.executable, "-m", "worker.child")
TEMPLATE = (sys.executable, "-m", "worker.template")
ENVIRONMENT = {
    # Threads that spin while they wait collapse when cores are shared: a training step then takes six times as long.
    "OMP_WAIT_POLICY": "passive",
    # glibc gives every large block back to the system at once, and takes and clears it anew in the next batch: a sixth
    # of a step's time on a CPU. The process keeps its memory instead; it ends with the step.
    "MALLOC_MMAP_MAX_": "0",
    "MALLOC_TRIM_THRESHOLD_": str(2**34),
    "MALLOC_TOP_PAD_": str(2**28),
    "TQDM_DISABLE": "1",  # no bars between log lines
}
"""Of a step's process, where the worker's own environment says nothing else."""
PACKET = 2**16
END_SECONDS = 10.0
"""How long a template is waited for that has to say that a step was killed."""


class StepProcess(Protocol):
    """A step's process, as its supervisor sees it."""

    stdout: IO[str]
    """The lines that it writes."""
    returncode: int | None
    """How it ended, a signal's number negative; None while it runs."""

    def poll(self) -> int | None:
        """Look whether it has ended, and return how."""

    def wait(self, timeout: float | None = None) -> int:
        """Wait until it has ended, and return how. Raises TimeoutExpired."""

    def end(self) -> None:
        """Kill it with all processes that it started, if any is left, and wait for its end."""


class Launcher:
    """Starts one step at a time."""

    def __init__(self, program: Sequence[str] = PROGRAM, warm_seconds: float = 0.0) -> None:
        """`program` computes one step: it is given the folder with the request, and its parent's process id.

        Where `warm_seconds` is above 0, our own is forked instead, from a template that is kept for so long without a
        step.
        """
        self._program = program
        self._warm_seconds = warm_seconds if sys.platform == "linux" else 0.0
        self._template: Template | None = None

    def start(self, folder: Path, spec: StepSpec, environment: Mapping[str, str]) -> StepProcess:
        """Start the process of a step, whose request lies in the folder; it is told of the environment besides."""
        template = self._ready(spec)
        if template and (forked := template.fork(folder, environment)):
            return forked
        return Started(
            [*self._program, str(folder), str(os.getpid())],
            stdout=subprocess.PIPE,
            text=True,
            env={**ENVIRONMENT, **os.environ, **environment},
            # Ctrl-C in a terminal is the worker's to answer, and whatever the step starts can be ended with it.
            start_new_session=True,
        )

    def close(self) -> None:
        """End what is kept for the next step."""
        template, self._template = self._template, None
        if template:
            template.end()

    def _ready(self, spec: StepSpec) -> Template | None:
        """Return the template; one is made for a step with torch alone, the others load little."""
        template = self._template
        if template and not template.is_there():
            template.end()
            template = None
        if template is None and self._warm_seconds and pipeline.needs_torch(spec):
            template = Template(self._warm_seconds)
        self._template = template
        return template


class Started(subprocess.Popen[str]):
    """A process that loads what it needs itself."""

    stdout: IO[str]

    def end(self) -> None:
        """Kill it with all processes that it started, if any is left, and wait for its end."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)  # it leads a group of its own
        self.wait()


class Template:
    """A process that has loaded what steps need, or is about to (worker.template)."""

    def __init__(self, seconds: float) -> None:
        """Start it; it ends after so many seconds without a step."""
        self.connection, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                [*TEMPLATE, str(theirs.fileno()), str(seconds), str(os.getpid())],
                stdin=subprocess.DEVNULL,
                stdout=2,  # for what libraries print while they are loaded
                env={**ENVIRONMENT, **os.environ},
                pass_fds=(theirs.fileno(),),
                start_new_session=True,
            )
        # It may end by itself, and is not to stay in the list of processes then.
        threading.Thread(target=self._process.wait, name="template", daemon=True).start()

    def is_there(self) -> bool:
        """Whether it has not ended."""
        return self._process.poll() is None

    def fork(self, folder: Path, environment: Mapping[str, str]) -> Forked | None:
        """Have a step's process forked; None where the template has just ended."""
        read, write = os.pipe()
        packet = json.dumps({"folder": str(folder), "environment": dict(environment)}).encode()
        try:
            self.connection.settimeout(None)
            socket.send_fds(self.connection, [packet], [write])
        except OSError:
            os.close(read)
            return None
        finally:
            os.close(write)
        return Forked(self, read)

    def wait(self) -> int:
        """Wait until it has ended, and return how, a signal's number negative."""
        return self._process.wait()

    def end(self) -> None:
        """End it, and the step's process with it."""
        self._process.kill()
        self._process.wait()
        self.connection.close()


class Forked:
    """A process that was forked from a template, or is about to be."""

    def __init__(self, template: Template, lines: int) -> None:
        self.stdout: IO[str] = os.fdopen(lines, encoding="utf-8")
        self.returncode: int | None = None
        self._template = template
        self._pid: int | None = None

    def poll(self) -> int | None:
        """Look whether it has ended, and return how."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.wait(0)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Wait until it has ended, and return how: as its template did, where that was first. Raises TimeoutExpired."""
        give_up = None if timeout is None else time.monotonic() + timeout
        connection = self._template.connection
        while self.returncode is None:
            try:
                connection.settimeout(None if give_up is None else max(0.0, give_up - time.monotonic()))
                told = connection.recv(PACKET)
            except (TimeoutError, BlockingIOError):
                raise subprocess.TimeoutExpired(TEMPLATE, timeout or 0) from None
            except OSError:  # cut off, or closed by a worker that ends
                told = b""
            heard = json.loads(told) if told else {"status": self._template.wait() or -signal.SIGKILL}
            self._pid = heard.get("pid", self._pid)
            self.returncode = heard.get("status")
        return self.returncode

    def end(self) -> None:
        """Kill it with all processes that it started, if any is left, and wait for its end."""
        self.poll()
        if self._pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._pid, signal.SIGKILL)
        if self._pid is not None and self.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._pid, signal.SIGKILL)  # it may not lead its group yet
        if self._pid is None and self.returncode is None:
            self._template.end()  # while it still loads
        try:
            self.wait(END_SECONDS)
        except subprocess.TimeoutExpired:  # the template stands still
            self._template.end()
            self.wait()
