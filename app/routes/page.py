"""The web page: its shell, its files, and the session that a key is exchanged for. None of it is part of the API."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Header, Request, Response
from pydantic import Field, SecretStr

from app.auth import COOKIE
from app.errors import NotFound
from app.etags import is_known
from app.fields import Record
from app.origins import check_origin
from app.page_files import GUARDED, PageFile
from app.routes.route import ServiceRoute
from app.state import Parts

router = APIRouter(route_class=ServiceRoute, include_in_schema=False)

REVALIDATED = "no-cache"
FOR_EVER = "public, max-age=31536000, immutable"

Known = Annotated[str | None, Header(alias="If-None-Match", max_length=1000)]
Encodings = Annotated[str, Header(alias="Accept-Encoding", max_length=1000)]


class SignIn(Record):
    """What somebody signs in with."""

    key: SecretStr = Field(description="An API key.", max_length=200)


@router.get("/")
def shell(parts: Parts, known: Known = None, encodings: Encodings = "") -> Response:
    """Return the page."""
    return _answer(parts.page.shell, REVALIDATED, known, encodings)


@router.get("/docs")
def reference(parts: Parts, known: Known = None, encodings: Encodings = "") -> Response:
    """Return the reference of the API; unlike the framework's own it fetches no script from elsewhere.

    A script from elsewhere could do in the name of whoever is signed in what that person may.
    """
    return _answer(parts.page.reference, REVALIDATED, known, encodings)


@router.get("/pages/{version}/{name:path}")
def file(parts: Parts, version: str, name: str, known: Known = None, encodings: Encodings = "") -> Response:
    """Return one of the page's files; of another version than this service's there are none."""
    found = parts.page.files.get(name) if version == parts.page.version else None
    if found is None:
        raise NotFound("the page has no such file; load it again")
    return _answer(found, FOR_EVER, known, encodings)


@router.post("/session", status_code=204)
def sign_in(parts: Parts, request: Request, body: SignIn) -> Response:
    """Exchange a key for a cookie that the page's scripts cannot read."""
    check_origin(request.method, request.headers, must_be_told=True)
    begun = parts.sessions.begin(body.key.get_secret_value().strip())
    answer = Response(status_code=204, headers={"Cache-Control": "no-store"})
    seconds = int(parts.settings.session_seconds)
    secure = request.url.scheme == "https"
    answer.set_cookie(COOKIE, begun.token, max_age=seconds, path="/", secure=secure, httponly=True, samesite="strict")
    return answer


@router.delete("/session", status_code=204)
def sign_out(parts: Parts, request: Request) -> Response:
    """End the session and take the cookie back."""
    check_origin(request.method, request.headers, must_be_told=True)
    if token := request.cookies.get(COOKIE):
        parts.sessions.end(token)
    answer = Response(status_code=204, headers={"Cache-Control": "no-store"})
    answer.delete_cookie(COOKIE, path="/", httponly=True, samesite="strict")
    return answer


def _answer(found: PageFile, caching: str, known: str | None, encodings: str) -> Response:
    headers = {**GUARDED, "Cache-Control": caching, "ETag": found.etag}
    if is_known(known, found.etag):
        return Response(status_code=304, headers=headers)
    if "gzip" in encodings:
        return Response(found.gzipped, headers={**headers, "Content-Encoding": "gzip"}, media_type=found.media_type)
    return Response(found.body, headers=headers, media_type=found.media_type)
