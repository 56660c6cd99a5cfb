"""Uploads that come in parts and go on after a cut: tus 1.0 (tus.io/protocols/resumable-upload)."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Mapping
from email.utils import format_datetime
from types import MappingProxyType
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Path, Request, Response
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app import tus
from app.auth import Reader, Writer
from app.errors import BodyTooLarge, UnknownTusVersion, WrongMediaType
from app.routes.answers import problems
from app.routes.datasets import Cursor, Limit
from app.routes.route import ResourceId, ServiceRoute
from app.schemas import Problem
from app.schemas_uploads import UploadOut, UploadPage
from app.state import Parts
from app.unfinished import unfinished
from app.uploads import Part, Upload

PREFIX = "/v1/uploads"
DATASET = "FastMTL-Dataset"
OVERRIDES = ("PATCH", "DELETE")

UploadId = Annotated[uuid.UUID, Path(description="The upload's id.")]
Length = Annotated[int, Header(ge=0, description="Bytes of the whole file.", examples=[293498112])]
Offset = Annotated[int, Header(ge=0, description="The byte that the part begins with.", examples=[67108864])]
Metadata = Annotated[
    str | None,
    Header(
        description="`filename`, `filetype` and the fields of the query of POST /v1/datasets, each with its value in "
        "base64, with commas between them.",
        examples=["filename cnRlLmNzdg==,label bGFiZWw="],
    ),
]
ContentType = Annotated[str | None, Header(description=f"Of a part: {tus.PART}.", examples=[tus.PART])]
ContentLength = Annotated[int | None, Header(ge=0, description="Bytes of the part.")]
Checksum = Annotated[
    str | None, Header(description="Of the part: `sha256 BASE64` or `sha1 BASE64`; it is dropped if it has another.")
]


def _version(
    tus_resumable: Annotated[str | None, Header(description="The version: 1.0.0.", examples=["1.0.0"])] = None,
) -> None:
    if tus_resumable != tus.VERSION:
        told = f"Tus-Resumable: {tus.VERSION} is needed, found {(tus_resumable or 'none')[:40]!r}"
        raise UnknownTusVersion(told, headers={"Tus-Version": tus.VERSION})


router = APIRouter(prefix=PREFIX, tags=["uploads"], route_class=ServiceRoute)
Version = Depends(_version)


class Tus:
    """What the protocol wants of every request and answer below the prefix, the refusals included.

    An answer names the version, and a POST may stand for what its client or a proxy on the way cannot send.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        if scope["type"] != "http" or not scope["path"].startswith(PREFIX):
            await self._app(scope, receive, send)
            return
        method = Headers(scope=scope).get("X-HTTP-Method-Override", "")
        if scope["method"] == "POST" and method in OVERRIDES:
            scope = {**scope, "method": method}

        async def marked(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)["Tus-Resumable"] = tus.VERSION
            await send(message)

        await self._app(scope, receive, marked)


def _answers(*statuses: int) -> dict[int | str, dict[str, Any]]:
    return problems(412, *statuses)


_HEADERS = {
    "Upload-Offset": "Bytes that are there.",
    "Upload-Length": "Bytes that were declared.",
    "Upload-Expires": "When the upload is removed unless more comes.",
    DATASET: "Path of the dataset that was made of it, once it is whole.",
}


def _described(status: int, sentence: str, *names: str) -> dict[int | str, dict[str, Any]]:
    """Return the description of a good answer with its headers."""
    headers = {name: {"description": _HEADERS[name], "schema": {"type": "string"}} for name in names}
    return {status: {"description": sentence, "headers": headers}}


_PART = {"requestBody": {"content": {tus.PART: {"schema": {"type": "string", "format": "binary"}}}}}


@router.options(
    "", status_code=204, operation_id="describe_uploads", summary="What tus can do here", responses=problems()
)
def describe_uploads(parts: Parts, caller: Reader) -> Response:
    """Tell version, extensions, checksums and the largest upload, in headers."""
    return Response(
        status_code=204,
        headers={
            "Tus-Version": tus.VERSION,
            "Tus-Extension": tus.EXTENSIONS,
            "Tus-Max-Size": str(parts.settings.max_upload_bytes),
            "Tus-Checksum-Algorithm": ",".join(tus.ALGORITHMS),
        },
    )


@router.get("", operation_id="list_uploads", summary="List unfinished uploads", responses=problems(422))
def list_uploads(
    parts: Parts, caller: Reader, response: Response, limit: Limit = 50, cursor: Cursor = None
) -> UploadPage:
    """List the uploads in parts that are neither a dataset nor refused, newest first; each can be gone on with."""
    response.headers["Cache-Control"] = "no-store"
    page = unfinished(parts.database, parts.uploads, caller.tenant_id, limit, cursor)
    return UploadPage(items=[_out(each) for each in page.items], next_cursor=page.next_cursor)


@router.post(
    "",
    status_code=201,
    operation_id="create_upload",
    summary="Begin an upload in parts",
    dependencies=[Version],
    response_class=Response,
    responses=_answers(400, 408, 409, 413, 415, 422, 423, 460, 507)
    | _described(201, "Created; `Location` is where the parts go.", "Upload-Offset", "Upload-Expires", DATASET),
    openapi_extra=_PART,
)
async def create_upload(
    request: Request,
    parts: Parts,
    caller: Writer,
    made: ResourceId,
    upload_length: Length,
    upload_metadata: Metadata = None,
    content_type: ContentType = None,
    content_length: ContentLength = None,
    upload_checksum: Checksum = None,
) -> Response:
    """Declare a file of so many bytes; with a body of type `application/offset+octet-stream` its first part comes too.

    What it is and how it is to be read stands in `Upload-Metadata`. The declared bytes count to the tenant's quota
    until the upload is a dataset, is refused or given up, or expires. Where an attempt before under this
    Idempotency-Key was cut off, `Upload-Offset` says where to go on.
    """
    options = tus.parse_metadata(upload_metadata or "")
    first = None
    if content_type == tus.PART and content_length != 0:
        first = _part(request, 0, upload_length, content_type, content_length, upload_checksum)
    upload = await parts.uploads.create(caller.tenant_id, upload_length, options, upload_metadata, first, made)
    return _answer(upload, 201, {"Location": f"{PREFIX}/{upload.id}"})


@router.head(
    "/{upload_id}",
    operation_id="find_upload",
    summary="How much of it is there?",
    dependencies=[Version],
    response_class=Response,
    responses=_answers(404, 410, 422)
    | _described(200, "It can go on, or is done.", "Upload-Offset", "Upload-Length", "Upload-Expires", DATASET),
)
def find_upload(parts: Parts, caller: Reader, upload_id: UploadId) -> Response:
    """Tell in `Upload-Offset` where to go on."""
    upload = parts.uploads.resumable(caller.tenant_id, upload_id)
    told = {"Upload-Length": str(upload.length), "Cache-Control": "no-store"}
    return _answer(upload, 200, told | ({"Upload-Metadata": upload.metadata} if upload.metadata else {}))


@router.get(
    "/{upload_id}", operation_id="get_upload", summary="Describe an upload in parts", responses=problems(404, 422)
)
def get_upload(parts: Parts, caller: Reader, upload_id: UploadId, response: Response) -> UploadOut:
    """Describe an upload: how much of it is there, which dataset it became, why it was refused."""
    response.headers["Cache-Control"] = "no-store"
    return _out(parts.uploads.show(caller.tenant_id, upload_id))


@router.patch(
    "/{upload_id}",
    status_code=204,
    operation_id="append_to_upload",
    summary="Send a part",
    dependencies=[Version],
    responses=_answers(400, 404, 408, 409, 413, 415, 422, 423, 460, 507)
    | _described(204, "It is on disk.", "Upload-Offset", "Upload-Expires", DATASET),
    openapi_extra=_PART,
)
async def append_to_upload(
    request: Request,
    parts: Parts,
    caller: Writer,
    upload_id: UploadId,
    upload_offset: Offset,
    content_type: ContentType = None,
    content_length: ContentLength = None,
    upload_checksum: Checksum = None,
) -> Response:
    """Append a part where the ones before it end. With the last one the file is read, as by POST /v1/datasets.

    What comes before a cut counts: HEAD tells how much that is. An answer to the last part names the dataset in
    `FastMTL-Dataset`; a file that is refused is answered with what is wrong with it, and its bytes are removed. An
    empty part after the last byte reads a file again whose reading was interrupted.
    """
    length = (await asyncio.to_thread(parts.uploads.show, caller.tenant_id, upload_id)).length
    part = _part(request, upload_offset, length, content_type, content_length, upload_checksum)
    return _answer(await parts.uploads.append(caller.tenant_id, upload_id, part), 204)


@router.delete(
    "/{upload_id}",
    status_code=204,
    operation_id="delete_upload",
    summary="Give an upload up",
    dependencies=[Version],
    responses=_answers(404, 422),
)
def delete_upload(parts: Parts, caller: Writer, upload_id: UploadId) -> Response:
    """Remove an upload and its bytes; a dataset that was made of it stays."""
    parts.uploads.delete(caller.tenant_id, upload_id)
    return Response(status_code=204)


def _part(
    request: Request, offset: int, length: int, content_type: str | None, bytes_: int | None, checksum: str | None
) -> Part:
    """Return the part that a request carries. Raises WrongMediaType, BodyTooLarge, BrokenUpload."""
    if content_type != tus.PART:
        raise WrongMediaType(f"a part is sent as {tus.PART}, found {(content_type or 'none')[:100]!r}")
    if offset + (bytes_ or 0) > length:
        raise BodyTooLarge(f"the upload was declared to have {length:,} bytes, and the part would go beyond them")
    return Part(offset, request.stream(), tus.parse_checksum(checksum) if checksum is not None else None)


def _out(upload: Upload) -> UploadOut:
    return UploadOut(
        id=upload.id,
        state=upload.state,
        filename=tus.filename_of(upload.metadata),
        offset=upload.offset,
        length=upload.length,
        created_at=upload.created_at,
        expires_at=upload.expires_at,
        dataset=upload.dataset_id,
        error=Problem.model_validate(upload.error) if upload.error else None,
    )


def _answer(upload: Upload, status: int, more: Mapping[str, str] = MappingProxyType({})) -> Response:
    headers = {"Upload-Offset": str(upload.offset), **more}
    headers["Upload-Expires"] = format_datetime(upload.expires_at, usegmt=True)
    if upload.dataset_id is not None:
        headers[DATASET] = f"/v1/datasets/{upload.dataset_id}"
    return Response(status_code=status, headers=headers)
