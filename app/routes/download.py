"""A file on its way to a client: whole or in parts, once or not at all (RFC 9110, sections 13 to 15)."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Depends, Header, Request
from fastapi.responses import Response, StreamingResponse

from app import etags
from app.archive import Piece, Whole, length, read
from app.errors import NotFound
from app.filenames import disposition
from app.ranges import Part, wanted
from app.routes.answers import problems
from app.routes.route import CACHING

NO_SNIFFING = {"X-Content-Type-Options": "nosniff"}
"""A browser takes the file for what it is said to be: a text is never run as a page."""
NOT_KEPT = {"Cache-Control": "no-store"}
"""Of an address that serves whoever has it."""
_BYTES = {
    "application/octet-stream": {"schema": {"type": "string", "format": "binary", "description": "The bytes."}},
    "*/*": {},  # by the file's name; of any shape
}
ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {"description": "The whole.", "content": _BYTES},
    206: {"description": "The part, or the parts, that Range asked for.", "content": _BYTES},
    304: {"description": "The client has it already."},
    307: {"description": "The file is at the address in Location, for a while and without a key."},
    **problems(404, 416, 422),
}


@dataclass(frozen=True)
class Download:
    """Something to be downloaded."""

    pieces: Sequence[Piece]
    filename: str
    media_type: str
    etag: str
    sha256: str | None
    """Of the whole, hex; None where nobody has read it yet."""
    elsewhere: Callable[[], str | None] = lambda: None
    """Returns an address where the client is to fetch it instead, if there is one."""


@dataclass(frozen=True)
class Wish:
    """What the request says of how it wants the file."""

    head: bool
    ranges: str | None
    if_range: str | None
    if_none_match: str | None


def _wish(
    request: Request,
    ranges: Annotated[
        str | None, Header(alias="Range", max_length=1000, description="Parts of the file: bytes=0-99, bytes=-100.")
    ] = None,
    if_range: Annotated[
        str | None,
        Header(alias="If-Range", max_length=200, description="ETag of the file that the part is wanted of."),
    ] = None,
    if_none_match: Annotated[
        str | None,
        Header(alias="If-None-Match", max_length=1000, description="ETag of the file that is there already."),
    ] = None,
) -> Wish:
    return Wish(request.method == "HEAD", ranges, if_range, if_none_match)


Wanted = Annotated[Wish, Depends(_wish)]


def answer(found: Download, wish: Wish) -> Response:
    """Answer with the file, parts of it, or that the client has it. Raises RangeNotSatisfiable, NotFound."""
    if not all(each.storage.exists(each.key) for each in found.pieces if isinstance(each, Whole)):
        raise NotFound("the file was removed")
    told = {"ETag": found.etag, **CACHING, **NO_SNIFFING}
    if etags.is_known(wish.if_none_match, found.etag):
        return Response(status_code=304, headers=told)
    told |= {"Accept-Ranges": "bytes", "Content-Disposition": disposition(found.filename)}
    if found.sha256 is not None:
        told["Repr-Digest"] = f"sha-256=:{base64.b64encode(bytes.fromhex(found.sha256)).decode()}:"
    if not wish.head and (url := found.elsewhere()):
        return Response(status_code=307, headers={**told, **NOT_KEPT, "Location": url})
    total = length(found.pieces)
    if wish.head:  # Range means nothing here (14.2)
        return Response(headers={**told, "Content-Length": str(total)}, media_type=found.media_type)
    parts = wanted(wish.ranges, total) if etags.allows_range(wish.if_range, found.etag) else []
    if len(parts) > 1:
        return _several(found, parts, total, told)
    part = parts[0] if parts else Part(0, total)
    told["Content-Length"] = str(part.bytes)
    if parts:
        told["Content-Range"] = _place(part, total)
    body = read(found.pieces, part.start, part.stop)
    return StreamingResponse(body, 206 if parts else 200, told, media_type=found.media_type)


def _several(found: Download, parts: Sequence[Part], total: int, told: dict[str, str]) -> Response:
    """Answer with several parts, each under its own head (14.6)."""
    boundary = secrets.token_hex(16)
    heads = [
        f"\r\n--{boundary}\r\nContent-Type: {found.media_type}\r\nContent-Range: {_place(part, total)}\r\n\r\n".encode()
        for part in parts
    ]
    end = f"\r\n--{boundary}--\r\n".encode()

    def body() -> Iterator[bytes]:
        for head, part in zip(heads, parts, strict=True):
            yield head
            yield from read(found.pieces, part.start, part.stop)
        yield end

    size = sum(map(len, heads)) + sum(part.bytes for part in parts) + len(end)
    told = {**told, "Content-Length": str(size)}
    return StreamingResponse(body(), 206, told, media_type=f"multipart/byteranges; boundary={boundary}")


def _place(part: Part, total: int) -> str:
    return f"bytes {part.start}-{part.stop - 1}/{total}"
