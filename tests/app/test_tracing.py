"""Traces: off unless configured, and then what sets off and what is set off are one trace."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from lives import Bell
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode
from structlog.contextvars import bound_contextvars

from app import exporting
from app.main import create_app
from app.settings import Settings
from app.tracing import Tracing, TracingNotInstalled, describe, start_tracing

ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
OFF = """
import sys
from pathlib import Path
from app.main import create_app
from app.settings import Settings
from worker.tasks import Worker
settings = Settings(home=Path(sys.argv[1]))
create_app(settings), Worker(settings)
print(*sorted({".".join(name.split(".")[:2]) for name in sys.modules if name.startswith("opentelemetry.")}))
"""
PACKAGES = {"exporter", "proto", "instrumentation"}
"""Without the SDK: the client of Redis imports that by itself wherever it is installed."""


@pytest.fixture
def exporter() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture
def tracing(exporter: InMemorySpanExporter):
    provider = exporting.provider("test", exporter)
    yield Tracing(provider)
    provider.shutdown()


def finished(tracing: Tracing, exporter: InMemorySpanExporter) -> dict:
    tracing.provider.force_flush()
    return {span.name: span for span in exporter.get_finished_spans()}


@pytest.mark.parametrize(
    ("told", "variables", "traced"),
    [
        ("auto", {}, False),
        ("auto", {ENDPOINT: "http://127.0.0.1:4318"}, True),
        ("auto", {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:4318/v1/traces"}, True),
        ("auto", {ENDPOINT: "http://127.0.0.1:4318", "OTEL_SDK_DISABLED": "true"}, False),
        ("on", {}, True),
        ("off", {ENDPOINT: "http://127.0.0.1:4318"}, False),
    ],
)
def test_it_is_on_where_the_settings_or_the_standard_variables_say_so(monkeypatch, told, variables, traced):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert Settings(tracing=told).traced is traced


def test_when_off_nothing_of_it_is_imported_but_the_interface_that_fastapi_brings(tmp_path):
    run = subprocess.run(
        [sys.executable, "-c", OFF, str(tmp_path)], capture_output=True, text=True, cwd=Path(__file__).parents[2]
    )
    assert (run.returncode, run.stderr) == (0, "")
    assert {f"opentelemetry.{name}" for name in PACKAGES} & set(run.stdout.split()) == set()


def test_when_off_nothing_is_carried_and_spans_are_nothing():
    tracing = start_tracing(Settings(), "api")
    with tracing.message("step score", {}) as span:
        assert (tracing.provider, tracing.carry(), span.is_recording()) == (None, {}, False)


def test_without_the_packages_it_says_which_is_missing_and_what_to_do(monkeypatch):
    monkeypatch.delitem(sys.modules, "app.exporting")
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.trace_exporter", None)
    with pytest.raises(TracingNotInstalled, match=r"trace_exporter is not installed: pip install 'fastmtl\[tracing\]'"):
        start_tracing(Settings(tracing="on"), "api")


def test_what_is_carried_makes_the_work_a_child_of_what_set_it_off(tracing, exporter):
    with tracing.part("request"):
        headers = tracing.carry()
    with tracing.message("step", headers, kind="score", attempt=2), tracing.part("process"):
        pass
    spans = finished(tracing, exporter)
    assert sorted(headers) == ["traceparent"]
    assert spans["step"].parent.span_id == spans["request"].context.span_id
    assert spans["process"].parent.span_id == spans["step"].context.span_id
    assert len({span.context.trace_id for span in spans.values()}) == 1
    assert dict(spans["step"].attributes) == {"fastmtl.kind": "score", "fastmtl.attempt": 2}


def test_a_request_is_a_span_and_asking_whether_it_is_alive_is_none(tracing, exporter, tmp_path):
    settings = Settings(home=tmp_path)
    with TestClient(create_app(settings, Bell(), tracing)) as client:
        client.headers["Authorization"] = f"Bearer {settings.first_key.read_text().strip()}"
        for path in ("/v1/health", "/v1/ready", "/v1/options"):
            client.get(path, headers={"X-Request-Id": "mine"})
    (span,) = finished(tracing, exporter).values()
    assert (span.name, span.attributes["fastmtl.request_id"]) == ("GET /v1/options", "mine")


@pytest.mark.parametrize("headers", [{}, {"traceparent": "nonsense"}])
def test_work_that_nobody_is_known_to_have_set_off_begins_a_trace(tracing, exporter, headers):
    with tracing.part("something else"), tracing.message("step", headers):
        pass
    assert finished(tracing, exporter)["step"].parent is None


def test_a_span_names_the_request_that_it_belongs_to(tracing, exporter):
    with bound_contextvars(request_id="mine"), tracing.part("process"):
        pass
    assert finished(tracing, exporter)["process"].attributes["fastmtl.request_id"] == "mine"


@pytest.mark.parametrize(("failed", "status"), [(True, StatusCode.ERROR), (False, StatusCode.UNSET)])
def test_how_it_ended_stands_on_the_span_and_what_is_not_known_does_not(tracing, exporter, failed, status):
    with tracing.message("step", {}) as span:
        describe(span, failed, outcome="done", rows_per_second=None)
    ended = finished(tracing, exporter)["step"]
    assert (dict(ended.attributes), ended.status.status_code) == ({"fastmtl.outcome": "done"}, status)


def test_an_error_is_marked_without_its_message_or_trace(tracing, exporter):
    with pytest.raises(ValueError, match="row"), tracing.message("step", {}):
        raise ValueError("a user's row")
    ended = finished(tracing, exporter)["step"]
    assert (ended.status.status_code, ended.events) == (StatusCode.ERROR, ())
    assert "a user's row" not in str(ended.to_json())


@pytest.mark.parametrize(("variable", "name"), [(None, "fastmtl-worker"), ("mine", "mine")])
def test_the_service_is_named_unless_the_operator_names_it(monkeypatch, exporter, variable, name):
    if variable:
        monkeypatch.setenv("OTEL_SERVICE_NAME", variable)
    provider = exporting.provider("worker", exporter)
    provider.shutdown()
    assert provider.resource.attributes["service.name"] == name
