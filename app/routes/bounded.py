"""A body of JSON, read ahead and refused where it is too large: no caller fills the memory, whatever key it has.

Starlette's own limit (max_body_size) answers a body whose declared length is too large in plain text, after the route
has done its work; and what raises while a framework reads a body becomes its 400. So it is read here, before both.
"""

from __future__ import annotations

from starlette.requests import Request
from starlette.types import Message, Receive

from app.errors import BodyTooLarge


async def read_ahead(request: Request, max_bytes: int) -> Receive:
    """Read a body of `max_bytes` at most and return what gives it again. Raises BodyTooLarge.

    One whose declared length is over the limit is not asked for at all, one that grows beyond it not any further.
    """
    if int(request.headers.get("Content-Length", 0)) > max_bytes:
        raise _too_large(max_bytes)
    body, ahead, more = bytearray(), list[Message](), True
    while more:
        message = await request.receive()
        body += message.get("body", b"")
        if len(body) > max_bytes:
            raise _too_large(max_bytes)
        more = message.get("more_body", False)
        if message["type"] == "http.disconnect":
            ahead = [{"type": "http.request", "body": b"", "more_body": True}, message]
    ahead = ahead or [{"type": "http.request", "body": bytes(body), "more_body": False}]

    async def again() -> Message:
        return ahead.pop(0) if ahead else await request.receive()

    return again


def _too_large(max_bytes: int) -> BodyTooLarge:
    return BodyTooLarge(f"a body of JSON may have {max_bytes:,} bytes at most (FASTMTL_MAX_JSON_BYTES)")
