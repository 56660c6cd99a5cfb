"""Private servers of a test run on free loopback ports: PostgreSQL and Redis, this machine's binaries, and an S3 store.

They can be killed and restarted, keep nothing that matters, and die with the test run however that ends. PostgreSQL
refuses to run as root: then another user's id is taken for it.
"""

from __future__ import annotations

import ctypes
import importlib.util
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import httpx2
import psycopg
import redis

START_SECONDS = 60
PR_SET_PDEATHSIG = 1
LIBC = ctypes.CDLL(None, use_errno=True)


class NoServer(Exception):
    """The server's binaries are not on this machine."""


@dataclass
class Server:
    """A server process in a folder of its own; `url` stays the same when it is killed and started again."""

    url: str
    folder: Path
    command: list[str]
    answers: Callable[[str], bool]
    stop_signal: signal.Signals
    user: str | None = None
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until it answers."""
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.folder,
                user=self.user,
                preexec_fn=self._die_with_parent,
            )
        give_up = time.monotonic() + START_SECONDS
        while not self.answers(self.url):
            if self.process.poll() is not None or time.monotonic() > give_up:
                raise RuntimeError(f"{self.command[0]} does not start:\n{(self.folder / 'log').read_text()[-4000:]}")
            time.sleep(0.05)

    def kill(self) -> None:
        """End it at once, as a crash would."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """End it and remove its folder."""
        self._end(self.stop_signal)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _end(self, by: signal.Signals) -> None:
        if self.process is not None:
            self.process.send_signal(by)
            self.process.wait()
            self.process = None

    def _die_with_parent(self) -> None:
        if sys.platform == "linux":
            LIBC.prctl(PR_SET_PDEATHSIG, int(self.stop_signal))


def start_postgres() -> Server:
    """Start PostgreSQL; its superuser `postgres` needs no password on the loopback address."""
    initdb, postgres = _binary("initdb"), _binary("postgres")
    user = _other_user() if os.geteuid() == 0 else None
    folder, port = _folder(user), _free_port()
    data = str(folder / "data")
    subprocess.run(
        [initdb, "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"],
        check=True,
        capture_output=True,
        cwd=folder,
        user=user,
    )
    # Nothing outlives the run, so nothing has to reach the disk.
    settings = {
        "listen_addresses": "127.0.0.1",
        "unix_socket_directories": str(folder),
        "port": port,
        "fsync": "off",
        "synchronous_commit": "off",
        "full_page_writes": "off",
        "shared_buffers": "32MB",
    }
    command = [postgres, "-D", data, *(f"--{name}={value}" for name, value in settings.items())]
    url = f"postgresql+psycopg://postgres@127.0.0.1:{port}/postgres"
    # SIGQUIT: stop now, and take the shared memory along.
    return _started(Server(url, folder, command, _postgres_answers, signal.SIGQUIT, user))


def start_redis() -> Server:
    """Start Redis, which writes nothing to disk."""
    program = _binary("redis-server")
    folder, port = _folder(None), _free_port()
    command = [program, "--bind", "127.0.0.1", "--port", str(port), "--dir", str(folder)]
    command += ["--save", "", "--appendonly", "no"]
    url = f"redis://127.0.0.1:{port}/0"
    return _started(Server(url, folder, command, _redis_answers, signal.SIGTERM))


def start_store() -> Server:
    """Start moto's server, which speaks S3 and keeps all in memory; it takes whatever credentials it is shown."""
    if importlib.util.find_spec("moto") is None:
        raise NoServer("no moto in this environment: pip install 'fastmtl[dev]'")
    folder, port = _folder(None), _free_port()
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    return _started(Server(f"http://127.0.0.1:{port}", folder, command, _store_answers, signal.SIGTERM))


def _started(server: Server) -> Server:
    try:
        server.start()
    except BaseException:
        server.stop()
        raise
    return server


def _binary(name: str) -> str:
    """Return the program's path; distributions keep PostgreSQL's outside PATH, a folder a version."""
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name), reverse=True)
    folders += [Path("/opt/homebrew/bin"), Path("/usr/local/bin"), Path("/usr/sbin")]
    found = shutil.which(name) or shutil.which(name, path=os.pathsep.join(map(str, folders)))
    if found is None:
        raise NoServer(
            f"no {name} on this machine: install postgresql and redis-server, or name running servers in "
            "FASTMTL_TEST_POSTGRES_URL and FASTMTL_TEST_REDIS_URL"
        )
    return found


def _other_user() -> str:
    """Return a user that is not root and that this machine has."""
    names = {entry.pw_name for entry in pwd.getpwall()}
    return next(name for name in ("postgres", "nobody", "daemon") if name in names)


def _folder(user: str | None) -> Path:
    folder = Path(tempfile.mkdtemp(prefix="fastmtl-test-"))
    if user:
        shutil.chown(folder, user)
    return folder


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _postgres_answers(url: str) -> bool:
    try:
        psycopg.connect(url.replace("+psycopg", ""), connect_timeout=2).close()
    except psycopg.OperationalError:
        return False
    return True


def _store_answers(url: str) -> bool:
    with suppress(httpx2.TransportError):
        return httpx2.get(f"{url}/moto-api/", timeout=2).is_success
    return False


def _redis_answers(url: str) -> bool:
    with redis.Redis.from_url(url, socket_connect_timeout=2) as client:
        try:
            return bool(client.ping())
        except redis.ConnectionError:  # also while it loads
            return False
