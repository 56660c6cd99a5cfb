"""The API, put together."""

from __future__ import annotations

import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import structlog
from fastapi import FastAPI, Request, Response
from fastapi.openapi.utils import get_openapi
from starlette.concurrency import run_in_threadpool

from app import errors
from app.auth import Door
from app.jobs import Bell
from app.queue import Queue
from app.routes import artifacts, control, datasets, estimate, events, jobs, keys, service, uploads, webhooks
from app.schemas import Problem
from app.settings import Settings
from app.state import assemble

log = structlog.get_logger()

DESCRIPTION = (
    "Which rows of other data sets should I train on? Upload a primary task with few labelled rows and larger "
    "auxiliary ones, submit a selection job, watch it, and download the chosen rows, the fine-tuned model and an "
    "account of whether it helped. Errors are application/problem+json (RFC 9457)."
)
REQUEST_ID = "X-Request-Id"


def create_app(settings: Settings, bell: Bell | None = None) -> FastAPI:
    """Return the application; `bell` stands in for the queue in tests."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        settings.home.mkdir(parents=True, exist_ok=True)
        parts = await run_in_threadpool(assemble, settings, bell or Queue(settings))
        app.state.parts = parts
        async with parts.uploads.tended():
            yield
            parts.streams.close()
        parts.database.close()

    app = FastAPI(title="FastMTL", version="0.1.0", description=DESCRIPTION, lifespan=lifespan)
    errors.install(app)
    for each in (datasets, uploads, estimate, jobs, control, events, artifacts, webhooks, keys, service):
        app.include_router(each.router)
    app.add_middleware(Door)
    app.add_middleware(uploads.Tus)  # around the door: it says which method is meant
    app.middleware("http")(_log_request)
    app.openapi = lambda: _openapi(app)  # type: ignore[method-assign]
    return app


async def _log_request(request: Request, answer: Callable[[Request], Awaitable[Response]]) -> Response:
    """Log one line a request, under an id that the client is told too."""
    request_id = request.headers.get(REQUEST_ID, "")[:100] or str(uuid.uuid4())
    began = time.monotonic()
    response = await answer(request)
    log.info(
        "request",
        request_id=request_id,
        method=request.method,
        path=request.url.path,
        status=response.status_code,
        milliseconds=round(1000 * (time.monotonic() - began), 1),
    )
    response.headers[REQUEST_ID] = request_id
    return response


def _openapi(app: FastAPI) -> dict[str, object]:
    """Return the schema, with our problem in the place of the framework's validation error."""
    if app.openapi_schema:
        return app.openapi_schema
    schema = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
    parts = schema["components"]["schemas"]
    for name in ("HTTPValidationError", "ValidationError"):
        parts.pop(name, None)
    problem = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
    parts |= problem.pop("$defs", {})
    parts[Problem.__name__] = problem
    app.openapi_schema = schema
    return schema
