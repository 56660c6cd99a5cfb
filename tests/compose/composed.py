"""The stack of docker-compose.yml as it runs in containers: its commands, and the service in it as tests see one."""

from __future__ import annotations

import json
import os
import subprocess
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import httpx2
from under_test import Json, Service

from fastmtl.client import FINAL, Client, ServiceError

ROOT = Path(__file__).parent.parent.parent
COMPOSED = "FASTMTL_TEST_COMPOSE"
"""The variable that names the description of a running stack."""
FILES = ("docker-compose.yml", "docker-compose.cpu.yml", "tests/compose/docker-compose.test.yml")
WORDS = {
    "worker": ["fastmtl", "worker"],
    "api": ["fastmtl", "serve"],
    "child": ["fastmtl-step"],
    "redis": ["redis-server"],
}
"""How a process is known: each word stands in a part of its command line, or is its name."""
READY_SECONDS = 180
SEND = """
import os, pathlib, sys
words, number, sent = sys.argv[2:], int(sys.argv[1]), 0
for line in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
    try:
        parts = [*line.read_bytes().decode().split("\\0"), (line.parent / "comm").read_text().strip()]
    except OSError:
        continue
    ours = "docker-init" not in parts[0] and all(any(p.rpartition("/")[2] == w for p in parts) for w in words)
    if ours and int(line.parent.name) != os.getpid():
        os.kill(int(line.parent.name), number)
        sent += 1
print(sent)
"""
"""Run inside a container: send a signal to the processes with these words, 0 to none of them, and say how many."""


@dataclass(frozen=True)
class Compose:
    """`docker compose` over the files of a stack."""

    url: str
    environment: dict[str, str]
    """What its commands need besides this process's own."""
    encoders: str
    """Folder with the tiny encoder."""

    def run(self, *arguments: str, extra: dict[str, str] | None = None) -> str:
        """Run a command and return what it prints. Raises CalledProcessError, with what went wrong in `stderr`."""
        return self._called(["docker", "compose", *arguments], extra=extra)

    def docker(self, *arguments: str) -> str:
        """Run a command of the engine itself."""
        return self._called(["docker", *arguments])

    def shell(self, text: str, folder: str) -> str:
        """Run lines of a page as they stand there, in a folder; `docker compose` means this stack."""
        return self._called(["sh", "-euc", text], folder=folder)

    def containers(self, service: str) -> list[str]:
        """Return the ids of a service's running containers."""
        return self.run("ps", "--quiet", service).split()

    def send(self, service: str, kind: str, number: int) -> int:
        """Send a signal to processes of a kind in a service's containers; return how many there were."""
        sent = 0
        for container in self.containers(service):
            command = ["docker", "exec", "--interactive", container, "python3", "-", str(number), *WORDS[kind]]
            sent += int(self._called(command, standard_input=SEND.encode()))
        return sent

    def key(self, tenant: str) -> str:
        """Make a tenant and return a key of it."""
        self.run("exec", "-T", "api", "fastmtl", "tenants", "create", tenant)
        made = self.run("exec", "-T", "api", "fastmtl", "keys", "create", "--tenant", tenant, "--scope", "write")
        return made.strip().splitlines()[-1]

    def workers(self, count: int) -> None:
        """Have so many workers."""
        self.run("up", "--detach", "--no-deps", "--no-recreate", "--scale", f"worker={count}", "worker")

    def restart(self, container: str) -> None:
        """Restart a container as its operator would, and wait until it is healthy."""
        self.docker("restart", "--time", "30", container)
        self.until_healthy(container)

    def until_healthy(self, container: str) -> None:
        """Wait until a container's health check says that it is well."""
        ask = ("inspect", "--format", "{{.State.Health.Status}}", container)
        give_up = time.monotonic() + READY_SECONDS
        while (told := self.docker(*ask).strip()) != "healthy":
            assert time.monotonic() < give_up, f"{container} is {told}"
            time.sleep(0.5)

    def await_ready(self) -> None:
        """Wait until the API says that it is ready."""
        give_up = time.monotonic() + READY_SECONDS
        while True:
            with suppress(httpx2.TransportError):
                if httpx2.get(f"{self.url}/v1/ready", timeout=5).is_success:
                    return
            assert time.monotonic() < give_up, "the API is not ready"
            time.sleep(0.2)

    def save(self, path: Path) -> None:
        """Describe it in a file."""
        path.write_text(json.dumps(asdict(self)))

    def _called(
        self,
        command: list[str],
        standard_input: bytes | None = None,
        folder: str | None = None,
        extra: dict[str, str] | None = None,
    ) -> str:
        environment = {**os.environ, **self.environment, **(extra or {})}
        quiet = {"stdin": subprocess.DEVNULL} if standard_input is None else {"input": standard_input}
        ran = subprocess.run(command, env=environment, capture_output=True, cwd=folder or ROOT, **quiet)
        if ran.returncode:
            told = ran.stderr.decode(errors="replace")
            raise subprocess.CalledProcessError(ran.returncode, command, ran.stdout, told[-4000:])
        return ran.stdout.decode()


class ComposedService(Service):
    """One tenant's view of it."""

    def __init__(self, compose: Compose, client: Client, tenant: str) -> None:
        super().__init__(client, {"tiny": f"folder:{compose.encoders}/tiny", "gone": "folder:/encoders/gone"})
        self.compose, self.tenant = compose, tenant
        self._workers = 1

    def start_worker(self) -> None:
        """Start one more; one that was killed is started again by the engine."""
        self._workers += 1
        self.compose.workers(self._workers)

    def kill(self, kind: str) -> int:
        """End all processes of a kind by SIGKILL, from within their containers, as a crash would."""
        return self.compose.send("worker", kind, 9)

    def steps_running(self) -> int:
        """Return how many steps have a process."""
        return self.compose.send("worker", "child", 0)

    def ask_workers_to_stop(self) -> None:
        """Send every worker SIGTERM; they are not started again before the next test."""
        self.compose.run("kill", "--signal", "SIGTERM", "worker")

    def jobs(self) -> list[Json]:
        """Return the tenant's jobs."""
        return list(self.client.jobs())


@contextmanager
def composed_service(description: Path) -> Iterator[ComposedService]:
    """Yield the service with one worker and a tenant of its own, whose jobs are over on leaving."""
    compose = Compose(**json.loads(description.read_text()))
    compose.workers(1)
    tenant = f"test-{uuid.uuid4().hex[:12]}"
    with Client(compose.url, compose.key(tenant)) as client:
        service = ComposedService(compose, client, tenant)
        yield service
        for job in service.jobs():
            if job["status"] not in FINAL:
                with suppress(ServiceError):  # it is over by itself
                    client.cancel(job)
