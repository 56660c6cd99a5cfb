"""Jobs over HTTP: what is refused, how a job is shown while it runs, and what is downloaded of it."""

from __future__ import annotations

import csv
import io
import json
import tarfile

import pyarrow.parquet as pq
import pytest
from service import Api, many, selection

from fastmtl import methods, selectors

UNKNOWN = "6f0e2f6c-3b0a-4c58-9a55-0f3d1b2c4d5e"


def refused(service: Api, body: dict) -> tuple[int, str, str, str]:
    """Post a job; return status, slug, the first error's field and message; nothing may have changed."""
    before = service.traces()
    answer = service.client.post("/v1/jobs", json=body)
    assert service.traces() == before
    problem = answer.json()
    first = problem["errors"][0]
    return answer.status_code, problem["type"].rpartition(":")[2], first["field"], first["message"]


@pytest.mark.parametrize(
    ("config", "slug", "field", "message"),
    [
        (
            {"budget": 41},
            "budget-too-large",
            "config.budget",
            "a budget of 41 rows, but only 40 are eligible.",
        ),
        (
            {"seen_rows": "exclude", "budget": 11, "discriminator": {"rows_per_task": 30}},
            "budget-too-large",
            "config.budget",
            "a budget of 11 rows, but only 10 are eligible (30 rows that train the discriminator are not; "
            "seen_rows='include' or a smaller discriminator.rows_per_task makes them so).",
        ),
        (
            {"method": "discriminater"},
            "unknown-name",
            "config.method",
            "'discriminater' is not known here. Did you mean 'discriminator'? Known: bm25, classifier, discriminator, ",
        ),
        ({"selector": "best"}, "unknown-name", "config.selector", "'best' is not known here. Known: caps, "),
        ({"budgett": 3}, "invalid-request", "config.budgett", "unknown field 'budgett'; did you mean 'budget'?"),
        (
            {"discriminator": {"epoch": 3}},
            "invalid-request",
            "config.discriminator.epoch",
            "unknown field 'epoch'; did you mean 'epochs'?",
        ),
        ({"budget": 0}, "invalid-request", "config.budget", "Input should be greater than or equal to 1"),
        ({"preset": "tiny"}, "invalid-request", "config.preset", "Input should be 'paper' or 'small'"),
        ({"compare": ["random", "random"]}, "invalid-request", "config", "compare: an arm is named twice"),
        ({"compare": ["randon"]}, "unknown-name", "config.compare.0", "Did you mean 'random'?"),
        ({"method": "lm_loss"}, "invalid-config", "config.method", "not known to hold the head of one. Use an encoder"),
        ({"compare": ["primary_only", "lm_loss"]}, "invalid-config", "config.compare.1", "'lm_loss' cannot work with"),
        (
            {"options": {"embedding": {"nearest": 0}}},
            "invalid-config",
            "config.options.embedding.nearest",
            "greater than or equal to 1, found 0; embedding has the options: nearest",
        ),
        ({"options": {"nobody": {}}}, "unknown-name", "config.options.nobody", "'nobody' is not known here"),
        ({"leave_one_out": True}, "invalid-config", "config.leave_one_out", "at least two auxiliary datasets"),
    ],
)
def test_a_config_that_cannot_be_run_is_refused_by_field(
    service: Api, config: dict, slug: str, field: str, message: str
):
    status, found, place, told = refused(service, service.request(**config))
    assert (status, found, place) == (422, slug, field)
    assert message in told


def test_an_unknown_encoder_lists_the_known_ones(service: Api):
    status, slug, field, message = refused(service, service.request(encoder={"name": "bert-base-case"}))
    assert (status, slug, field) == (422, "unknown-name", "config.encoder.name")
    assert "Did you mean 'bert-base-cased'?" in message
    assert "all-MiniLM-L6-v2" in message


def test_datasets_that_do_not_fit_are_refused_by_field(service: Api):
    good = service.request()
    primary, other = good["primary"], good["auxiliary"][0]
    pairs = service.upload("premise,hypothesis,label\na,b,yes\nc,d,no\n")["id"]
    strange = service.upload("text,label\na,yes\nb,perhaps\n")["id"]
    again = service.upload(many(40, "primary"), name="copy")["id"]
    table = [
        ({"auxiliary": [primary]}, "auxiliary.0", "auxiliary.0 is the same dataset as primary"),
        ({"auxiliary": [other, other]}, "auxiliary.1", "auxiliary.1 is the same dataset as auxiliary.0"),
        ({"auxiliary": [again]}, "auxiliary", "'copy' holds the same rows as 'primary', the primary"),
        ({"validation": primary}, "validation", "validation is the same dataset as primary"),
        ({"validation": again}, "validation", "what is measured on must be unseen"),
        ({"validation": pairs}, "validation", "the primary holds single texts"),
        ({"validation": strange}, "validation", "its classes ['perhaps'] are not among the primary's"),
        ({"primary": UNKNOWN}, "primary", f"there is no dataset {UNKNOWN}"),
        ({"auxiliary": [other, UNKNOWN]}, "auxiliary.1", f"there is no dataset {UNKNOWN}"),
        ({"auxiliary": []}, "auxiliary", "at least 1 item"),
    ]
    for change, field, message in table:
        status, _, found, told = refused(service, {**good, **change})
        assert (status, found, message in told) == (422, field, True), told


@pytest.mark.parametrize(
    ("body", "status"), [("{", 422), ("[]", 422), ("null", 422), ('{"primary": ' + "[" * 100_000, 400)]
)
def test_a_body_that_is_no_job_is_refused(service: Api, body: str, status: int):
    answer = service.client.post("/v1/jobs", content=body, headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.headers["Content-Type"]) == (status, "application/problem+json")


def test_a_job_is_accepted_with_its_place_and_its_steps(service: Api):
    answer = service.client.post("/v1/jobs", json={**service.request(), "name": "mine"})
    job = answer.json()
    assert (answer.status_code, answer.headers["Location"]) == (202, f"/v1/jobs/{job['id']}")
    assert [(each["key"], each["role"]) for each in job["datasets"]] == [("primary", "primary"), ("other", "auxiliary")]
    assert [(step["name"], step["status"]) for step in job["steps"]] == [
        ("discriminator", "queued"),
        ("score 1/1", "waiting"),
        ("rank", "waiting"),
        ("leakage", "queued"),
        ("select", "waiting"),
        ("explain", "waiting"),
        ("target (selection)", "waiting"),
        ("finetune (selection)", "waiting"),
        ("target (primary_only)", "queued"),
        ("finetune (primary_only)", "waiting"),
        ("report", "waiting"),
    ]
    told = [job[name] for name in ("name", "status", "progress", "seconds_left", "selection", "error")]
    assert told == ["mine", "queued", 0.0, None, None, None]


def test_two_datasets_of_one_name_are_told_apart_in_a_job(service: Api):
    ids = [service.upload(many(40, word), name="same")["id"] for word in ("a", "b", "c")]
    body = {"primary": ids[0], "auxiliary": ids[1:], "config": {"seen_rows": "include", "budget": 2}}
    keys = [each["key"] for each in service.client.post("/v1/jobs", json=body).json()["datasets"]]
    assert keys == [f"same@{each[:8]}" for each in ids]


def test_progress_counts_the_running_step_by_its_cost(service: Api):
    job = service.submit(compare=[])
    claim = service.claim(job, "discriminator")
    half = {"done": 100, "total": 200, "unit": "rows", "message": "epoch 3 of 5", "per_second": 50, "seconds_left": 2}
    assert service.jobs.beat(claim, half)
    state = service.job(job)
    # TD 3*5*80 = 1200, scores 80, explaining 40+5, TO 3*3*(40+5) = 405, fine-tuning 3*5*40 = 600, three small ones
    assert state["progress"] == pytest.approx(600 / (1200 + 80 + 45 + 405 + 600 + 3 * 2.33), rel=1e-3)
    assert (state["status"], state["steps"][0]["progress"], state["seconds_left"] is not None) == (
        "running",
        half,
        True,
    )


def test_a_failed_step_fails_its_job_with_the_reason(service: Api):
    job = service.submit()
    error = {"type": "encoder-unavailable", "message": "it is not there"}
    assert service.jobs.fail(service.claim(job, "discriminator"), error, again=False)
    state = service.job(job)
    assert (state["status"], state["error"]) == ("failed", {**error, "step": "discriminator", "field": None})
    conflict = service.client.get(f"/v1/jobs/{job['id']}/selection")
    assert (conflict.status_code, conflict.json()["detail"]) == (409, "the job is failed and has chosen no rows")


def test_a_job_is_cancelled_once_or_twice_but_not_after_its_end(service: Api):
    job = service.submit()
    answers = [service.client.post(f"/v1/jobs/{job['id']}/cancel") for _ in range(2)]
    assert [(each.status_code, each.json()["status"]) for each in answers] == [(202, "cancelled")] * 2
    failed = service.submit()
    service.jobs.fail(service.claim(failed, "discriminator"), {"type": "x", "message": "y"}, again=False)
    assert service.client.post(f"/v1/jobs/{failed['id']}/cancel").status_code == 409
    assert service.client.post(f"/v1/jobs/{UNKNOWN}/cancel").status_code == 404


def test_jobs_are_listed_newest_first_and_by_status(service: Api):
    ids = [service.submit()["id"] for _ in range(3)]
    service.client.post(f"/v1/jobs/{ids[1]}/cancel")
    listed = service.client.get("/v1/jobs?limit=2").json()
    rest = service.client.get("/v1/jobs", params={"limit": 2, "cursor": listed["next_cursor"]}).json()
    assert [each["id"] for each in [*listed["items"], *rest["items"]]] == ids[::-1]
    assert [each["id"] for each in service.client.get("/v1/jobs?status=cancelled").json()["items"]] == [ids[1]]


def test_the_selection_is_the_same_in_every_format(service: Api):
    job = service.submit()
    service.choose(job)
    url = f"/v1/jobs/{job['id']}/selection"
    other = service.job(job)["datasets"][1]["id"]
    expected = [
        {"rank": rank, "dataset": "other", "dataset_id": other, "row": 5 - rank, "score": 0.75 - (rank - 1) * 0.125}
        for rank in range(1, 6)
    ]
    body = service.client.get(url, headers={"Accept": "application/json"}).json()
    assert (body["rows"], body["budget"], body["digest"]) == (expected, 5, "d" * 64)
    lines = service.client.get(url, headers={"Accept": "application/x-ndjson"}).text.splitlines()
    assert [json.loads(line) for line in lines] == expected
    table = pq.read_table(io.BytesIO(service.client.get(url, params={"format": "parquet"}).content))
    assert table.to_pylist() == expected
    text = service.client.get(url, headers={"Accept": "text/html;q=0.9, text/csv;q=0.5"}).text
    kinds = {"rank": int, "dataset": str, "dataset_id": str, "row": int, "score": float}
    assert [{k: kinds[k](v) for k, v in row.items()} for row in csv.DictReader(io.StringIO(text))] == expected


def test_a_selection_says_on_request_why_each_row_was_chosen(service: Api):
    job = service.submit()
    service.choose(job)
    url = f"/v1/jobs/{job['id']}/selection"
    early = service.client.get(url, params={"explain": True})
    assert (early.status_code, early.json()["detail"]) == (
        409,
        "the step that explains the chosen rows is queued, not done",
    )
    service.explain(job)
    nearest = [{"row": 2, "similarity": 0.5}, {"row": 0, "similarity": 0.25}]
    second = service.client.get(url, params={"explain": True}).json()["rows"][1]
    assert {**second, "dataset_id": None} == {
        **{"rank": 2, "dataset": "other", "dataset_id": None, "row": 3, "score": 0.625},
        **{"percentile": 80.0, "nearest": nearest},
    }
    line = service.client.get(url, params={"explain": True, "format": "jsonl"}).text.splitlines()[1]
    assert json.loads(line) == second
    text = service.client.get(url, params={"explain": True, "format": "csv"}).text
    assert text.splitlines()[2].endswith(",3,0.625,80.0,2:0.5000;0:0.2500")
    table = pq.read_table(io.BytesIO(service.client.get(url, params={"explain": True, "format": "parquet"}).content))
    assert table.slice(1, 1)["nearest_rows"].to_pylist() == [[2, 0]]


def test_a_job_without_explanations_says_so(service: Api):
    job = service.submit(explain=0)
    service.choose(job)
    answer = service.client.get(f"/v1/jobs/{job['id']}/selection?explain=true")
    assert (answer.status_code, "its config says explain 0" in answer.json()["detail"]) == (409, True)


def test_a_format_that_is_not_offered_is_refused(service: Api):
    job = service.submit()
    service.choose(job)
    answer = service.client.get(f"/v1/jobs/{job['id']}/selection", headers={"Accept": "image/png"})
    assert (answer.status_code, "text/csv" in answer.json()["detail"]) == (406, True)


def test_a_name_that_begins_a_formula_is_escaped_in_csv(service: Api):
    primary, other = service.upload(many(40, "p"), name="p")["id"], service.upload(many(40, "q"), name="=1+1")["id"]
    body = {"primary": primary, "auxiliary": [other], "config": {"seen_rows": "include", "budget": 5}}
    job = service.client.post("/v1/jobs", json=body).json()
    for name in ("discriminator", "score 1/1", "rank", "leakage"):
        service.finish(job, name)
    service.finish(job, "select", {"selection.parquet": selection("=1+1")}, {"digest": "d" * 64, "counts": {}})
    text = service.client.get(f"/v1/jobs/{job['id']}/selection?format=csv").text
    assert text.splitlines()[1].split(",")[1] == "'=1+1"


def test_artifacts_are_listed_downloaded_and_resumed(service: Api):
    job = service.submit(compare=[])
    service.choose(job)
    service.finish(job, "target (selection)", {"model/config.json": b"{}"})
    service.finish(job, "finetune (selection)", {"model/config.json": b"{ }", "model/deep/w": b"12345"})
    url = f"/v1/jobs/{job['id']}/artifacts"
    listed = {each["name"]: each["bytes"] for each in service.client.get(url).json()["items"]}
    chosen = {"counts.json", "selection.parquet", "scores.parquet", "subset.parquet", "leaks.parquet"}
    assert set(listed) == {*chosen, "model/config.json", "model/deep/w"}
    whole = service.client.get(f"{url}/model/deep/w")
    part = service.client.get(f"{url}/model/deep/w", headers={"Range": "bytes=2-"})
    assert (whole.content, part.content, part.status_code) == (b"12345", b"345", 206)
    assert whole.headers["ETag"].strip('"') == next(
        each["sha256"] for each in service.client.get(url).json()["items"] if each["name"] == "model/deep/w"
    )
    with tarfile.open(fileobj=io.BytesIO(service.client.get(f"{url}/model").content)) as tar:
        files = {member.name: tar.extractfile(member).read() for member in tar.getmembers()}  # type: ignore[union-attr]
    assert files == {"model/config.json": b"{ }", "model/deep/w": b"12345"}


@pytest.mark.parametrize("name", ["%2e%2e/%2e%2e/x", "/etc/passwd", "model/../report.json", "mod"])
def test_a_name_that_is_no_artifact_is_not_found(service: Api, name: str):
    job = service.submit(compare=[])
    assert service.client.get(f"/v1/jobs/{job['id']}/artifacts/{name}").status_code in (404, 405)


def test_the_service_says_what_it_can_do_and_that_it_is_well(service: Api):
    options = service.client.get("/v1/options").json()
    assert (sorted(options["methods"]), sorted(options["selectors"])) == (methods.names(), selectors.names())
    assert options["settings"]["embedding"]["properties"]["nearest"]["default"] == 8
    assert {name for name in options["settings"] if not options["settings"][name]["properties"]} == set()
    assert [service.client.get(f"/v1/{path}").json()["status"] for path in ("health", "ready")] == ["ok"] * 2


def test_every_answer_carries_the_request_id_it_was_given(service: Api):
    assert service.client.get("/v1/health", headers={"X-Request-Id": "abc"}).headers["X-Request-Id"] == "abc"
