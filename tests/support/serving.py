"""An API that is reached over a real connection: served by a thread, or by a process that may be killed."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import httpx2
import psutil
import uvicorn
from fastapi import FastAPI


@contextmanager
def served(app: FastAPI) -> Iterator[str]:
    """Serve an application on a free port of this machine, already started by another."""
    server = uvicorn.Server(
        uvicorn.Config(app, host="127.0.0.1", port=0, log_config=None, access_log=False, lifespan="off")
    )
    bound = server.config.bind_socket()
    thread = threading.Thread(target=server.run, kwargs={"sockets": [bound]})
    thread.start()
    try:
        yield f"http://127.0.0.1:{bound.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(10)


@dataclass
class ApiProcess:
    """`fastmtl serve`."""

    process: subprocess.Popen[bytes]
    url: str
    home: Path

    @property
    def headers(self) -> dict[str, str]:
        """What a request needs to be let in."""
        return {"Authorization": f"Bearer {(self.home / 'api-key').read_text().strip()}"}

    @property
    def memory(self) -> int:
        """Resident memory of the API's own process, bytes."""
        return int(psutil.Process(self.process.pid).memory_info().rss)

    @property
    def peak(self) -> int:
        """The most that it ever had, bytes."""
        return peak(self.process.pid) or 0

    def parsers(self) -> list[int]:
        """Pids of the processes that read uploads just now."""
        with suppress(psutil.NoSuchProcess):
            return [child.pid for child in psutil.Process(self.process.pid).children(recursive=True)]
        return []

    def received(self) -> int:
        """Bytes that lie there."""
        return sum(Path(path).stat().st_size for path in self.left() if Path(path).is_file())

    def kill(self) -> None:
        """End it without a warning."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def left(self) -> list[str]:
        """What lies where uploads come in."""
        root = self.home / "storage"
        return [str(path) for name in ("incoming", "uploads") for path in (root / name).rglob("*")]


def peak(pid: int) -> int | None:
    """Return the most memory that a process ever had resident, bytes; None where it has ended."""
    with suppress(OSError):
        found = re.search(r"VmHWM:\s*(\d+) kB", Path(f"/proc/{pid}/status").read_text())
        return 1024 * int(found[1]) if found else None
    return None


@contextmanager
def api_process(home: Path, **settings: object) -> Iterator[ApiProcess]:
    """Run `fastmtl serve`, ready; it is killed at the end unless it has ended."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    given = {"home": home, "port": port, **settings}
    environment = {f"FASTMTL_{name.upper()}": str(value) for name, value in given.items()}
    home.mkdir(parents=True, exist_ok=True)
    with (home / "serve.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "app.cli", "serve"],
            env={**os.environ, **environment},
            stdout=log,
            stderr=log,
        )
    try:
        url = f"http://127.0.0.1:{port}"
        _await_ready(process, url, home)
        yield ApiProcess(process, url, home)
    finally:
        process.kill()
        process.wait()


def _await_ready(process: subprocess.Popen[bytes], url: str, home: Path) -> None:
    until = time.monotonic() + 60
    while time.monotonic() < until:
        assert process.poll() is None, (home / "serve.log").read_text()[-2000:]
        with suppress(httpx2.TransportError):
            if httpx2.get(f"{url}/v1/ready", timeout=5).is_success:
                return
        time.sleep(0.1)
    raise AssertionError((home / "serve.log").read_text()[-2000:])
