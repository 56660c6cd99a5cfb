"""Jobs: submit, watch, list, cancel, and the rows they chose."""

from __future__ import annotations

import uuid
from typing import Annotated

from fastapi import APIRouter, Header, Path, Query, Response
from fastapi.responses import StreamingResponse

from app.auth import Reader, Writer
from app.filenames import disposition
from app.models import Status
from app.routes.answers import problems
from app.routes.datasets import Cursor, Limit
from app.routes.download import NO_SNIFFING
from app.routes.route import CACHING, ResourceId, ServiceRoute
from app.schemas import JobOut, JobPage, NewJob, SelectionOut
from app.selection_file import SelectionFormat, download, negotiate
from app.state import Parts
from app.submit import submit
from app.views import chosen_rows, page_of_jobs, show_job

router = APIRouter(prefix="/v1/jobs", tags=["jobs"], route_class=ServiceRoute)

JobId = Annotated[uuid.UUID, Path(description="The job's id.")]
_ROWS = {"schema": {"type": "string", "description": "The chosen rows."}}


@router.post("", status_code=202, operation_id="create_job", summary="Submit a job", responses=problems(400, 422))
def create_job(parts: Parts, caller: Writer, made: ResourceId, request: NewJob, response: Response) -> JobOut:
    """Submit a selection job; it is then worked on in the background."""
    job_id = submit(parts.database, parts.jobs, parts.settings, caller.tenant_id, request, made)
    response.headers["Location"] = f"/v1/jobs/{job_id}"
    return show_job(parts.database, caller.tenant_id, job_id)


@router.get("", operation_id="list_jobs", summary="List jobs", responses=problems(422))
def list_jobs(
    parts: Parts,
    caller: Reader,
    limit: Limit = 50,
    cursor: Cursor = None,
    status: Annotated[Status | None, Query(description="Only jobs that stand so.")] = None,
) -> JobPage:
    """List jobs, newest first."""
    page = page_of_jobs(parts.database, caller.tenant_id, limit, cursor, status)
    return JobPage(items=page.items, next_cursor=page.next_cursor)


@router.get("/{job_id}", operation_id="get_job", summary="Watch a job", responses=problems(404, 422))
def get_job(parts: Parts, caller: Reader, job_id: JobId) -> JobOut:
    """Return a job as it stands: steps, progress, time left, what was chosen so far, the error if there is one."""
    return show_job(parts.database, caller.tenant_id, job_id)


@router.get(
    "/{job_id}/selection",
    operation_id="get_selection",
    summary="Download the chosen rows",
    response_class=StreamingResponse,
    responses={
        200: {
            "model": SelectionOut,
            "description": "The chosen rows, best first.",
            "content": {"text/csv": _ROWS, "application/x-ndjson": _ROWS, "application/vnd.apache.parquet": _ROWS},
        },
        **problems(404, 406, 409, 422),
    },
)
def get_selection(
    parts: Parts,
    caller: Reader,
    job_id: JobId,
    file_format: Annotated[
        SelectionFormat | None, Query(alias="format", description="The format; wins over Accept.")
    ] = None,
    explain: Annotated[
        bool, Query(description="Also say why: percentile in its dataset, nearest rows of the primary.")
    ] = False,
    accept: Annotated[str, Header(description="Formats in order of preference.")] = "application/json",
) -> StreamingResponse:
    """Download rank, dataset, row and score of every chosen row, as JSON, CSV, JSONL or Parquet.

    With `explain` each also has its percentile in its dataset and the primary's rows nearest to it; in CSV those are
    one cell, `row:similarity` with semicolons between.
    In CSV a text that begins like a formula (with =, +, -, @, their full-width forms, a tab or a line's end) is given
    an apostrophe in front, so that no spreadsheet runs it; numbers are left alone. The other formats change nothing.
    """
    wanted = negotiate(file_format, accept)
    chosen = chosen_rows(parts.database, caller.tenant_id, job_id, explain=explain)
    found = download(chosen, parts.storage, wanted)
    headers = {**CACHING, "Vary": "Accept, Authorization", **NO_SNIFFING}
    headers["Content-Disposition"] = disposition(found.filename)
    return StreamingResponse(found.body, media_type=found.media_type, headers=headers)
