"""Every service of docker-compose.yml that is ours, and its Redis, as local processes: a typo in the file fails here.

Names of the containers' network become addresses of this machine, and nothing else of the file is changed.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import pytest
import yaml
from sqlalchemy import make_url

ROOT = Path(__file__).parent.parent
HEALTHY_SECONDS = 120
STOP_SECONDS = 30


class Loader(yaml.SafeLoader):
    """Reads Compose's own tags."""


Loader.add_constructor("!reset", lambda loader, node: None)


@dataclass
class Containers:
    """The file's services as processes."""

    folder: Path
    role: str
    """User and database on the test's PostgreSQL."""
    postgres: str
    """Its address."""
    ports: dict[str, int] = field(default_factory=dict)
    started: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Write the secrets and choose ports."""
        self.files = [
            yaml.load((ROOT / name).read_text(), Loader)["services"]
            for name in ("docker-compose.yml", "docker-compose.cpu.yml")
        ]
        (self.folder / "secrets").mkdir()
        for name in ("postgres_password", "redis_password", "fastmtl_secret"):
            (self.folder / "secrets" / name).write_text(uuid.uuid4().hex * 2)
        self.ports = {
            name: _free_port() for name in ("redis", "http", "metrics-api", "metrics-worker", "metrics-migrate")
        }

    def environment(self, name: str) -> dict[str, str]:
        """Return a service's environment as the file and the CPU override have it, here."""
        written = {
            key: value for file in self.files for key, value in file.get(name, {}).get("environment", {}).items()
        }
        own = {key: os.environ[key] for key in ("PATH", "PYTHONPATH", "LANG") if key in os.environ}
        image = dict(re.findall(r"^ENV (?:.*\s)?(FASTMTL_HOME)=(\S+)", _dockerfile(), re.M))
        # What takes minutes and shows nothing of the file.
        quick = {"FASTMTL_CALIBRATE": "false", "FASTMTL_SWEEP_SECONDS": "1", "OMP_NUM_THREADS": "1"}
        return {**own, **quick, **{key: self.here(str(value), name) for key, value in {**image, **written}.items()}}

    def here(self, text: str, name: str) -> str:
        """Return a word of the file with this machine's addresses and folders."""
        for there, here in {
            "fastmtl@postgres:5432/fastmtl": f"{self.role}@{self.postgres}/{self.role}",
            "redis:6379": f"127.0.0.1:{self.ports['redis']}",
            "/run/secrets": str(self.folder / "secrets"),
            "/var/lib/fastmtl": str(self.folder / "home"),
            "127.0.0.1:8000": f"127.0.0.1:{self.ports['http']}",
            "0.0.0.0": "127.0.0.1",
            "9464": str(self.ports.get(f"metrics-{name}", 0)),
            "redis-cli": f"redis-cli -p {self.ports['redis']}",
            'save ""': f'bind 127.0.0.1\nport {self.ports["redis"]}\nsave ""',
            "$$": "$",
        }.items():
            text = text.replace(there, here)
        return text

    def start(self, name: str) -> subprocess.Popen[bytes]:
        """Start a service's command."""
        command = [self.here(word, name) for word in self.files[0][name]["command"]]
        environment = self.environment(name)
        if name == "api":
            environment["FASTMTL_PORT"] = str(self.ports["http"])
        with (self.folder / f"{name}.log").open("ab") as log:
            self.started[name] = subprocess.Popen(
                [_program(command[0]), *command[1:]], env=environment, cwd=self.folder, stdout=log, stderr=log
            )
        return self.started[name]

    def is_healthy(self, name: str) -> bool:
        """Run a service's health check."""
        how, *check = self.files[0][name]["healthcheck"]["test"]
        check = [self.here(word, name) for word in check]
        command = ["sh", "-c", *check] if how == "CMD-SHELL" else [_program(check[0]), *check[1:]]
        return subprocess.run(command, env=self.environment(name), capture_output=True).returncode == 0

    def await_healthy(self, name: str) -> None:
        """Wait until it is healthy, while it runs."""
        give_up = time.monotonic() + HEALTHY_SECONDS
        while not self.is_healthy(name):
            assert self.started[name].poll() is None and time.monotonic() < give_up, self.log(name)
            time.sleep(0.2)

    def log(self, name: str) -> str:
        """Return the end of what a service said."""
        return f"{name}:\n{(self.folder / f'{name}.log').read_text()[-4000:]}"

    def asked(self, port: str, path: str) -> str:
        """Ask one of the services."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.ports[port]}{path}", timeout=30) as answer:
            return str(answer.read().decode())

    def stop(self) -> None:
        """Ask all to end, as the engine does, then make them."""
        for process in self.started.values():
            process.send_signal(signal.SIGTERM)
        for process in self.started.values():
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


@pytest.fixture
def containers(postgres_server: str, redis_server: str, tmp_path: Path) -> Iterator[Containers]:
    """The services over an empty database of their own, on PostgreSQL with the password of the secrets."""
    if shutil.which("redis-server") is None:
        pytest.skip("no redis-server on this machine, only one elsewhere")
    url = make_url(postgres_server)
    role = f"fastmtl_test_{uuid.uuid4().hex}"
    running = Containers(tmp_path, role, f"{url.host}:{url.port}")
    password = (tmp_path / "secrets" / "postgres_password").read_text()
    with psycopg.connect(postgres_server.replace("+psycopg", ""), autocommit=True) as connection:
        connection.execute(f"CREATE ROLE {role} LOGIN PASSWORD '{password}'")  # type: ignore[call-overload]
        connection.execute(f"CREATE DATABASE {role} OWNER {role}")  # type: ignore[call-overload]
        yield running
        running.stop()
        connection.execute(f"DROP DATABASE {role} WITH (FORCE)")  # type: ignore[call-overload]
        connection.execute(f"DROP ROLE {role}")  # type: ignore[call-overload]


def test_every_service_of_the_file_starts_in_order_and_is_healthy(containers: Containers):
    containers.start("redis")
    containers.await_healthy("redis")
    assert containers.start("migrate").wait(HEALTHY_SECONDS) == 0, containers.log("migrate")
    del containers.started["migrate"]
    assert not containers.is_healthy("api") and not containers.is_healthy("worker")
    for name in ("api", "worker"):
        containers.start(name)
    for name in ("api", "worker"):
        containers.await_healthy(name)
    ready: dict[str, Any] = json.loads(containers.asked("http", "/v1/ready"))
    assert (ready["workers"], {name: check["ok"] for name, check in ready["checks"].items()}) == (
        1,
        {"broker": True, "database": True, "storage": True},
    )
    assert "fastmtl_database_up 1.0" in containers.asked("metrics-api", "/metrics")
    assert "fastmtl_worker_busy 0.0" in containers.asked("metrics-worker", "/metrics")


def test_redis_does_not_start_without_a_password(containers: Containers):
    (containers.folder / "secrets" / "redis_password").write_text("")
    assert containers.start("redis").wait(STOP_SECONDS) == 1
    assert "secrets/redis_password is empty" in containers.log("redis")


def test_nothing_starts_without_a_secret(containers: Containers):
    (containers.folder / "secrets" / "postgres_password").write_text("\n")
    assert containers.start("migrate").wait(HEALTHY_SECONDS) != 0
    assert "postgres_password, which is empty: write the secret into it" in containers.log("migrate")


def _program(name: str) -> str:
    """Return this environment's own program of a name."""
    known = {"python3": sys.executable, "fastmtl": str(Path(sys.executable).with_name("fastmtl"))}
    return known.get(name, name)


def _dockerfile() -> str:
    return (ROOT / "Dockerfile").read_text().replace("\\\n", " ")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
