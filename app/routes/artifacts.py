"""The files of a job: list, download one, download a folder."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Path
from fastapi.responses import FileResponse, Response, StreamingResponse

from app.archive import Member, tar, tar_bytes
from app.auth import Reader
from app.errors import NotFound
from app.routes.answers import problems
from app.routes.jobs import JobId
from app.routes.route import ServiceRoute
from app.schemas import ArtifactList
from app.state import Parts
from app.views import artifacts_of, media_type, show_artifact

router = APIRouter(prefix="/v1/jobs/{job_id}/artifacts", tags=["artifacts"], route_class=ServiceRoute)

_FILE = {"schema": {"type": "string", "format": "binary", "description": "The file, or a tar of the folder."}}


@router.get("", operation_id="list_artifacts", summary="List a job's files", responses=problems(404, 422))
def list_artifacts(parts: Parts, caller: Reader, job_id: JobId) -> ArtifactList:
    """List all files that the job has made so far, with size and digest."""
    return ArtifactList(
        items=[show_artifact(job_id, each) for each in artifacts_of(parts.database, caller.tenant_id, job_id)]
    )


@router.get(
    "/{name:path}",
    operation_id="get_artifact",
    summary="Download a file or a folder",
    response_class=Response,
    responses={
        200: {"description": "The file.", "content": {"application/octet-stream": _FILE}},
        206: {"description": "The part that Range asked for.", "content": {"application/octet-stream": _FILE}},
        416: {"description": "The file is shorter than Range wants."},
        **problems(400, 404, 422),
    },
)
def get_artifact(
    parts: Parts,
    caller: Reader,
    job_id: JobId,
    name: Annotated[str, Path(max_length=1000, description="The file's name, or the first part of some: a folder.")],
) -> Response:
    """Download a file, whole or by Range, with its SHA-256 as ETag; of a folder, a tar of all that is below it."""
    found = artifacts_of(parts.database, caller.tenant_id, job_id)
    for each in found:
        if each.name == name:
            headers = {"ETag": f'"{each.artifact.sha256}"'}
            path = parts.storage.path(each.artifact.storage_key)
            return FileResponse(path, media_type=media_type(name), filename=name.rpartition("/")[2], headers=headers)
    folder = name.rstrip("/") + "/"
    members = [
        Member(each.name, parts.storage.path(each.artifact.storage_key), each.artifact.bytes)
        for each in found
        if each.name.startswith(folder)
    ]
    if not members:
        raise NotFound(f"the job has no file {name!r}; GET its artifacts to see those it has")
    filename = quote(folder.strip("/").replace("/", "-"))
    headers = {
        "Content-Disposition": f'attachment; filename="{filename}.tar"',
        "Content-Length": str(tar_bytes(members)),
    }
    return StreamingResponse(tar(members), media_type="application/x-tar", headers=headers)
