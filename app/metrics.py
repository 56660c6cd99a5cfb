"""What Prometheus is told of the API's requests, and the port that it asks; docs/operating.md lists every metric.

A label's values are few and known: never an id, and never what a client wrote.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, start_http_server
from prometheus_client import disable_created_metrics as forget_when_series_began

from app.settings import Settings

log = structlog.get_logger()

REQUEST_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60, 600)
"""Seconds; the last ones are for uploads and downloads."""


class PortNotToBeHad(Exception):
    """The port for metrics cannot be listened on."""


class RequestMetrics:
    """Of the API's requests."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.seconds = Histogram(
            "fastmtl_request_seconds",
            "Seconds until the answer was sent; of an event stream until it began.",
            ["route", "method", "status"],
            buckets=REQUEST_BUCKETS,
            registry=registry,
        )
        self.in_progress = Gauge(
            "fastmtl_requests_in_progress", "Requests that are being answered, streams too.", registry=registry
        )
        self.uploaded = Counter(
            "fastmtl_received_bytes", "Bytes of requests' bodies, as they come in.", registry=registry
        )
        self.streams = Gauge("fastmtl_streams_open", "Event streams that somebody listens to.", registry=registry)
        self.left = Counter(
            "fastmtl_clients_left", "Requests, but for event streams, whose client left too early.", registry=registry
        )


def process_registry() -> CollectorRegistry:
    """Return a registry that holds the process's own memory, CPU time and open files."""
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    return registry


@contextmanager
def served(registry: CollectorRegistry, settings: Settings) -> Iterator[int | None]:
    """Serve the registry in a thread, at the port that is yielded; do nothing where no port is set.

    Raises PortNotToBeHad.
    """
    if settings.metrics_port is None:
        yield None
        return
    forget_when_series_began()  # type: ignore[no-untyped-call]
    try:
        server, thread = start_http_server(settings.metrics_port, settings.metrics_host, registry)
    except OSError as error:
        raise PortNotToBeHad(
            f"port {settings.metrics_port} of {settings.metrics_host} cannot be had for metrics ({error.strerror}): "
            "give every process a FASTMTL_METRICS_PORT of its own, or 0 for a free one"
        ) from error
    log.info("metrics.served", host=settings.metrics_host, port=server.server_port)
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
