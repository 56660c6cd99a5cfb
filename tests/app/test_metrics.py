"""The port for Prometheus: there where it is set, gone afterwards, and what it says can be parsed."""

from __future__ import annotations

import socket
import urllib.error
import urllib.request

import pytest
from prometheus_client import CollectorRegistry, Counter
from prometheus_client.parser import text_string_to_metric_families
from service import api
from structlog.testing import capture_logs

from app.metrics import PortNotToBeHad, RequestMetrics, process_registry, served
from app.settings import Settings


def ask(port: int) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=30) as answer:
        return answer.read().decode()


def test_without_a_port_nothing_is_served():
    with served(CollectorRegistry(), Settings()) as port:
        assert port is None


def test_a_free_port_is_taken_and_logged_and_given_back():
    registry = CollectorRegistry()
    Counter("things", "Things.", registry=registry).inc(3)
    with capture_logs() as lines, served(registry, Settings(metrics_port=0)) as port:
        assert ask(port).splitlines() == [
            "# HELP things_total Things.",
            "# TYPE things_total counter",
            "things_total 3.0",
        ]
    assert lines == [{"event": "metrics.served", "log_level": "info", "host": "127.0.0.1", "port": port}]
    with pytest.raises(urllib.error.URLError):
        ask(port)


def test_a_port_that_is_taken_is_told_with_what_to_do():
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = other.getsockname()[1]
        with pytest.raises(PortNotToBeHad, match=f"port {taken} .*a FASTMTL_METRICS_PORT of its own, or 0"):
            with served(CollectorRegistry(), Settings(metrics_port=taken)):
                pass


def test_the_process_itself_is_measured():
    registry = process_registry()
    RequestMetrics(registry)
    names = {family.name for family in registry.collect()}
    assert {"process_resident_memory_bytes", "fastmtl_request_seconds"} <= names


def test_the_service_serves_what_can_be_parsed_and_stops_with_it(tmp_path):
    with api(tmp_path / "home", metrics_port=0) as client:
        client.get("/v1/health")
        port = client.app.state.metrics_port
        families = {family.name: family for family in text_string_to_metric_families(ask(port))}
    assert {family.type for family in families.values()} == {"counter", "gauge", "histogram"}
    assert all(family.documentation for family in families.values())
    assert families["fastmtl_database_up"].samples[0].value == 1
    with pytest.raises(urllib.error.URLError):
        ask(port)
