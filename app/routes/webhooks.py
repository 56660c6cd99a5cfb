"""Webhooks: how the messages about a job fared, and what they are signed with."""

from __future__ import annotations

from fastapi import APIRouter, Response

from app.auth import Admin, Reader
from app.routes.answers import problems
from app.routes.jobs import JobId
from app.routes.route import ServiceRoute
from app.schemas_events import WebhookList, WebhookSecret
from app.state import Parts
from app.telling import webhooks_of
from app.webhooks import tenant_secret

router = APIRouter(prefix="/v1", tags=["webhooks"], route_class=ServiceRoute)


@router.get(
    "/jobs/{job_id}/webhooks",
    operation_id="list_webhooks",
    summary="Show a job's webhooks",
    responses=problems(404, 422),
)
def list_webhooks(parts: Parts, caller: Reader, job_id: JobId) -> WebhookList:
    """Show the messages about a job: attempts, whether it was delivered, when it is tried next, what went wrong."""
    return WebhookList(items=webhooks_of(parts.database, caller.tenant_id, job_id))


@router.get(
    "/webhook-secret",
    operation_id="get_webhook_secret",
    summary="Show the secret of webhooks",
    responses=problems(),
)
def get_webhook_secret(parts: Parts, caller: Admin, response: Response) -> WebhookSecret:
    """Show what all webhooks of the tenant are signed with; a library for Standard Webhooks takes it as it is."""
    response.headers["Cache-Control"] = "no-store"
    return WebhookSecret(secret=tenant_secret(parts.settings, caller.tenant_id))
