"""Where spans go: to an OTLP collector, over HTTP, as OpenTelemetry's standard environment variables say.

The only module that needs the packages of the extra `tracing`; `app.tracing` loads it where traces are asked for.
"""

from __future__ import annotations

import os

import structlog
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter


class NamesRequest(SpanProcessor):
    """Writes the request's id on every span, so that from a log line its trace is found."""

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Note the id, where there is one."""
        request_id = structlog.contextvars.get_contextvars().get("request_id")
        if request_id:
            span.set_attribute("fastmtl.request_id", request_id)

    def on_end(self, span: ReadableSpan) -> None:
        """Do nothing."""


def provider(service: str, exporter: SpanExporter | None = None) -> TracerProvider:
    """Return what makes and sends spans; `service` is its name unless OTEL_SERVICE_NAME says another."""
    name = {} if os.environ.get("OTEL_SERVICE_NAME") else {SERVICE_NAME: f"fastmtl-{service}"}
    # `Tracing.close` ends it, with a bound on the wait that its own handler at exit does not have.
    made = TracerProvider(resource=Resource.create(name), shutdown_on_exit=False)
    made.add_span_processor(NamesRequest())
    made.add_span_processor(BatchSpanProcessor(exporter or OTLPSpanExporter()))
    return made
