"""Events and webhooks with real processes: an API, a worker, somebody who listens."""

from __future__ import annotations

import os
import signal
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from lives import CHAIN, Bell, new_job
from processes import Processes
from receiver import Receiver, receiving
from standardwebhooks import Webhook

from app.clock import now
from app.db import Database
from app.jobs import Jobs
from app.keys import DEFAULT_TENANT, Keys
from app.models import Job
from app.settings import Settings
from app.webhooks import enqueue
from fastmtl.client import Client


class Outside:
    """A running service, and what its users have of it."""

    def __init__(self, processes: Processes, settings: Settings) -> None:
        self.processes, self._settings = processes, settings
        self.database = Database(settings.database)
        self.jobs = Jobs(self.database, Bell(), settings)
        self.client = Client(processes.url, settings.first_key.read_text().strip())

    def create(self) -> str:
        """Create a job that no worker is told of, and that fails where one finds it."""
        tenant = Keys(self.database, self._settings).tenant(DEFAULT_TENANT)
        return str(self.jobs.create(new_job(tenant.id), [], CHAIN))

    def end(self, job_id: str, url: str | None = None) -> None:
        """Bring a job to its end, and tell somebody."""
        self.jobs.cancel(uuid.UUID(job_id))
        with self.database.transaction() as session:
            job = session.get_one(Job, uuid.UUID(job_id))
            job.webhook_url = url
            enqueue(session, job, now())


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as running:
        yield running


@pytest.fixture
def outside(stack: dict[str, str], receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> Iterator[Outside]:
    said = {
        **stack,
        "FASTMTL_CALIBRATE": "false",
        "FASTMTL_SWEEP_SECONDS": "60",
        "FASTMTL_WEBHOOK_ALLOW_HTTP": "true",
        "FASTMTL_WEBHOOK_ALLOW_PRIVATE": "true",
        "FASTMTL_WEBHOOK_PORTS": f"[{receiver.port}]",
        "FASTMTL_WEBHOOK_POLL_SECONDS": "0.1",
    }
    for name, value in said.items():
        monkeypatch.setenv(name, value)
    Path(stack["FASTMTL_HOME"]).mkdir(parents=True)
    with Processes(said) as processes:
        processes.start_workers(1)
        found = Outside(processes, Settings())
        yield found
        found.client.close()
        found.database.close()


def test_a_client_follows_a_job_through_a_restart_of_the_api_and_its_webhook_is_delivered(outside, receiver):
    job_id = outside.create()
    told = outside.client.events(job_id)
    first = next(told)
    os.kill(outside.processes.api, signal.SIGTERM)  # it waits for its answers to end, and this one must
    outside.end(job_id, f"http://127.0.0.1:{receiver.port}/x")
    everything = [first, *told]
    assert [each["number"] for each in everything] == list(range(1, len(everything) + 1))
    assert everything[-1]["type"] == "job.cancelled"
    assert [death.status for death in outside.processes.deaths] == [-signal.SIGTERM]

    until = time.monotonic() + 60
    while not receiver.requests:
        assert time.monotonic() < until, outside.processes.log("worker")
        time.sleep(0.05)
    ((_, headers, body),) = receiver.requests
    secret = outside.client.request("GET", "/webhook-secret")["secret"]
    message = Webhook(secret).verify(body, headers)
    assert (message["type"], message["data"]["id"]) == ("job.cancelled", job_id)
