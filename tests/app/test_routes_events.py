"""A job's events by pages."""

from __future__ import annotations

import uuid

import pytest
from service import Api

from app.events import EventType
from app.keys import Scope


@pytest.fixture
def job(service: Api) -> dict:
    return service.plain_job()


def kinds(items: list[dict]) -> list[str]:
    return [each["type"] for each in items]


def test_an_event_says_number_time_type_and_data(service, job):
    before = len(service.events(job))
    service.tell(job, EventType.STEP_FAILED, step="score 1/1", again=True)
    assert service.events(job)[before:] == [
        {
            "number": before + 1,
            "at": "2026-01-01T12:00:00Z",
            "type": "step.failed",
            "data": {"step": "score 1/1", "again": True},
        }
    ]


def test_pages_run_from_the_oldest_to_the_newest(service, job):
    service.tell(job, *[EventType.STEP_METRICS] * 7)
    found, cursor = [], None
    while cursor is not None or not found:
        query = {"limit": 3, **({"cursor": cursor} if cursor else {})}
        page = service.client.get(f"/v1/jobs/{job['id']}/events", params=query).json()
        assert len(page["items"]) <= 3
        found, cursor = found + page["items"], page["next_cursor"]
    assert [each["number"] for each in found] == list(range(1, len(found) + 1))
    assert kinds(found[-7:]) == ["step.metrics"] * 7


def test_a_page_begins_after_a_number(service, job):
    service.tell(job, EventType.STEP_STARTED, EventType.STEP_SUCCEEDED)
    last = service.events(job)[-1]["number"]
    assert kinds(service.events(job, last - 2)) == ["step.started", "step.succeeded"]
    assert service.events(job, last) == service.events(job, 2**63 - 1) == []


def test_what_is_no_cursor_and_no_number_is_refused_by_name(service, job):
    numbers = [({"after": -1}, {}), ({"after": 2**63}, {}), ({}, {"Last-Event-ID": "x"})]
    wrong = [(accept, *each) for each in numbers for accept in ("application/json", "text/event-stream")]
    found = []
    for accept, query, headers in [("application/json", {"cursor": "nonsense"}, {}), *wrong]:
        path, headers = f"/v1/jobs/{job['id']}/events", {"Accept": accept, **headers}
        answer = service.client.get(path, params=query, headers=headers)
        found.append((answer.status_code, answer.json()["errors"][0]["field"]))
    fields = ["cursor", "after", "after", "after", "after", "last-event-id", "last-event-id"]
    assert found == [(422, field) for field in fields]


@pytest.mark.parametrize("accept", ["application/json", "text/event-stream"])
def test_another_tenants_events_are_not_there(service, job, accept):
    bob = service.parts.keys.tenant("bob's", make=True)
    key = service.parts.keys.create(bob.id, "bob's", Scope.ADMIN).text
    for path in (f"/v1/jobs/{job['id']}/events", f"/v1/jobs/{uuid.uuid4()}/events"):
        answer = service.client.get(path, headers={"Authorization": f"Bearer {key}", "Accept": accept})
        assert (answer.status_code, answer.json()["type"]) == (404, "urn:fastmtl:problem:not-found")


def test_there_is_nothing_to_follow_once_a_job_is_over_and_all_is_seen(service, job):
    service.tell(job, EventType.STEP_STARTED)
    service.end(job)
    last = str(service.events(job)[-1]["number"])
    headers = {"Accept": "text/event-stream", "Last-Event-ID": last}
    answer = service.client.get(f"/v1/jobs/{job['id']}/events", headers=headers)
    assert (answer.status_code, answer.content) == (204, b"")
