"""The API, put together."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.telemetry import TelemetryConfig
from starlette.concurrency import run_in_threadpool
from starlette.types import Receive, Scope, Send

from app import problems
from app.auth import Door
from app.jobs import Bell
from app.links import add_links
from app.metrics import RequestMetrics, process_registry, served
from app.queue import Queue
from app.requests_log import SIGNS_OF_LIFE, RequestLog
from app.routes import (
    artifacts,
    control,
    datasets,
    estimate,
    events,
    jobs,
    keys,
    looks,
    page,
    service,
    uploads,
    webhooks,
)
from app.schemas import Problem
from app.settings import Settings
from app.standing import Standing
from app.state import assemble
from app.tracing import Tracing, start_tracing

DESCRIPTION = (
    "Which rows of other data sets should I train on? Upload a primary task with few labelled rows and larger "
    "auxiliary ones, submit a selection job, watch it, and download the chosen rows, the fine-tuned model and an "
    "account of whether it helped. Errors are application/problem+json (RFC 9457)."
)


class Service(FastAPI):
    """The application, with a log line and the measures of every request around all of it."""

    def __init__(self, metrics: RequestMetrics, **options: Any) -> None:  # noqa: ANN401 - FastAPI's own
        super().__init__(**options)
        self._log = RequestLog(super().__call__, metrics)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer."""
        await self._log(scope, receive, send)


def create_app(settings: Settings, bell: Bell | None = None, tracing: Tracing | None = None) -> FastAPI:
    """Return the application; in tests `bell` stands in for the queue, and `tracing` for what the settings say."""
    traces = tracing or start_tracing(settings, "api")
    registry = process_registry()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        settings.home.mkdir(parents=True, exist_ok=True)
        parts = await run_in_threadpool(assemble, settings, bell or Queue(settings, traces.carry))
        app.state.parts = parts
        registry.register(Standing(parts.database, settings))
        with served(registry, settings) as app.state.metrics_port:
            async with parts.uploads.tended():
                yield
                parts.streams.close()
        await run_in_threadpool(traces.close)
        parts.readiness.close()
        parts.database.close()

    app = Service(
        RequestMetrics(registry),
        title="FastMTL",
        version="0.1.0",
        description=DESCRIPTION,
        lifespan=lifespan,
        telemetry=_telemetry(traces),
        docs_url=None,  # ours is app.routes.page's
        redoc_url=None,
    )
    problems.install(app)
    for each in (datasets, uploads, estimate, jobs, control, events, looks, artifacts, webhooks, keys, service, page):
        app.include_router(each.router)
    app.add_middleware(Door)
    app.add_middleware(uploads.Tus)  # around the door: it says which method is meant
    app.openapi = lambda: _openapi(app)  # type: ignore[method-assign]
    return app


def _telemetry(traces: Tracing) -> TelemetryConfig:
    """Return FastAPI's settings of its own spans: only ours go out, and none of what asks whether it is alive."""
    return {
        "tracing": traces.provider is not None,
        "tracer_provider": traces.provider,
        "operation_spans": False,
        "metrics": False,
        "logs": False,  # they would take messages and traces of errors along
        "auto_configure": False,
        "exclude": lambda scope: scope["path"] in SIGNS_OF_LIFE,
    }


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
    add_links(schema)
    app.openapi_schema = schema
    return schema
