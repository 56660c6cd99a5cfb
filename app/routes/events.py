"""Events of a job: pages, and a live stream of the same."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Header, Query, Request, Response

from app.auth import Reader
from app.event_stream import MEDIA_TYPE, is_wanted
from app.routes.answers import problems
from app.routes.datasets import Cursor, Limit
from app.routes.jobs import JobId
from app.routes.route import ServiceRoute
from app.schemas_events import EventPage
from app.state import Parts
from app.telling import page_of_events

router = APIRouter(prefix="/v1/jobs/{job_id}/events", tags=["events"], route_class=ServiceRoute)

LARGEST = 2**63 - 1
_STREAM = {"schema": {"type": "string", "description": "Server-Sent Events: id, event and data of each."}}


@router.get(
    "",
    operation_id="list_events",
    summary="Read or follow a job's events",
    response_model=EventPage,
    responses={
        200: {"description": "The events, oldest first.", "content": {MEDIA_TYPE: _STREAM}},
        204: {"description": "Of a stream: the job is over and nothing more will come."},
        **problems(404, 422, 429, 503),
    },
)
def list_events(
    request: Request,
    response: Response,
    parts: Parts,
    caller: Reader,
    job_id: JobId,
    limit: Limit = 50,
    cursor: Cursor = None,
    after: Annotated[int, Query(ge=0, le=LARGEST, description="Only events after this number.", examples=[0])] = 0,
    last_event_id: Annotated[
        int | None, Header(ge=0, le=LARGEST, description="Of a stream: number of the last event seen; wins over after.")
    ] = None,
) -> EventPage | Response:
    """Read what happened to a job, by pages, or follow it.

    With `Accept: text/event-stream` the answer is a stream that goes on until the job is over: past events at once,
    new ones as they come. A client that was cut off sends the last number it saw as `Last-Event-ID` and misses nothing;
    once the job is over and all is seen, the answer is 204, which makes a browser's EventSource stop.
    """
    if is_wanted(request.headers.get("accept", "")):
        return parts.streams.follow(caller, job_id, after if last_event_id is None else last_event_id)
    page = page_of_events(parts.database, caller.tenant_id, job_id, limit, cursor, after)
    response.headers["Vary"] = "Accept"
    return EventPage(items=page.items, next_cursor=page.next_cursor)
