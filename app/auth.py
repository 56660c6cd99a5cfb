"""Who asks, and whether they may: a dependency of every route but the service's own signs of life.

    def get_job(parts: Parts, caller: Reader, job_id: JobId) -> JobOut

Another tenant's things are not forbidden but not there (404): that they exist is not told either.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

from fastapi import Depends, Request, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from app.errors import Forbidden, Unauthorized
from app.keys import Caller, Scope
from app.state import Parts

_BEARER = HTTPBearer(
    scheme_name="ApiKey", bearerFormat="fastmtl_…", description="An API key of this service.", auto_error=False
)


def _may(needed: Scope) -> Callable[..., Caller]:
    def check(
        request: Request,
        parts: Parts,
        credentials: Annotated[HTTPAuthorizationCredentials | None, Security(_BEARER)],
    ) -> Caller:
        caller = request.state.caller = parts.open_to or _authenticated(parts, credentials)
        if not caller.scope.allows(needed):
            raise Forbidden(f"this needs a key with the scope {needed}, and this one's is {caller.scope}")
        return caller

    return check


def _authenticated(parts: Parts, credentials: HTTPAuthorizationCredentials | None) -> Caller:
    if credentials is None:
        raise Unauthorized("send your API key: Authorization: Bearer fastmtl_...")
    return parts.keys.authenticate(credentials.credentials)


Reader = Annotated[Caller, Depends(_may(Scope.READ))]
Writer = Annotated[Caller, Depends(_may(Scope.WRITE))]
Admin = Annotated[Caller, Depends(_may(Scope.ADMIN))]
