"""Estimates over HTTP: before anything was measured, from a calibration, and set against what a job took."""

from __future__ import annotations

import pytest
from lives import NOON
from service import Api

from app.keys import Scope
from app.measurements import CALIBRATION, Seen, add, encoder_digest
from fastmtl.encoders import KNOWN
from fastmtl.size import size_at
from fastmtl.workload import Work, features

PACKAGED = KNOWN["all-MiniLM-L6-v2"]
SIZE = size_at(PACKAGED)
GPU = "a GPU, bf16"
START, STEP, ARITHMETIC = 4.0, 1.0, 0.002
SMALL = {
    "discriminator": {"rows_per_task": 20, "epochs": 2, "batch_size": 8},
    "target": {"epochs": 2, "batch_size": 8},
    "finetuning": {"epochs": 2, "batch_size": 8},
}


def calibrate(service: Api) -> None:
    """Write what a worker measures at its start on a machine that always takes the same for the same."""
    works = [Work(), Work(steps=4, trained_tokens=4096, padded_tokens=4096), Work(scored_tokens=4096)]
    with_torch = [
        Seen(GPU, CALIBRATION, encoder_digest(PACKAGED), work, SIZE, int(work == Work()), 1.0, 2**30, 4, "auto", 0.2)
        for work in works
    ]
    costs = [START, STEP, ARITHMETIC]
    measured = [
        Seen(
            **{
                **vars(each),
                "seconds": sum(a * b for a, b in zip(features("", each.work, SIZE, each.starts), costs, strict=True)),
            }
        )
        for each in with_torch
    ]
    plain = [
        Seen("a CPU", CALIBRATION, "", Work(), None, 1, 0.5, 2**27),
        Seen("a CPU", CALIBRATION, "", Work(read=200_000), None, 0, 0.5, 2**27),
    ]
    with service.parts.database.transaction() as session:
        add(session, [*measured, *plain], NOON)


def estimate(service: Api, body: dict) -> dict:
    answer = service.client.post("/v1/jobs/estimate", json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


def measured(device: str, seconds: float, size: bool = True) -> dict:
    """What a step's process says of itself."""
    told = {
        "device": device,
        "precision": "auto" if size else None,
        "groups": 4,
        "seconds": seconds,
        "peak_bytes": 2**30,
    }
    return {"measured": {**told, "size": SIZE._asdict() if SIZE and size else None}}


def test_before_anything_was_measured_there_are_rows_and_tokens_and_no_seconds(service: Api):
    found = estimate(service, service.request(**SMALL))
    assert {key: found[key] for key in ("basis", "seconds", "elapsed_seconds", "peak_bytes", "device", "workers")} == {
        **{"basis": "none", "seconds": None, "elapsed_seconds": None},
        **{"peak_bytes": None, "device": None, "workers": 1},
    }
    # 40 rows, 32 of them to train: discriminator 2·2·20, two targets 2·(32 + 5) or as many steps, two finetunings 2·29
    assert found["rows_to_train"]["expected"] == pytest.approx(80 + 2 * 74 + 2 * 58, rel=0.15)
    # discriminator 2·2·3; targets 2·(4 + 1) each; finetunings 2·4 each
    assert found["optimiser_steps"] == {"expected": 48, "low": 48, "high": 48}
    assert found["tokens_basis"] == "assumed"
    assert 0 < found["tokens"]["low"] < found["tokens"]["expected"] < found["tokens"]["high"]


def test_an_estimate_writes_nothing(service: Api):
    body = service.request(**SMALL)
    before = service.traces()
    estimate(service, body)
    assert service.traces() == before


def test_it_refuses_what_a_submission_refuses(service: Api):
    body = service.request(budget=41)
    answers = [service.client.post(path, json=body) for path in ("/v1/jobs/estimate", "/v1/jobs")]
    assert [answer.status_code for answer in answers] == [422, 422]
    assert answers[0].json() == answers[1].json()


def test_a_calibration_is_enough_for_seconds_with_a_band(service: Api):
    calibrate(service)
    found = estimate(service, service.request(**SMALL))
    assert (found["basis"], found["device"], found["tokens_basis"], found["coverage"]) == (
        "related",
        GPU,
        "measured",
        0.9,
    )
    assert found["seconds"]["low"] < found["seconds"]["expected"] < found["seconds"]["high"]
    assert found["seconds"]["expected"] > 7 * START  # steps with torch
    assert found["elapsed_seconds"]["expected"] == pytest.approx(found["seconds"]["expected"], abs=0.1)  # one worker
    assert found["measurements"]["target"] == 3
    assert [step["name"] for step in found["steps"]][:2] == ["discriminator", "score 1/1"]
    assert sum(step["seconds"]["expected"] for step in found["steps"]) == pytest.approx(
        found["seconds"]["expected"], abs=0.1
    )


def test_steps_that_are_done_already_take_nothing(service: Api):
    calibrate(service)
    body = service.request(**SMALL)
    fresh = estimate(service, body)
    job = service.client.post("/v1/jobs", json=body).json()
    service.finish(job, "discriminator")
    found = estimate(service, body)
    assert found["reused"] == ["discriminator"]
    assert {key: found["steps"][0][key] for key in ("reused", "basis", "measurements")} == {
        **{"reused": True, "basis": "reused"},
        **{"measurements": 0},
    }
    assert found["steps"][0]["seconds"]["expected"] == found["steps"][0]["tokens"]["expected"] == 0
    saved = fresh["seconds"]["expected"] - found["seconds"]["expected"]
    assert saved == pytest.approx(fresh["steps"][0]["seconds"]["expected"], abs=0.1)


def test_steps_that_another_tenant_has_done_are_still_to_do(service: Api):
    calibrate(service)
    body = service.request(**SMALL)
    job = service.client.post("/v1/jobs", json=body).json()
    service.finish(job, "discriminator")
    bob = service.parts.keys.tenant("bob", make=True)
    key = service.parts.keys.create(bob.id, "bob's", Scope.WRITE).text
    service.client.headers["Authorization"] = f"Bearer {key}"
    found = estimate(service, service.request(**SMALL))  # the same texts
    assert (found["reused"], found["tokens_basis"]) == ([], "measured")


def test_a_step_that_was_measured_tells_of_the_next_like_it(service: Api):
    calibrate(service)
    body = service.request(**SMALL)
    job = service.client.post("/v1/jobs", json=body).json()
    digests = [service.client.get(f"/v1/datasets/{each['id']}").json()["digest"] for each in job["datasets"]]
    read = {"encoder": PACKAGED, "max_length": 128, "texts": {digest: [20, 120] for digest in digests}}
    service.finish(job, "discriminator", result={**measured(GPU, 500.0), "read": read})
    again = estimate(service, {**body, "config": {**body["config"], "seed": 7}})  # another draw: not done yet
    step = again["steps"][0]
    assert (step["basis"], step["measurements"], again["tokens_basis"]) == ("measured", 1, "counted")
    assert step["seconds"]["expected"] == pytest.approx(500, rel=0.2)
    assert step["tokens"]["expected"] == pytest.approx(2 * 2 * 120, rel=0.02)  # 2 epochs, 2 tasks, 120 tokens each


def test_two_workers_are_done_sooner_but_not_twice_as_soon(service: Api):
    calibrate(service)
    body = service.request(**SMALL)
    alone = estimate(service, body)
    workers = service.parts.settings.home / "workers"
    workers.mkdir()
    for name in ("ada", "bob"):
        (workers / name).touch()
    both = estimate(service, body)
    assert (both["workers"], both["seconds"]) == (2, alone["seconds"])
    one, two = (each["elapsed_seconds"]["expected"] for each in (alone, both))
    assert one / 2 < two < one


def test_a_job_shows_what_was_foretold_and_when_it_is_over_what_it_took(service: Api):
    assert service.submit(**SMALL)["estimate"] is None
    calibrate(service)
    body = service.request(rows=41, **SMALL)
    foretold = estimate(service, body)
    job = service.client.post("/v1/jobs", json=body).json()
    assert job["estimate"] == {
        "seconds": foretold["seconds"]["expected"],
        "seconds_low": foretold["seconds"]["low"],
        "seconds_high": foretold["seconds"]["high"],
        "elapsed_seconds": foretold["elapsed_seconds"]["expected"],
        "peak_bytes": foretold["peak_bytes"]["expected"],
        "basis": "related",
        "actual_seconds": None,
        "ratio": None,
    }
    service.choose(job)
    service.explain(job)
    for name in ("target (selection)", "finetune (selection)", "target (primary_only)", "finetune (primary_only)"):
        service.finish(job, name)
    service.finish(job, "report")
    over = service.job(job)
    actual = sum(step["seconds"] for step in over["steps"])
    assert over["status"] == "succeeded"
    assert over["estimate"]["actual_seconds"] == pytest.approx(actual, abs=0.01)
    assert over["estimate"]["ratio"] == pytest.approx(actual / foretold["seconds"]["expected"], abs=0.001)


def test_a_cancelled_job_shows_no_ratio(service: Api):
    calibrate(service)
    job = service.submit(**SMALL)
    service.end(job)
    over = service.job(job)["estimate"]
    assert (over["actual_seconds"], over["ratio"]) == (0, None)
