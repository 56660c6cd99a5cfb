"""Webhooks: a signed message when a job is over, as Standard Webhooks has it (standardwebhooks.com).

The message is written in the transaction that ends the job, so none is lost and none tells of what did not happen; a
worker delivers it (worker/webhooks.py), at least once. Its receiver knows it again by webhook-id, and knows us by

    webhook-signature: v1,base64(HMAC-SHA256(secret, "{webhook-id}.{webhook-timestamp}.{body}"))

A tenant's secret is derived from the service's: it is stored nowhere and the same on every machine that has that one.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import uuid
from datetime import datetime

from sqlalchemy.orm import Session

from app.events import EventType
from app.models import Job, Json, WebhookDelivery
from app.public_address import NotAllowed, Rules, parse
from app.secret import service_secret
from app.settings import Settings
from fastmtl.errors import InvalidConfig

SECRET_MARK = "whsec_"


def check_url(settings: Settings, url: str, field: str = "webhook_url") -> None:
    """Refuse a URL that can never be delivered to. Raises InvalidConfig naming the field.

    The name is not looked up here: what counts is where it leads when the message is sent.
    """
    try:
        parse(url, Rules.of(settings))
    except NotAllowed as error:
        raise InvalidConfig(field, str(error)) from error


def enqueue(session: Session, job: Job, at: datetime) -> None:
    """Write the message about a job that has just ended, where its owner wants one."""
    if job.webhook_url is None:
        return
    session.add(
        WebhookDelivery(
            id=uuid.uuid4(),
            job_id=job.id,
            tenant_id=job.tenant_id,
            url=job.webhook_url,
            body=_body(job, at),
            created_at=at,
            next_attempt_at=at,
        )
    )


def tenant_secret(settings: Settings, tenant_id: uuid.UUID) -> str:
    """Return what a tenant's webhooks are signed with."""
    key = hmac.new(service_secret(settings), b"webhooks of tenant " + tenant_id.bytes, hashlib.sha256).digest()
    return SECRET_MARK + base64.b64encode(key).decode()


def message_id(delivery_id: uuid.UUID) -> str:
    """Return the webhook-id, the same at every attempt."""
    return f"msg_{delivery_id.hex}"


def content_of(body: Json) -> bytes:
    """Return the message as it is sent and signed."""
    return json.dumps(body, separators=(",", ":")).encode()


def signed_headers(secret: str, delivery_id: uuid.UUID, content: bytes, at: datetime) -> dict[str, str]:
    """Return the headers by which the receiver knows who sent what, and when."""
    name, seconds = message_id(delivery_id), str(int(at.timestamp()))
    key = base64.b64decode(secret.removeprefix(SECRET_MARK))
    signature = hmac.new(key, f"{name}.{seconds}.".encode() + content, hashlib.sha256).digest()
    return {
        "webhook-id": name,
        "webhook-timestamp": seconds,
        "webhook-signature": "v1," + base64.b64encode(signature).decode(),
    }


def _body(job: Job, at: datetime) -> Json:
    path = f"/v1/jobs/{job.id}"
    return {
        "type": EventType(f"job.{job.status}").value,
        "timestamp": at.isoformat().replace("+00:00", "Z"),
        "data": {
            "id": str(job.id),
            "name": job.name,
            "status": str(job.status),
            "error": job.error,
            "links": {"self": path, "selection": f"{path}/selection", "artifacts": f"{path}/artifacts"},
        },
    }
