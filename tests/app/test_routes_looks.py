"""Looks over HTTP: rows, scores, overlaps."""

from __future__ import annotations

import pytest
from service import Api


@pytest.fixture
def job(service: Api) -> dict:
    """Rows 4, 3, 2, 1, 0 of `other` are chosen, and explained; row 5 just missed, 6 is a leak."""
    job = service.submit()
    service.choose(job)
    service.explain(job)
    return job


def get(service: Api, job: dict, path: str, **query: object) -> dict:
    answer = service.client.get(f"/v1/jobs/{job['id']}/{path}", params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_a_page_of_chosen_rows(service: Api, job: dict):
    page = get(service, job, "rows", sort="row", limit=2, offset=1)
    assert [(each["row"], each["rank"], each["text_a"]) for each in page["items"]] == [
        (1, 4, "other number 1"),
        (2, 3, "other number 2"),
    ]
    assert (page["total"], page["offset"]) == (5, 1)
    assert page["items"][0]["nearest"][0] == {
        **{"row": 4, "similarity": 0.5, "text_a": "primary number 4", "text_b": None, "label": "yes"}
    }


def test_what_holds_a_text(service: Api, job: dict):
    assert [each["row"] for each in get(service, job, "rows", text="NUMBER 3")["items"]] == [3]


def test_the_rows_that_just_missed(service: Api, job: dict):
    page = get(service, job, "rows/below", limit=3)
    assert [(each["row"], each["rank"]) for each in page["items"]] == [(5, None), (7, None), (8, None)]
    assert page["total"] == 34  # of 40, without 5 chosen and a leak


@pytest.mark.parametrize("query", [{"sort": "text"}, {"limit": 101}, {"offset": -1}, {"dataset": "none"}])
def test_what_makes_no_sense_is_refused(service: Api, job: dict, query: dict):
    answer = service.client.get(f"/v1/jobs/{job['id']}/rows", params=query)
    assert (answer.status_code, answer.headers["Content-Type"]) == (422, "application/problem+json")


def test_the_scores_of_a_job_are_read_once(service: Api, job: dict, monkeypatch: pytest.MonkeyPatch):
    first = get(service, job, "scores")
    assert (first["cut"], sum(first["datasets"][0]["rows"]), sum(first["datasets"][0]["chosen"])) == (0.25, 40, 5)
    monkeypatch.setattr("app.job_scores.distributions_of", None)
    assert get(service, job, "scores") == first


def test_two_jobs_are_compared(service: Api, job: dict):
    found = get(service, job, f"overlap/{job['id']}")
    assert (found["common"], found["share"], found["datasets"][0]["dataset"]) == (5, 1.0, "other")


def test_a_row_of_a_dataset_is_read_by_its_number(service: Api, job: dict):
    rows = f"/v1/datasets/{job['datasets'][1]['id']}/rows"
    told = service.client.get(f"{rows}/7").json()
    assert told == {"row": 7, "text_a": "other number 7", "text_b": None, "label": "no"}
    assert service.client.get(f"{rows}/40").json()["detail"] == "the dataset has 40 rows, counted from 0, and no row 40"


def test_a_job_that_was_asked_for_no_map_has_none(service: Api, job: dict):
    answer = service.client.get(f"/v1/jobs/{job['id']}/map")
    assert (answer.status_code, "the job was asked for no map" in answer.json()["detail"]) == (409, True)


def test_a_job_that_has_chosen_nothing_has_nothing_to_show(service: Api):
    job = service.submit()
    paths = ("rows", "rows/below", "scores", "map", f"overlap/{job['id']}")
    told = [service.client.get(f"/v1/jobs/{job['id']}/{path}").status_code for path in paths]
    assert told == [409] * 5
