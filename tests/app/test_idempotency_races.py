"""Many at once, and a process that is killed between the making of a job and its answer: one job a key."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import pytest
from races import race, until_answered
from service import Api, api, served


def figures(home: Path, database_url: str, keys: int, at_once: int) -> dict[str, object]:
    """Run a race against a service of its own on that database; return what came of it."""
    with api(home, database_url=database_url) as client:
        service = Api(client, home)
        body = json.dumps(service.request(compare=[])).encode()
        with served(client.app) as url:  # type: ignore[arg-type]
            found = race(url, service.key, body, [f"key-{number}" for number in range(keys)], at_once)
        jobs = [each["id"] for each in pages(service)]
        return {**found.figures(), "jobs": len(jobs), "jobs nobody was told of": len(set(jobs) - found.jobs)}


def pages(service: Api) -> Iterator[dict]:
    cursor: dict = {}
    while True:
        page = service.client.get("/v1/jobs", params={"limit": 200, **cursor}).json()
        yield from page["items"]
        if page["next_cursor"] is None:
            return
        cursor = {"cursor": page["next_cursor"]}


def test_each_key_makes_one_job_however_many_ask_at_once(migrated_url: str, tmp_path: Path):
    found = figures(tmp_path / "home", migrated_url, keys=10, at_once=8)
    told = {name: found[name] for name in ("jobs", "jobs answered", "jobs nobody was told of")}
    assert told == {"jobs": 10, "jobs answered": 10, "jobs nobody was told of": 0}
    assert found["keys with more than one answer"] == 0


SERVE = """
import os, signal, sys
import uvicorn
from app.main import create_app
from app.settings import Settings

class Bell:
    "Is rung when a job is committed and before it is answered."
    def ring(self, step_ids):
        if sys.argv[1] == "killed":
            os.kill(os.getpid(), signal.SIGKILL)

server = uvicorn.Server(uvicorn.Config(create_app(Settings(), Bell()), port=0, log_level="warning"))
socket = server.config.bind_socket()
socket.listen()
print(socket.getsockname()[1], flush=True)
server.run([socket])
"""


@contextmanager
def serving(environment: dict[str, str], how: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """Serve in a process of its own, one that is killed when it has committed a job, or one that is not."""
    command = [sys.executable, "-c", SERVE, how]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        assert process.stdout is not None
        yield f"http://127.0.0.1:{process.stdout.readline().strip()}", process
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def test_a_job_is_made_once_though_the_service_was_killed_before_it_answered(migrated_url: str, tmp_path: Path):
    settings = {"home": tmp_path / "home", "database_url": migrated_url}
    with api(**settings) as client:
        service = Api(client, tmp_path / "home")
        body = json.dumps(service.request(compare=[])).encode()
    environment = {
        "PATH": "/usr/bin",
        "PYTHONPATH": str(Path(__file__).parents[2]),
        "FASTMTL_HOME": str(settings["home"]),
        "FASTMTL_DATABASE_URL": migrated_url,
        "FASTMTL_LEASE_SECONDS": "0.5",
    }
    headers = {"Authorization": f"Bearer {service.key}", "Idempotency-Key": "a", "Content-Type": "application/json"}
    with serving(environment, "killed") as (url, process):
        with pytest.raises(httpx2.TransportError):
            httpx2.post(f"{url}/v1/jobs", content=body, headers=headers, timeout=60)
        assert process.wait(60) == -signal.SIGKILL
    with serving(environment, "spared") as (url, _):
        with httpx2.Client(base_url=url, timeout=60, headers=headers) as client:
            answers = [until_answered(client, body)[1] for _ in range(2)]
            listed = client.get("/v1/jobs").json()["items"]
    assert [each["id"] for each in listed] == [answers[0].json()["id"]]
    assert answers[1].content == answers[0].content
