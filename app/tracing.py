"""OpenTelemetry traces from a request through the queue to the steps that it rang; off unless configured.

When off, spans are made by the API's own provider of nothing, and neither SDK nor exporter is imported: they come with
the extra `tracing`. The W3C traceparent travels in the headers of the message that rings a step, and the step's span is
a child of the span that rang it: the request's, or that of the step before it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from importlib import import_module

from opentelemetry.context import Context
from opentelemetry.trace import NoOpTracerProvider, Span, SpanKind, Status, StatusCode, TracerProvider
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from app.probe import Probe
from app.settings import Settings

CLOSE_SECONDS = 2.0
PARENT = TraceContextTextMapPropagator()


class TracingNotInstalled(Exception):
    """Traces are asked for, and the packages that write them are not there."""


class Tracing:
    """Makes spans and carries them on."""

    def __init__(self, provider: TracerProvider | None = None, send_all: Callable[[], None] | None = None) -> None:
        self.provider = provider
        """None when off."""
        self._send_all = send_all
        self._tracer = (provider or NoOpTracerProvider()).get_tracer("fastmtl")

    def carry(self) -> dict[str, str]:
        """Return the headers that make what a message sets off a part of the present trace; none outside of one."""
        headers: dict[str, str] = {}
        if self.provider is not None:
            PARENT.inject(headers)
        return headers

    @contextmanager
    def message(self, name: str, headers: Mapping[str, str], **attributes: object) -> Iterator[Span]:
        """Span the work that a message set off; a child of what sent it, where the headers tell."""
        with self._spanning(name, SpanKind.CONSUMER, attributes, PARENT.extract(headers, Context())) as span:
            yield span

    @contextmanager
    def part(self, name: str, **attributes: object) -> Iterator[Span]:
        """Span a part of the present work."""
        with self._spanning(name, SpanKind.INTERNAL, attributes, None) as span:
            yield span

    def close(self) -> None:
        """Send what is left, unless that takes long: a collector that is away must not keep a process from ending."""
        if self._send_all is not None:
            with suppress(TimeoutError):
                Probe(self._send_all, "send-spans").ask(CLOSE_SECONDS)

    @contextmanager
    def _spanning(
        self, name: str, kind: SpanKind, attributes: Mapping[str, object], context: Context | None
    ) -> Iterator[Span]:
        known = {f"fastmtl.{key}": value for key, value in attributes.items() if isinstance(value, str | int | float)}
        # An error's message can hold what users wrote: it is marked, and told in the log.
        with self._tracer.start_as_current_span(
            name, context, kind, known, record_exception=False, set_status_on_exception=False
        ) as span:
            try:
                yield span
            except BaseException:
                span.set_status(Status(StatusCode.ERROR))
                raise


def start_tracing(settings: Settings, service: str) -> Tracing:
    """Return what traces as the settings say. Raises TracingNotInstalled."""
    if not settings.traced:
        return Tracing()
    try:
        exporting = import_module("app.exporting")  # by name, for the packages that it needs are an extra
    except ModuleNotFoundError as error:
        raise TracingNotInstalled(
            f"traces are asked for (FASTMTL_TRACING or OTEL_EXPORTER_OTLP_ENDPOINT), and {error.name} is not "
            "installed: pip install 'fastmtl[tracing]', or set FASTMTL_TRACING=off"
        ) from error
    provider = exporting.provider(service)
    return Tracing(provider, provider.shutdown)


def describe(span: Span, failed: bool, **attributes: object) -> None:
    """Write down how the work of a span ended."""
    for name, value in attributes.items():
        if isinstance(value, str | int | float):
            span.set_attribute(f"fastmtl.{name}", value)
    if failed:
        span.set_status(Status(StatusCode.ERROR))
