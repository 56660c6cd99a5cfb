"""The service's own signs of life, over HTTP."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from service import Api, api
from structlog.testing import capture_logs

from app.schemas_health import NotReady, Ready

THREADS = 40
"""That answer requests which wait: anyio's default."""


def test_health_says_that_the_process_answers(service: Api):
    answer = service.client.get("/v1/health", headers={"Authorization": ""})
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


def test_ready_says_how_each_part_is_without_a_key(service: Api):
    answer = service.client.get("/v1/ready", headers={"Authorization": ""})
    told = Ready.model_validate(answer.json())
    assert (answer.status_code, told.status, told.workers) == (200, "ok", 0)
    assert {name: check.detail for name, check in told.checks.items()} == dict.fromkeys(
        ("database", "storage", "broker"), "ok"
    )


def test_not_ready_is_a_problem_with_the_same_parts(tmp_path):
    with api(tmp_path / "home", min_free_bytes=2**60) as client:
        answer = client.get("/v1/ready")
    told = NotReady.model_validate(answer.json())
    assert (answer.status_code, answer.headers["content-type"]) == (503, "application/problem+json")
    assert (told.type, told.status) == ("urn:fastmtl:problem:not-ready", 503)
    assert told.detail == "storage: less room is left than the service wants to have (FASTMTL_MIN_FREE_BYTES)"
    assert {name: check.ok for name, check in told.checks.items()} == {
        "database": True,
        "storage": False,
        "broker": True,
    }


def test_the_schema_tells_of_both(service: Api):
    described = service.client.get("/openapi.json").json()
    responses = described["paths"]["/v1/ready"]["get"]["responses"]
    refused = responses["503"]["content"]["application/problem+json"]["schema"]
    assert sorted(responses) == ["200", "503"] and {"checks", "workers", "detail"} <= set(refused["required"])
    assert {"CheckOut", "ProblemError"} <= set(described["components"]["schemas"])


@pytest.mark.parametrize("path", ["/v1/health", "/v1/ready"])
def test_signs_of_life_are_answered_while_every_thread_is_held(service: Api, path: str):
    go_on, held = threading.Event(), threading.Semaphore(0)

    def hang() -> None:
        held.release()
        go_on.wait(30)

    service.client.app.add_api_route("/hang", hang)
    with ThreadPoolExecutor(THREADS) as pool:
        for _ in range(THREADS):
            pool.submit(service.client.get, "/hang")
        for _ in range(THREADS):
            assert held.acquire(timeout=30)
        answer = service.client.get(path)
        go_on.set()
    assert answer.status_code == 200


def test_an_unexpected_error_is_answered_and_logged_under_one_id(service: Api):
    def break_down() -> None:
        raise ZeroDivisionError

    service.client.app.add_api_route("/break", break_down)
    with capture_logs() as lines:
        answer = service.client.get("/break", headers={"X-Request-Id": "mine"})
    assert (answer.status_code, answer.headers["x-request-id"]) == (500, "mine")
    assert [line["event"] for line in lines] == ["request.failed", "request"]  # once, with its trace


def test_requests_are_measured_by_their_routes_template(tmp_path):
    with api(tmp_path / "home", metrics_port=0) as client:
        service = Api(client, tmp_path / "home")
        for path in ("/v1/jobs/1", "/v1/jobs/2", "/v1/nothing", "/v1/never", "/v1/datasets"):
            client.get(path)
        client.request("PROPFIND", "/v1/jobs")
        measured = service.scrape()
    counted = {
        (sample.labels["method"], sample.labels["route"], sample.labels["status"]): sample.value
        for family in measured
        for sample in family.samples
        if sample.name == "fastmtl_request_seconds_count"
    }
    assert counted == {
        ("GET", "/v1/jobs/{job_id}", "4xx"): 2,
        ("GET", "other", "4xx"): 2,
        ("GET", "/v1/datasets", "2xx"): 1,
        ("other", "/v1/jobs", "4xx"): 1,
    }
