"""What is shown is sent once while nothing but time has changed."""

from __future__ import annotations

import time

import pytest
from service import Api


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


def test_every_get_of_json_says_so_in_the_schema(service: Api):
    """A new router must take ServiceRoute as its route_class."""
    open_to_all = ("/v1/health", "/v1/ready", "/v1/options")
    for path, operations in service.client.get("/openapi.json").json()["paths"].items():
        answers = operations.get("get", {}).get("responses", {})
        only_json = set(answers.get("200", {}).get("content", {})) == {"application/json"}
        assert not only_json or path in open_to_all or "304" in answers, path
