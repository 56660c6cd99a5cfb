"""Webhooks as the API shows them."""

from __future__ import annotations

import uuid

import pytest
from lives import NOON
from service import Api

from app.keys import Scope
from app.models import Job, Status, WebhookDelivery
from app.webhooks import enqueue, tenant_secret


@pytest.fixture
def job(service: Api) -> dict:
    """A job that is over and whose owner wants to know."""
    job = service.plain_job()
    with service.parts.database.transaction() as session:
        record = session.get_one(Job, uuid.UUID(job["id"]))
        record.status, record.webhook_url = Status.SUCCEEDED, "https://hooks.example.com/x"
        enqueue(session, record, NOON)
    return job


def key_of(service: Api, tenant: str, scope: Scope) -> dict[str, str]:
    owner = service.parts.keys.tenant(tenant, make=True)
    return {"Authorization": f"Bearer {service.parts.keys.create(owner.id, 'a key', scope).text}"}


def test_a_delivery_is_shown_with_its_attempts_and_what_went_wrong(service, job):
    with service.parts.database.transaction() as session:
        delivery = session.query(WebhookDelivery).one()
        delivery.attempts, delivery.last_error = 2, "it answered 503"
    assert service.client.get(f"/v1/jobs/{job['id']}/webhooks").json()["items"] == [
        {
            "id": f"msg_{delivery.id.hex}",
            "type": "job.succeeded",
            "url": "https://hooks.example.com/x",
            "created_at": "2026-01-01T12:00:00Z",
            "attempts": 2,
            "delivered_at": None,
            "next_attempt_at": "2026-01-01T12:00:00Z",
            "last_error": "it answered 503",
        }
    ]


def test_a_job_without_a_webhook_has_none(service):
    assert service.client.get(f"/v1/jobs/{service.plain_job()['id']}/webhooks").json() == {"items": []}


def test_another_tenants_webhooks_are_not_there(service, job):
    headers = key_of(service, "bob's", Scope.ADMIN)
    for path in (job["id"], uuid.uuid4()):
        assert service.client.get(f"/v1/jobs/{path}/webhooks", headers=headers).status_code == 404


def test_an_admin_is_shown_what_the_tenants_webhooks_are_signed_with(service):
    tenant = service.parts.keys.tenant("default")
    answer = service.client.get("/v1/webhook-secret")
    assert answer.json() == {"secret": tenant_secret(service.parts.settings, tenant.id)}
    assert answer.headers["cache-control"] == "no-store"
    other = service.client.get("/v1/webhook-secret", headers=key_of(service, "bob's", Scope.ADMIN))
    assert other.json() != answer.json()


@pytest.mark.parametrize("scope", [Scope.READ, Scope.WRITE])
def test_nobody_else_is(service, scope):
    answer = service.client.get("/v1/webhook-secret", headers=key_of(service, "default", scope))
    assert (answer.status_code, answer.json()["type"]) == (403, "urn:fastmtl:problem:forbidden")
