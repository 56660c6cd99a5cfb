"""What is shown is sent once while nothing but time has changed; what is sent as JSON is not larger than it may be."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from service import CSV, Api, api


def test_a_job_is_sent_again_when_it_moves_and_not_when_time_does(service: Api):
    job = service.submit(compare=[])
    claim = service.claim(job, "discriminator")
    url = f"/v1/jobs/{job['id']}"
    first = service.client.get(url)
    told = [first.headers[name] for name in ("Cache-Control", "Vary")]
    assert (told, first.headers["ETag"][:3]) == (["private, no-cache", "Authorization"], 'W/"')
    time.sleep(0.01)
    same = service.client.get(url, headers={"If-None-Match": first.headers["ETag"]})
    assert (same.status_code, same.content, same.headers["ETag"]) == (304, b"", first.headers["ETag"])
    assert same.headers["Cache-Control"] == "private, no-cache"
    assert service.client.get(url).json()["steps"][0]["seconds"] > first.json()["steps"][0]["seconds"]
    progress = {"done": 1, "total": 2, "unit": "rows", "message": "", "per_second": 1, "seconds_left": 1}
    assert service.jobs.beat(claim, progress)
    assert service.client.get(url, headers={"If-None-Match": first.headers["ETag"]}).status_code == 200


@pytest.mark.parametrize("path", ["datasets/{dataset}", "datasets", "jobs", "jobs/{job}/artifacts"])
def test_so_is_every_other_thing_that_is_shown(service: Api, path: str):
    job = service.submit()
    url = "/v1/" + path.format(job=job["id"], dataset=job["datasets"][0]["id"])
    etag = service.client.get(url).headers["ETag"]
    assert service.client.get(url, headers={"If-None-Match": f'"x", {etag}'}).status_code == 304


def test_a_refusal_has_no_etag(service: Api):
    answer = service.client.get("/v1/jobs/6f0e2f6c-3b0a-4c58-9a55-0f3d1b2c4d5e", headers={"If-None-Match": "*"})
    assert (answer.status_code, "ETag" in answer.headers) == (404, False)


LIMIT = 1000
JSON = {"Content-Type": "application/json"}


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Api]:
    """A service that takes little JSON."""
    with api(tmp_path / "home", max_json_bytes=LIMIT) as client:
        yield Api(client, tmp_path / "home")


@pytest.mark.parametrize("named", [{}, {"Idempotency-Key": "a"}])
@pytest.mark.parametrize("path", ["/v1/jobs", "/v1/jobs/estimate", "/v1/keys"])
def test_json_that_is_too_large_is_a_problem_whether_it_was_declared_or_not(
    small: Api, path: str, named: dict[str, str]
):
    def unread() -> Iterator[bytes]:
        raise AssertionError("a piece of the body was asked for")
        yield b""

    said = {**JSON, **named}
    declared = small.client.post(path, content=unread(), headers={**said, "Content-Length": str(LIMIT + 1)})
    streamed = small.client.post(path, content=iter([b" " * LIMIT, b"1"]), headers=said)
    told = "a body of JSON may have 1,000 bytes at most (FASTMTL_MAX_JSON_BYTES)"
    for answer in (declared, streamed):
        assert (answer.status_code, answer.headers["Content-Type"]) == (413, "application/problem+json")
        assert (answer.json()["type"], answer.json()["detail"]) == ("urn:fastmtl:problem:body-too-large", told)


@pytest.mark.parametrize("named", [{}, {"Idempotency-Key": "a"}])
def test_json_of_just_the_limit_is_taken_whole_or_in_pieces(small: Api, named: dict[str, str]):
    body = json.dumps({"name": "nightly", "scope": "read"}).ljust(LIMIT).encode()
    whole = small.client.post("/v1/keys", content=body, headers={**JSON, **named})
    pieces = small.client.post("/v1/keys", content=iter([body[:10], body[10:]]), headers=JSON)
    assert (whole.status_code, pieces.status_code) == (201, 201)


def test_the_limit_of_json_is_none_for_uploads(small: Api):
    table = CSV + "a fish swims,no\n" * 100
    said = {
        "Tus-Resumable": "1.0.0",
        "Upload-Length": str(len(table)),
        "Content-Type": "application/offset+octet-stream",
    }
    assert len(table) > LIMIT and small.upload(table)["rows"] == 103
    assert small.client.post("/v1/datasets", files={"file": ("a.csv", table)}).status_code == 201
    assert "FastMTL-Dataset" in small.client.post("/v1/uploads", content=table, headers=said).headers


def test_every_operation_that_takes_json_says_that_it_may_be_too_large(service: Api):
    paths = service.client.get("/openapi.json").json()["paths"]
    taking = {
        each["operationId"]: "413" in each["responses"]
        for operations in paths.values()
        for each in operations.values()
        if "application/json" in each.get("requestBody", {}).get("content", {})
    }
    assert len(taking) >= 4 and all(taking.values()), taking


def test_every_get_of_json_says_so_in_the_schema(service: Api):
    """A new router must take ServiceRoute as its route_class."""
    open_to_all = ("/v1/health", "/v1/ready", "/v1/options")
    for path, operations in service.client.get("/openapi.json").json()["paths"].items():
        answers = operations.get("get", {}).get("responses", {})
        only_json = set(answers.get("200", {}).get("content", {})) == {"application/json"}
        assert not only_json or path in open_to_all or "304" in answers, path
