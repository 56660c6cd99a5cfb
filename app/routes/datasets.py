"""Datasets: upload, description, list."""

from __future__ import annotations

import uuid
from typing import Annotated

from fastapi import APIRouter, Header, Path, Query, Request, Response

from app.auth import Reader, Writer
from app.routes.answers import problems
from app.routes.route import ResourceId, ServiceRoute
from app.schemas_datasets import DatasetOut, DatasetPage, HubDataset
from app.schemas_uploads import UploadOptions
from app.state import Parts

router = APIRouter(prefix="/v1/datasets", tags=["datasets"], route_class=ServiceRoute)

_BINARY = {"schema": {"type": "string", "format": "binary", "description": "The file itself."}}
_FORM = {
    "schema": {
        "type": "object",
        "description": "A form with the file; its other fields are those of the query.",
        "required": ["file"],
        "properties": {"file": {"type": "string", "format": "binary", "description": "The file itself."}},
    }
}
_BODY = {
    "required": True,
    "content": {"application/octet-stream": _BINARY, "text/csv": _BINARY, "multipart/form-data": _FORM},
}

DatasetId = Annotated[uuid.UUID, Path(description="The dataset's id.")]
Limit = Annotated[int, Query(ge=1, le=200, description="Items on a page.", examples=[50])]
Cursor = Annotated[str | None, Query(max_length=500, description="`next_cursor` of the page before.")]


@router.post(
    "",
    status_code=201,
    operation_id="create_dataset",
    summary="Upload a dataset",
    responses=problems(400, 408, 413, 422, 507),
    openapi_extra={"requestBody": _BODY},
)
async def create_dataset(
    request: Request,
    response: Response,
    parts: Parts,
    caller: Writer,
    made: ResourceId,
    options: Annotated[UploadOptions, Query()],
    content_type: Annotated[
        str, Header(description="The file's media type, or multipart/form-data.")
    ] = "application/octet-stream",
    content_length: Annotated[int | None, Header(ge=0, description="Bytes of the body.")] = None,
    repr_digest: Annotated[
        str | None, Header(description="Digest of the body, checked (RFC 9530): sha-256=:BASE64: or sha-512=:BASE64:.")
    ] = None,
    content_digest: Annotated[str | None, Header(description="The same.")] = None,
) -> DatasetOut:
    """Upload CSV, TSV, JSONL or Parquet, as the body itself or as the part `file` of a form.

    The body is streamed to disk and then read once; what is wrong with it is told by row, and nothing is kept. Where a
    digest is declared and another one found, neither is anything kept. Large files can be sent in parts: /v1/uploads.
    """
    dataset = await parts.datasets.receive(
        caller.tenant_id, request.stream(), request.headers, content_type, options, made
    )
    response.headers["Location"] = f"/v1/datasets/{dataset.id}"
    return dataset


@router.post(
    "/from-hub",
    status_code=201,
    operation_id="create_dataset_from_hub",
    summary="Fetch a dataset from the hub",
    responses=problems(400, 422, 502, 507),
)
async def create_dataset_from_hub(
    body: HubDataset, response: Response, parts: Parts, caller: Writer, made: ResourceId
) -> DatasetOut:
    """Let the service fetch a public split of the Hugging Face hub, where the operator allows it (FASTMTL_HUB).

    It is read as an upload is, and counts as one. `source` of the answer names the commit that was read: sent again, it
    gives the same rows. What is private or gated is fetched where the token is, and uploaded.
    """
    dataset = await parts.datasets.fetch(caller.tenant_id, body, made)
    response.headers["Location"] = f"/v1/datasets/{dataset.id}"
    return dataset


@router.get("", operation_id="list_datasets", summary="List datasets", responses=problems(422))
def list_datasets(parts: Parts, caller: Reader, limit: Limit = 50, cursor: Cursor = None) -> DatasetPage:
    """List datasets, newest first."""
    page = parts.datasets.page(caller.tenant_id, limit, cursor)
    return DatasetPage(items=page.items, next_cursor=page.next_cursor)


@router.get("/{dataset_id}", operation_id="get_dataset", summary="Describe a dataset", responses=problems(404, 422))
def get_dataset(parts: Parts, caller: Reader, dataset_id: DatasetId) -> DatasetOut:
    """Describe a dataset: rows, labels, lengths, duplicates, examples."""
    return parts.datasets.describe(caller.tenant_id, dataset_id)
