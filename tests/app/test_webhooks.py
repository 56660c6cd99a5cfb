"""What a webhook says, and that it is written with the end of its job."""

from __future__ import annotations

import base64
import uuid

import pytest
from hostile_urls import WRITTEN
from lives import CHAIN, NOON, OUT_OF_MEMORY, World
from sqlalchemy import select
from standardwebhooks import Webhook

from app.db import Database
from app.models import Job, Status, WebhookDelivery
from app.settings import Settings
from app.webhooks import check_url, content_of, enqueue, signed_headers, tenant_secret
from fastmtl.errors import InvalidConfig

URL = "https://hooks.example.com/x"


@pytest.fixture
def world(database: Database) -> World:
    return World(database)


def end(world: World, status: Status, url: str | None, error: dict | None = None) -> Job:
    """A job as it stands when its end is told."""
    job_id = world.create(CHAIN)
    with world.database.transaction() as session:
        job = session.get_one(Job, job_id)
        job.status, job.webhook_url, job.error = status, url, error
        enqueue(session, job, NOON)
        return job


def written(world: World, job: Job) -> list[WebhookDelivery]:
    with world.database.reading() as session:
        return list(session.scalars(select(WebhookDelivery).where(WebhookDelivery.job_id == job.id)))


def test_a_message_says_what_became_of_which_job_and_is_due_at_once(world):
    job = end(world, Status.FAILED, URL, OUT_OF_MEMORY)
    (delivery,) = written(world, job)
    path = f"/v1/jobs/{job.id}"
    assert delivery.body == {
        "type": "job.failed",
        "timestamp": "2026-01-01T12:00:00Z",
        "data": {
            "id": str(job.id),
            "name": "a job",
            "status": "failed",
            "error": OUT_OF_MEMORY,
            "links": {"self": path, "selection": f"{path}/selection", "artifacts": f"{path}/artifacts"},
        },
    }
    stands = (delivery.tenant_id, delivery.url, delivery.attempts, delivery.next_attempt_at, delivery.delivered_at)
    assert stands == (world.tenant, URL, 0, NOON, None)


@pytest.mark.parametrize("status", [Status.SUCCEEDED, Status.FAILED, Status.CANCELLED])
def test_every_way_to_end_is_told_by_its_name(world, status):
    assert [each.body["type"] for each in written(world, end(world, status, URL))] == [f"job.{status}"]


def test_a_job_without_a_url_tells_nobody(world):
    assert written(world, end(world, Status.SUCCEEDED, None)) == []


def test_a_message_about_what_was_rolled_back_is_not_there(world):
    job_id = world.create(CHAIN)
    with pytest.raises(RuntimeError), world.database.transaction() as session:
        job = session.get_one(Job, job_id)
        job.status, job.webhook_url = Status.SUCCEEDED, URL
        enqueue(session, job, NOON)
        raise RuntimeError("the disk is full")
    assert written(world, world.job(job_id)) == []


def test_a_secret_is_a_tenants_own_and_the_same_wherever_the_services_is(tmp_path):
    one, other = uuid.UUID(int=1), uuid.UUID(int=2)
    here, there = Settings(home=tmp_path / "a", secret="s" * 32), Settings(home=tmp_path / "b", secret="s" * 32)
    assert tenant_secret(here, one) == tenant_secret(there, one)
    assert len({tenant_secret(here, one), tenant_secret(here, other), tenant_secret(Settings(home=tmp_path), one)}) == 3
    assert tenant_secret(here, one).startswith("whsec_")
    assert len(base64.b64decode(tenant_secret(here, one).removeprefix("whsec_"))) == 32


def test_the_signature_is_what_the_library_of_the_standard_makes():
    secret, content = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD", b'{"a":1}'
    assert signed_headers(secret, uuid.UUID(int=1), content, NOON) == {
        "webhook-id": "msg_00000000000000000000000000000001",
        "webhook-timestamp": "1767268800",
        "webhook-signature": Webhook(secret).sign("msg_00000000000000000000000000000001", NOON, content.decode()),
    }


def test_content_is_the_same_at_every_attempt_and_plain_ascii():
    body = {"type": "job.failed", "data": {"error": "é \u2028 \ud800"}}
    assert content_of(body) == b'{"type":"job.failed","data":{"error":"\\u00e9 \\u2028 \\ud800"}}'


@pytest.mark.parametrize("url", WRITTEN.values(), ids=WRITTEN)
def test_a_url_that_can_never_be_delivered_to_is_refused_by_field(url):
    with pytest.raises(InvalidConfig) as caught:
        check_url(Settings(), url)
    assert caught.value.field == "webhook_url"


def test_a_public_url_is_taken_without_asking_where_it_leads():
    check_url(Settings(), "https://no-such-name.invalid/x")
    check_url(Settings(webhook_allow_http=True, webhook_allow_private=True), "http://10.0.0.1:8080/x")
