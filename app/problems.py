"""Errors as answers: problem+json (RFC 9457), in the place of whatever a framework would say."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import get_args, get_type_hints

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from sqlalchemy.exc import InternalError, OperationalError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from app.errors import MEDIA_TYPE, NO_ROOM, STATUS, ApiError, Busy, DiskFull, Json
from app.storage import StorageUnavailable
from fastmtl.errors import FastMTLError, InvalidConfig, InvalidDataset, UnknownName, cut

log = structlog.get_logger()

MAX_ERRORS = 50
MAX_DETAIL_CHARS, MAX_MESSAGE_CHARS = 5000, 2000


def install(app: FastAPI) -> None:
    """Answer every error with a problem; none shows a stack trace."""
    app.add_exception_handler(ApiError, _api_error)
    app.add_exception_handler(FastMTLError, _domain_error)
    app.add_exception_handler(RequestValidationError, _invalid_request)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(ClientDisconnect, _disconnected)
    app.add_exception_handler(OSError, _os_error)
    app.add_exception_handler(OperationalError, _database_error)
    app.add_exception_handler(InternalError, _database_error)  # so PostgreSQL calls the end of one that stood still
    app.add_exception_handler(Exception, _unexpected)


def problem(
    status: int,
    slug: str,
    title: str,
    detail: str,
    errors: Sequence[Json] = (),
    headers: dict[str, str] | None = None,
    members: Mapping[str, object] = MappingProxyType({}),
) -> JSONResponse:
    """Return the answer in the form of RFC 9457."""
    body = {**_body(status, slug, title, detail, errors), **members}
    return JSONResponse(body, status, headers, media_type=MEDIA_TYPE)


def answer(error: ApiError) -> JSONResponse:
    """Return the problem of a refusal."""
    body = {**problem_of(error), **error.members}
    return JSONResponse(body, error.status, error.headers, media_type=MEDIA_TYPE)


def unavailable(request: Request, error: Exception) -> JSONResponse:
    """Answer where the database has no room or cannot be reached: the transaction was rolled back."""
    if "disk is full" in str(error) or "No space left" in str(error):
        return problem(507, DiskFull.slug, DiskFull.title, "the database's disk is full; nothing was kept")
    log.error("database.failed", method=request.method, path=request.url.path, error=str(error))
    told = "the database did not answer; nothing was changed, try again in a moment"
    return problem(503, "unavailable", "Not available now", told, headers={"Retry-After": "5"})


def problem_of(error: ApiError | FastMTLError) -> Json:
    """Return what an error is answered with, in the form of RFC 9457."""
    if isinstance(error, ApiError):
        return _body(error.status, error.slug, error.title, error.detail, error.errors)
    status, slug, title = next(row[1:] for row in STATUS if isinstance(error, row[0]))
    errors: list[Json] = []
    if isinstance(error, InvalidDataset):
        errors = [
            {"message": str(each), "field": each.field, "row": each.row, "line": each.line} for each in error.problems
        ]
    elif isinstance(error, InvalidConfig):
        errors = [{"message": str(error), "field": error.field}]
        if isinstance(error, UnknownName):
            errors[0]["known"] = list(error.known)
    return _body(status, slug, title, str(error), errors)


def _body(status: int, slug: str, title: str, detail: str, errors: Sequence[Json]) -> Json:
    """Return a problem whose texts are as short as the schema says, whatever a file was made to hold."""
    body: Json = {"type": f"urn:fastmtl:problem:{slug}", "title": title, "status": status}
    body["detail"] = cut(detail, MAX_DETAIL_CHARS)
    if errors:
        body["errors"] = [{**each, "message": cut(each["message"], MAX_MESSAGE_CHARS)} for each in errors]
    return body


async def _api_error(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, ApiError)
    return answer(error)


async def _domain_error(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, FastMTLError)
    told = problem_of(error)
    return JSONResponse(told, told["status"], media_type=MEDIA_TYPE)


async def _invalid_request(request: Request, error: Exception) -> JSONResponse:
    """Name the field as the client wrote it; for one that is not known, the near one."""
    assert isinstance(error, RequestValidationError)
    model = _model_of(request.scope["endpoint"])
    errors = [_describe(each, model) for each in error.errors()[:MAX_ERRORS]]
    told = f"{errors[0]['field']}: {errors[0]['message']}" + (f" (and {len(errors) - 1} more)" if errors[1:] else "")
    return problem(422, "invalid-request", "The request is not valid", told, errors)


async def _http_error(_request: Request, error: Exception) -> JSONResponse:
    """Answer what the framework refuses: unknown paths, methods, broken forms."""
    assert isinstance(error, HTTPException)
    slug = {404: "not-found", 405: "method-not-allowed"}.get(error.status_code, "bad-request")
    return problem(error.status_code, slug, error.detail, error.detail, headers=dict(error.headers or {}))


async def _disconnected(_request: Request, _error: Exception) -> JSONResponse:
    return problem(400, "broken-upload", "The upload is broken", "the body ended before it was complete")


async def _os_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, OSError)
    if error.errno in NO_ROOM:
        return problem(507, DiskFull.slug, DiskFull.title, "the disk is full; nothing was kept")
    if isinstance(error, StorageUnavailable):
        log.error("storage.failed", method=request.method, path=request.url.path, error=error.told)
        return problem(503, Busy.slug, Busy.title, f"{error.told}; try again in a moment", headers={"Retry-After": "5"})
    return await _unexpected(request, error)


async def _database_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, OperationalError)
    return unavailable(request, error)


async def _unexpected(request: Request, error: Exception) -> JSONResponse:
    """Log it with its trace; tell the client no more than that it happened."""
    log.error("request.failed", method=request.method, path=request.url.path, exc_info=error)
    return problem(
        500, "internal", "Something went wrong here", "this is our mistake; the service's log has the details"
    )


def _model_of(endpoint: Callable[..., object]) -> type[BaseModel]:
    """Return the model that an operation reads its body or its query into."""
    read = [hint for name, hint in get_type_hints(endpoint).items() if name != "return"]
    return next((each for each in read if isinstance(each, type) and issubclass(each, BaseModel)), BaseModel)


def _describe(error: Json, model: type[BaseModel]) -> Json:
    """Turn one of pydantic's errors into {field, message}."""
    where, *path = [str(part) for part in error["loc"]]
    field = ".".join(path) or where
    if error["type"] == "extra_forbidden":
        known = _fields_at(model, path[:-1])
        near = difflib.get_close_matches(path[-1], known, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        return {"field": field, "message": f"unknown field {path[-1]!r}{hint}", "known": known}
    message = str(error["msg"]).removeprefix("Value error, ")
    if error["type"] == "json_invalid":
        return {"field": "body", "message": f"not JSON: {error.get('ctx', {}).get('error', message)}"}
    return {"field": field, "message": message}


def _fields_at(model: type[BaseModel], path: Sequence[str]) -> list[str]:
    """Return the names of the fields of the section that `path` leads to."""
    for name in path:
        field = model.model_fields.get(name)
        kinds = [field.annotation, *get_args(field.annotation)] if field else []
        inner = next((kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel)), None)
        if inner is None:
            return []
        model = inner
    return sorted(model.model_fields)
