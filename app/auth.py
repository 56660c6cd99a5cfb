"""Who asks, and whether they may: told before a byte of the body is read.

    def get_job(parts: Parts, caller: Reader, job_id: JobId) -> JobOut

A route says by the type of its caller which scope it needs; that is also what the schema says of it. `Door` stands
before all routes, reads it there and answers 401, 403 and 429 itself: a framework that resolves a caller beside the
body would tell a stranger first what is wrong with the JSON, and read all of it for that.
The web page's cookie (app.sessions) counts as the key that it was had for, for requests of the page itself.
Another tenant's things are not forbidden but not there (404): that they exist is not told either.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Annotated

from fastapi import Request, Security
from fastapi.dependencies.models import Dependant
from fastapi.routing import RouteContext, iter_route_contexts
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from sqlalchemy.exc import InternalError, OperationalError
from starlette.concurrency import run_in_threadpool
from starlette.routing import Match
from starlette.types import ASGIApp, Receive, Send
from starlette.types import Scope as Connection

from app.errors import ApiError, Forbidden, Unauthorized
from app.keys import Caller, Scope
from app.origins import check_origin
from app.problems import answer, unavailable
from app.rate_limits import of_address
from app.requests_log import SIGNS_OF_LIFE
from app.state import State

_BEARER = HTTPBearer(
    scheme_name="ApiKey", bearerFormat="fastmtl_…", description="An API key of this service.", auto_error=False
)


COOKIE = "fastmtl_session"
"""Holds the token of a session of the web page; it counts where no Authorization is sent."""


@dataclass(frozen=True)
class May:
    """The dependency that a route names its caller by."""

    needed: Scope

    async def __call__(
        self, request: Request, _: Annotated[HTTPAuthorizationCredentials | None, Security(_BEARER)]
    ) -> Caller:
        """Return who asks, as the door found out."""
        caller: Caller = request.state.caller
        self.check(caller)
        return caller

    def check(self, caller: Caller) -> None:
        """Raise Forbidden where the scope does not suffice."""
        if not caller.scope.allows(self.needed):
            raise Forbidden(f"this needs a key with the scope {self.needed}, and this one's is {caller.scope}")


Reader = Annotated[Caller, Security(May(Scope.READ), scopes=[Scope.READ])]
Writer = Annotated[Caller, Security(May(Scope.WRITE), scopes=[Scope.WRITE])]
Admin = Annotated[Caller, Security(May(Scope.ADMIN), scopes=[Scope.ADMIN])]


class Door:
    """The layer before the routes: lets in who may, and counts."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._included = 0
        self._routes: list[tuple[Callable[[Connection], tuple[Match, Connection]], May | None]] = []

    async def __call__(self, scope: Connection, receive: Receive, send: Send) -> None:
        """Answer for the route, or hand the request on with its caller."""
        if scope["type"] == "http" and scope["path"] not in SIGNS_OF_LIFE:
            request = Request(scope)
            try:
                await run_in_threadpool(_admit, request, request.app.state.parts, self._asked_of(request))
            except ApiError as error:
                await answer(error)(scope, receive, send)
                return
            except (OperationalError, InternalError) as error:
                await unavailable(request, error)(scope, receive, send)
                return
        await self._app(scope, receive, send)

    def _asked_of(self, request: Request) -> May | None:
        """Return what the route that will answer asks of its caller; None where it asks nothing, or there is none."""
        included = request.app.routes
        if len(included) != self._included:
            self._routes = [(route.matches, _may(route)) for route in iter_route_contexts(included)]
            self._included = len(included)
        return next((may for matches, may in self._routes if matches(request.scope)[0] is Match.FULL), None)


def _admit(request: Request, parts: State, may: May | None) -> None:
    """Count the request, and note who sent it. Raises Unauthorized, Forbidden, RateLimited."""
    address = of_address(request.client.host if request.client else None)
    try:
        if parts.open_to and may:
            check_origin(request.method, request.headers, must_be_told=False)
        caller = parts.open_to or (_authenticated(parts, request) if may else None)
    except Unauthorized:
        # Only guesses count for the address: whoever has a key is not shut out by others behind the same proxy.
        parts.rate_limits.count(address)
        raise
    parts.rate_limits.count(f"key:{caller.key_id}" if caller and caller.key_id else address)
    if caller and may:
        may.check(caller)
        request.state.caller = caller


def _authenticated(parts: State, request: Request) -> Caller:
    """Return whom the key in the header lets in, or, where there is no such header, the page's cookie."""
    token = request.cookies.get(COOKIE)
    if token and "Authorization" not in request.headers:
        check_origin(request.method, request.headers, must_be_told=True)
        return parts.sessions.authenticate(token)
    scheme, _, key = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not key.strip():
        raise Unauthorized("send your API key: Authorization: Bearer fastmtl_...")
    return parts.keys.authenticate(key.strip())


def _may(route: RouteContext) -> May | None:
    """Return what a route asks of its caller."""
    dependant: Dependant | None = getattr(route, "dependant", None)
    return next(_mays(dependant), None) if dependant else None


def _mays(dependant: Dependant) -> Iterator[May]:
    for each in dependant.dependencies:
        if isinstance(each.call, May):
            yield each.call
        yield from _mays(each)
