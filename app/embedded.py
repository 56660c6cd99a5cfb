"""The embedded stack: API and worker as processes of their own, on loopback, with all files in one folder."""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType

import httpx2

START_SECONDS = 60
STOP_SECONDS = 20
PR_SET_PDEATHSIG = 1  # linux/prctl.h


class StackError(Exception):
    """A process of the stack did not start or has ended; the message carries the end of its log."""


class EmbeddedStack:
    """Starts both processes on entering, stops them on leaving."""

    def __init__(self, home: Path, port: int = 8000) -> None:
        self._home = home.absolute()
        self._port = port if port and _is_free(port) else _free_port()
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self.key_file = self._home / "api-key"
        self.url = f"http://127.0.0.1:{self._port}"

    def __enter__(self) -> EmbeddedStack:
        """Start API and worker and wait until the API answers."""
        (self._home / "logs").mkdir(parents=True, exist_ok=True)
        try:
            self._start("serve")
            self._await_api()
            self._start("worker")
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop both."""
        self.stop()

    @property
    def key(self) -> str:
        """The key that was made at the service's first start."""
        return self.key_file.read_text().strip()

    def check(self) -> None:
        """Raise StackError where a process has ended."""
        for name, process in self._processes.items():
            if process.poll() is not None:
                raise StackError(f"`fastmtl {name}` ended with {process.returncode}:\n{self._log_end(name)}")

    def stop(self) -> None:
        """Ask both to end, then make them."""
        for process in self._processes.values():
            process.terminate()
        for process in self._processes.values():
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def _start(self, command: str) -> None:
        log = (self._home / "logs" / f"{command}.log").open("ab")
        environment = {
            **os.environ,
            "FASTMTL_HOME": str(self._home),
            "FASTMTL_HOST": "127.0.0.1",
            "FASTMTL_PORT": str(self._port),
        }
        with log:
            self._processes[command] = subprocess.Popen(
                [sys.executable, "-m", "app.cli", command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environment,
                start_new_session=True,  # Ctrl-C is this process's to answer
                preexec_fn=_end_with_parent if sys.platform == "linux" else None,
            )

    def _await_api(self) -> None:
        until = time.monotonic() + START_SECONDS
        while time.monotonic() < until:
            self.check()
            try:
                if httpx2.get(f"{self.url}/v1/ready", timeout=2).is_success:
                    return
            except httpx2.TransportError:
                pass
            time.sleep(0.1)
        raise StackError(f"the API did not answer within {START_SECONDS} s:\n{self._log_end('serve')}")

    def _log_end(self, command: str) -> str:
        lines = (self._home / "logs" / f"{command}.log").read_text(errors="replace").splitlines()
        return "\n".join(lines[-15:])


def _end_with_parent() -> None:
    """Ask the kernel to end this process with the one that started it, even if that is killed."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
