"""Pausing, resuming, retrying and deleting over HTTP."""

from __future__ import annotations

import uuid

import pytest
from service import Api

MOVES = ("cancel", "pause", "resume", "retry")


def ask(service: Api, job: dict, move: str) -> tuple[int, str]:
    """Ask for a move; return status, and how the job stands or what kind of problem there is."""
    answer = service.client.post(f"/v1/jobs/{job['id']}/{move}")
    body = answer.json()
    return answer.status_code, body.get("type") or body["status"]


CONFLICT = (409, "urn:fastmtl:problem:conflict")

# What a job says to each move, by how it stands.
RULES = {
    "queued": [(202, "cancelled"), (202, "paused"), (202, "queued"), CONFLICT],
    "running": [(202, "cancelled"), (202, "paused"), (202, "running"), CONFLICT],
    "paused": [(202, "cancelled"), (202, "paused"), (202, "queued"), CONFLICT],
    "failed": [CONFLICT, CONFLICT, CONFLICT, (202, "queued")],
    "cancelled": [(202, "cancelled"), CONFLICT, CONFLICT, (202, "queued")],
}


@pytest.mark.parametrize("status", RULES)
def test_a_job_answers_each_move_as_the_table_says(service: Api, status: str):
    # Jobs of one tenant share what they compute, so every job has rows of its own.
    answers = [ask(service, bring_to(service, status, rows), move) for rows, move in enumerate(MOVES, start=41)]
    assert answers == RULES[status]


def bring_to(service: Api, status: str, rows: int) -> dict:
    answer = service.client.post("/v1/jobs", json=service.request(rows=rows))
    job = answer.json()
    if status in ("running", "failed"):
        claim = service.claim(job, "discriminator")
    if status == "failed":
        service.jobs.fail(claim, {"type": "internal", "message": "broken"}, again=False)
    if status in ("paused", "cancelled"):
        ask(service, job, {"paused": "pause", "cancelled": "cancel"}[status])
    assert service.job(job)["status"] == status
    return job


def test_a_retried_job_goes_on_from_the_step_that_failed(service: Api):
    job = service.submit()
    service.finish(job, "discriminator")
    service.jobs.fail(service.claim(job, "score 1/1"), {"type": "internal", "message": "broken"}, again=False)
    ask(service, job, "retry")
    steps = {step["name"]: (step["status"], step["attempts"]) for step in service.job(job)["steps"]}
    assert (steps["discriminator"], steps["score 1/1"]) == (("succeeded", 1), ("queued", 0))


def test_a_job_shows_its_deadline_and_one_that_is_no_time_is_refused(service: Api):
    request = service.request()
    job = service.client.post("/v1/jobs", json={**request, "deadline_seconds": 3600}).json()
    refused = service.client.post("/v1/jobs", json={**request, "deadline_seconds": 0})
    assert job["deadline_at"] > job["created_at"]
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, "deadline_seconds")


def test_a_deleted_job_is_gone_with_its_files_and_the_receipt_counts_them(service: Api):
    job = service.submit()
    service.choose(job)
    service.client.post(f"/v1/jobs/{job['id']}/cancel")
    files = [path for path in (service.home / "storage" / "steps").rglob("*") if path.is_file()]
    size = sum(path.stat().st_size for path in files)

    receipt = service.client.delete(f"/v1/jobs/{job['id']}").json()

    assert (receipt["id"], receipt["files"], receipt["bytes"], receipt["shared_steps"]) == (
        job["id"],
        len(files),
        size,
        0,
    )
    assert [path for path in (service.home / "storage" / "steps").rglob("*") if path.is_file()] == []
    assert service.client.get(f"/v1/jobs/{job['id']}").status_code == 404
    assert service.client.delete(f"/v1/jobs/{job['id']}").status_code == 404


def test_a_job_that_is_not_over_is_not_deleted(service: Api):
    job = service.submit()
    answer = service.client.delete(f"/v1/jobs/{job['id']}")
    assert (answer.status_code, "cancel it first" in answer.json()["detail"]) == (409, True)


def test_what_a_deleted_job_shared_still_serves_the_other(service: Api):
    request = service.request()
    one, other = (service.client.post("/v1/jobs", json=request).json() for _ in range(2))
    service.choose(one)
    for job in (one, other):
        service.client.post(f"/v1/jobs/{job['id']}/cancel")
    receipt = service.client.delete(f"/v1/jobs/{one['id']}").json()
    assert (receipt["steps"], receipt["shared_steps"]) == (0, len(one["steps"]))
    assert len(service.client.get(f"/v1/jobs/{other['id']}/selection").json()["rows"]) == 5


def test_a_dataset_is_deleted_once_no_job_has_it(service: Api):
    job = service.submit()
    dataset = job["datasets"][0]
    kept = service.client.delete(f"/v1/datasets/{dataset['id']}")
    service.client.post(f"/v1/jobs/{job['id']}/cancel")
    service.client.delete(f"/v1/jobs/{job['id']}")
    receipt = service.client.delete(f"/v1/datasets/{dataset['id']}")
    assert (kept.status_code, job["id"] in kept.json()["detail"]) == (409, True)
    assert (receipt.status_code, receipt.json()["rows"], receipt.json()["bytes"] > 0) == (200, 40, True)
    assert not (service.home / "storage" / "datasets" / dataset["id"]).exists()
    assert service.client.get(f"/v1/datasets/{dataset['id']}").status_code == 404


def test_there_is_nothing_to_do_with_an_unknown_job(service: Api):
    paths = [f"/v1/jobs/{uuid.uuid4()}/{move}" for move in MOVES]
    assert [service.client.post(path).status_code for path in paths] == [404] * len(MOVES)
