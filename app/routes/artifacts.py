"""The files of a job: list, download one, download a folder, and the digests of all."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, Path
from fastapi.responses import Response

from app import checksums, etags
from app.archive import Member, Whole, tar, tar_digest
from app.auth import Reader
from app.errors import NotFound
from app.filenames import media_type
from app.routes.answers import problems
from app.routes.download import ANSWERS, Download, Wanted, answer
from app.routes.jobs import JobId
from app.routes.route import ServiceRoute
from app.schemas import ArtifactList
from app.state import Parts
from app.storage import Storage
from app.views import StoredArtifact, artifacts_of, show_artifact

router = APIRouter(prefix="/v1/jobs/{job_id}/artifacts", tags=["artifacts"], route_class=ServiceRoute)

Name = Annotated[str, Path(max_length=1000, description="The file's name, or the first part of some: a folder.")]

HEAD_ANSWERS = {200: {"description": "Size, digest and ETag."}, 304: ANSWERS[304], **problems(404, 422)}


@router.get("", operation_id="list_artifacts", summary="List a job's files", responses=problems(404, 422))
def list_artifacts(parts: Parts, caller: Reader, job_id: JobId) -> ArtifactList:
    """List all files that the job has made so far, with size and digest."""
    return ArtifactList(
        items=[show_artifact(job_id, each) for each in artifacts_of(parts.database, caller.tenant_id, job_id)]
    )


@router.head(
    f"/{checksums.NAME}",
    operation_id="head_checksums",
    summary="Ask for size and digest of the digests",
    response_class=Response,
    responses=HEAD_ANSWERS,
)
@router.get(
    f"/{checksums.NAME}",
    operation_id="get_checksums",
    summary="Download the digests of a job's files",
    response_class=Response,
    responses={
        **ANSWERS,
        200: {"description": "The digests.", "content": {"text/plain": {"schema": {"type": "string"}}}},
    },
)
def get_checksums(parts: Parts, caller: Reader, job_id: JobId, wish: Wanted) -> Response:
    """Download the SHA-256 of all files that the job has made so far, as `sha256sum --check` reads them."""
    found = artifacts_of(parts.database, caller.tenant_id, job_id)
    text = checksums.listing((each.name, each.artifact.sha256) for each in found).encode()
    digest = hashlib.sha256(text).hexdigest()
    return answer(Download([text], checksums.NAME, "text/plain", etags.strong(digest), digest), wish)


@router.head(
    "/{name:path}",
    operation_id="head_artifact",
    summary="Ask for size and digest of a file or a folder",
    response_class=Response,
    responses=HEAD_ANSWERS,
)
@router.get(
    "/{name:path}",
    operation_id="get_artifact",
    summary="Download a file or a folder",
    response_class=Response,
    responses=ANSWERS,
)
def get_artifact(parts: Parts, caller: Reader, job_id: JobId, name: Name, wish: Wanted) -> Response:
    """Download a file, whole or by Range, with its SHA-256 as ETag and in Repr-Digest; of a folder, a tar of it.

    A download that was cut goes on with Range and If-Range, that of a folder as well.
    """
    found = artifacts_of(parts.database, caller.tenant_id, job_id)
    return answer(_file(parts.storage, found, name) or _folder(parts.storage, found, name), wish)


def _file(storage: Storage, found: Sequence[StoredArtifact], name: str) -> Download | None:
    artifact = next((each.artifact for each in found if each.name == name), None)
    if artifact is None:
        return None
    key, sha256, filename = artifact.storage_key, artifact.sha256, name.rpartition("/")[2]
    piece = Whole(storage, key, artifact.bytes)
    kind, etag = media_type(name), etags.strong(sha256)
    return Download([piece], filename, kind, etag, sha256, lambda: storage.signed(key))


def _folder(storage: Storage, found: Sequence[StoredArtifact], name: str) -> Download:
    """Return a tar of all that is below a folder. Raises NotFound."""
    folder = name.rstrip("/") + "/"
    members = [
        Member(each.name, Whole(storage, each.artifact.storage_key, each.artifact.bytes), each.artifact.sha256)
        for each in found
        if each.name.startswith(folder)
    ]
    if not members:
        raise NotFound(f"the job has no file {name!r}; GET its artifacts to see those it has")
    filename = f"{folder.strip('/').replace('/', '-')}.tar"
    return Download(tar(members), filename, "application/x-tar", etags.strong(tar_digest(members)), None)
