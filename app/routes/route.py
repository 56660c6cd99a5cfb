"""What goes around every function of the API; a router takes it as its `route_class`.

A POST may carry an Idempotency-Key: it is then done once however often it is sent, and answered the same each time.
A GET of JSON has a weak ETag, and is answered 304 where If-None-Match names that. Both hold for whatever a caller's key
is asked for. A body of JSON has a largest size. All is written into the OpenAPI, so that a new route has it without a
line of its own.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Coroutine, Iterator, Mapping
from typing import Annotated, Any, get_args

from fastapi import Depends, Request, Response
from fastapi.datastructures import DefaultPlaceholder
from fastapi.dependencies.models import Dependant
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute
from starlette.types import Receive, Scope, Send

from app import etags
from app.auth import Admin, Reader, Writer
from app.idempotency import IdempotentAnswers
from app.keys import Caller
from app.keys import Scope as KeyScope
from app.routes.answers import problems
from app.routes.bounded import read_ahead
from app.routes.exchange import KEY_HEADER, MAX_KEY_LENGTH, Exchange
from app.state import State

Handler = Callable[[Request], Coroutine[Any, Any, Response]]

CACHING = {"Cache-Control": "private, no-cache", "Vary": "Authorization"}
"""Of what is shown to one caller: it may be kept, but not used unasked, and not for another."""
NEEDED = {
    get_args(kind)[1].dependency: scope
    for kind, scope in ((Reader, KeyScope.READ), (Writer, KeyScope.WRITE), (Admin, KeyScope.ADMIN))
}
KEY_PARAMETER = {
    "name": KEY_HEADER,
    "in": "header",
    "required": False,
    "description": "A name of this request, best a fresh UUID: sent again under the same name it is not done again but "
    "answered as the first time, for a day.",
    "schema": {"type": "string", "minLength": 1, "maxLength": MAX_KEY_LENGTH, "pattern": "^[!-~]+$"},
    "example": "0b0f6a3e-8a43-4c39-8a1e-0f8bb8ac1c0e",
}
IN_FLIGHT = "The first request under this Idempotency-Key is still being answered, or its answer was given once."
REUSED = "The Idempotency-Key stands for another request."
BAD_KEY = "The Idempotency-Key is none."
TOO_LARGE = "The body is larger than one of JSON may be."
KNOWN_PARAMETER = {
    "name": "If-None-Match",
    "in": "header",
    "required": False,
    "description": "ETag of what the client has: if nothing but time has changed since, the answer is 304.",
    "schema": {"type": "string", "maxLength": 1000},
    "example": 'W/"5891b5b522d5df086d0ff0b110fbd9d2"',
}


class ServiceRoute(APIRoute):
    """A route of the API."""

    def __init__(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:  # noqa: ANN401 - FastAPI's own
        super().__init__(path, endpoint, **options)
        if self.body_field is not None:
            self.responses = _with_problem(self.responses, 413, TOO_LARGE)
        if self._takes_keys:
            for status, told in ((400, BAD_KEY), (409, IN_FLIGHT), (422, REUSED)):
                self.responses = _with_problem(self.responses, status, told)
            self.openapi_extra = _with_parameter(self.openapi_extra, KEY_PARAMETER)
        if self._is_validated:
            self.responses = {**self.responses, 304: {"description": "Nothing but time has changed."}}
            self.openapi_extra = _with_parameter(self.openapi_extra, KNOWN_PARAMETER)

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request; one under an Idempotency-Key once."""
        request = Request(scope, receive)
        if self.body_field is not None:
            receive = await read_ahead(request, request.app.state.parts.settings.max_json_bytes)
            request = Request(scope, receive)
        if not self._takes_keys or request.method != "POST" or KEY_HEADER not in request.headers:
            await super().handle(scope, receive, send)
            return
        state: State = request.app.state.parts
        caller: Caller = request.state.caller  # who may not was refused at the door
        answers = IdempotentAnswers(state.database, state.settings)
        exchange = Exchange(answers, caller.tenant_id, request, state.settings.heartbeat_seconds)
        await exchange.answer(super().handle, send)

    def get_route_handler(self) -> Handler:
        """Return what answers a request."""
        answer = super().get_route_handler()
        return _validated(answer) if self._is_validated else answer

    @property
    def needed_scope(self) -> KeyScope | None:
        """What a key must be for; None where none is asked for."""
        found = [NEEDED[each.call] for each in _all(self.dependant) if each.call in NEEDED]
        return max(found, key=list(KeyScope).index, default=None)

    @property
    def _takes_keys(self) -> bool:
        return "POST" in (self.methods or ()) and self.needed_scope is not None

    @property
    def _is_validated(self) -> bool:
        kind = self.response_class.value if isinstance(self.response_class, DefaultPlaceholder) else self.response_class
        return "GET" in (self.methods or ()) and self.needed_scope is not None and issubclass(kind, JSONResponse)


async def _resource_id(request: Request) -> uuid.UUID:
    found: uuid.UUID | None = getattr(request.state, "resource_id", None)
    return found or uuid.uuid4()


ResourceId = Annotated[uuid.UUID, Depends(_resource_id)]
"""The id of what a request makes: the same in every attempt under one Idempotency-Key."""


def _validated(answer: Handler) -> Handler:
    async def answer_if_changed(request: Request) -> Response:
        response = await answer(request)
        if response.status_code != 200 or "ETag" in response.headers or response.media_type != "application/json":
            return response
        if "no-store" in response.headers.get("Cache-Control", ""):
            return response
        etag = etags.weak(bytes(response.body))
        if etags.is_known(request.headers.get("If-None-Match"), etag):
            return Response(status_code=304, headers={"ETag": etag, **CACHING})
        varies = ", ".join(filter(None, (response.headers.get("Vary"), CACHING["Vary"])))
        response.headers.update({"ETag": etag, **CACHING, "Vary": varies})
        return response

    return answer_if_changed


def _all(dependant: Dependant) -> Iterator[Dependant]:
    for each in dependant.dependencies:
        yield each
        yield from _all(each)


def _with_problem(
    responses: Mapping[int | str, dict[str, Any]], status: int, told: str
) -> dict[int | str, dict[str, Any]]:
    """Return the answers with a problem that may also come of the key."""
    known = responses.get(status)
    if known is None:
        known = {**problems(status)[status], "description": told}
    else:
        known = {**known, "description": f"{known['description']} {told}"}
    return {**responses, status: known}


def _with_parameter(extra: Mapping[str, Any] | None, parameter: Mapping[str, Any]) -> dict[str, Any]:
    return {**(extra or {}), "parameters": [*(extra or {}).get("parameters", []), parameter]}
