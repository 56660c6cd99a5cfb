"""API keys of the tenant: list, make, rotate, revoke; and who one is."""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Path, Response

from app.auth import Admin, Reader
from app.routes.answers import problems
from app.routes.datasets import Cursor, Limit
from app.routes.route import ResourceId, ServiceRoute
from app.schemas_access import KeyOut, KeyPage, KeyRequest, NewKeyOut, RotateRequest, SelfOut
from app.state import Parts
from app.views_access import show_key, show_new_key, show_self

router = APIRouter(prefix="/v1/keys", tags=["keys"], route_class=ServiceRoute)

KeyId = Annotated[uuid.UUID, Path(description="The key's id.")]
NOWHERE = "no-store"
"""Cache-Control of an answer that shows a key: no cache may keep it."""


@router.get("", operation_id="list_keys", summary="List API keys", responses=problems(422))
def list_keys(parts: Parts, caller: Admin, limit: Limit = 50, cursor: Cursor = None) -> KeyPage:
    """List the tenant's keys, newest first, the ended ones too. What a key is, is not told: only that it is."""
    page = parts.keys.page(caller.tenant_id, limit, cursor)
    return KeyPage(items=[show_key(each) for each in page.items], next_cursor=page.next_cursor)


@router.post("", status_code=201, operation_id="create_key", summary="Make an API key", responses=problems(400, 422))
def create_key(parts: Parts, caller: Admin, made: ResourceId, request: KeyRequest, response: Response) -> NewKeyOut:
    """Make a key of the tenant. The answer is the only one that shows it."""
    response.headers["Cache-Control"] = NOWHERE
    ends = request.ends()
    return show_new_key(
        parts.keys.create(caller.tenant_id, request.name, request.scope, ends, giver=caller.scope, key_id=made)
    )


@router.get("/self", operation_id="get_self", summary="Who am I?", responses=problems())
def get_self(parts: Parts, caller: Reader) -> SelfOut:
    """Return the tenant, the key that was sent, and how much of the quotas is used."""
    return show_self(parts.database, parts.settings, caller)


@router.post(
    "/{key_id}/rotate",
    status_code=201,
    operation_id="rotate_key",
    summary="Replace an API key",
    responses=problems(400, 404, 409, 422),
)
def rotate_key(
    parts: Parts,
    caller: Admin,
    key_id: KeyId,
    made: ResourceId,
    response: Response,
    request: RotateRequest | None = None,
) -> NewKeyOut:
    """Make a key like this one, to be used instead; this one still counts for a while and then ends by itself.

    The new key lasts as long as this one was made for, from now on. This one is shown with `replaced_by` and its end,
    which no further rotation moves: a key that was replaced is not rotated again (409, which names the newer key). To
    end it sooner, revoke it.
    """
    response.headers["Cache-Control"] = NOWHERE
    overlap = timedelta(hours=(request or RotateRequest()).overlap_hours)
    return show_new_key(parts.keys.rotate(caller.tenant_id, key_id, overlap, made))


@router.delete("/{key_id}", operation_id="revoke_key", summary="Revoke an API key", responses=problems(404, 409, 422))
def revoke_key(parts: Parts, caller: Admin, key_id: KeyId) -> KeyOut:
    """End a key at once; twice is the same as once. The tenant's last admin key only the operator can revoke."""
    return show_key(parts.keys.revoke(caller.tenant_id, key_id))
