"""The errors that operations document."""

from __future__ import annotations

from typing import Any

from app.errors import MEDIA_TYPE
from app.schemas import Problem

SENTENCES = {
    400: "The body ended early, or is not what its Content-Type says.",
    401: "There is no key, or it does not count.",
    403: "The key may not do this, or a quota is used up.",
    404: "There is nothing by that id or name.",
    406: "No format that the client accepts.",
    408: "No more of the body came for a while.",
    409: "The state that it is in does not allow it.",
    410: "It is not there any more.",
    412: "The client speaks another version of tus than 1.0.0.",
    413: "The body is larger than it may be, or than was declared.",
    415: "The body of a part has another media type than application/offset+octet-stream.",
    416: "The file has none of the bytes that Range asks for.",
    422: "Something in the request is wrong; `errors` names the field, and for files the row.",
    423: "Another request is writing to the upload; try again in a while.",
    429: "Too many requests, jobs or streams at once; Retry-After says when to come again.",
    460: "The part has another checksum than was declared; it was dropped, send it again.",
    502: "The hub cannot be reached, or does not answer as it should.",
    503: "The service has no room for this now; Retry-After says when to try again.",
    507: "There is no room for the file; nothing was kept.",
}


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the `responses` of an operation that may answer with these problems, and with those of keys."""
    statuses = (401, 403, 429, *statuses)
    schema = {"$ref": f"#/components/schemas/{Problem.__name__}"}
    return {
        status: {"description": SENTENCES[status], "content": {MEDIA_TYPE: {"schema": schema}}} for status in statuses
    }
