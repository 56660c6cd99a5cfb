"""A job's events as they come, from a served API."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import islice

import httpx2
import pytest
from service import Api, served
from sqlalchemy import delete

from app.event_stream import AT_ONCE, Pace, Streams, is_wanted
from app.events import EventType
from app.keys import Scope
from app.models import Job

QUICK = Pace(look_seconds=0.02)
FOLLOW = {"Accept": "text/event-stream"}


@pytest.fixture
def job(service: Api) -> dict:
    return service.plain_job()


@contextmanager
def streaming(service: Api, pace: Pace = QUICK, **limits: int) -> Iterator[httpx2.Client]:
    """Serve the API, its streams at this pace and with these limits."""
    app, parts = service.client.app, service.parts
    settings = parts.settings.model_copy(update=limits)
    app.state.parts = replace(parts, streams=Streams(parts.database, parts.keys, settings, pace))
    headers = {"Authorization": f"Bearer {service.key}"}
    with served(app) as url, httpx2.Client(base_url=url, headers=headers, timeout=20) as client:
        yield client


def events_path(job: dict) -> str:
    return f"/v1/jobs/{job['id']}/events"


def seen(stream: httpx2.EventSource) -> Iterator[dict]:
    """What a stream tells, but for its first word."""
    return (each.json() for each in stream if each.data)


def test_past_events_come_at_once_and_new_ones_as_they_happen(service, job):
    service.tell(job, EventType.STEP_STARTED)
    past = service.events(job)
    with streaming(service) as client, client.sse(events_path(job)) as stream:
        told = seen(stream)
        assert list(islice(told, len(past))) == past
        for kind in (EventType.STEP_METRICS, EventType.STEP_SUCCEEDED):
            service.tell(job, kind)
            assert next(told)["type"] == kind
        service.end(job)
        list(told)
    assert stream.response.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert stream.response.headers["cache-control"] == "no-store"


def test_an_event_has_its_number_as_id_and_its_type_as_name(service, job):
    service.tell(job, EventType.STEP_WARNING, message="line one\nline two \u2028 \u00e9")
    service.end(job)
    (event,) = [each for each in service.events(job) if each["type"] == "step.warning"]
    with streaming(service) as client:
        text = client.get(events_path(job), headers=FOLLOW).text
    block = next(each for each in text.split("\n\n") if "event: step.warning" in each)
    number, kind, data = block.split("\n")
    assert (number, kind) == (f"id: {event['number']}", "event: step.warning")
    assert data.startswith("data: {") and httpx2.Response(200, content=data[6:]).json() == event


@pytest.mark.parametrize("how", ["header", "query", "both"])
def test_a_stream_goes_on_exactly_after_the_last_number_seen(service, job, how):
    service.tell(job, *[EventType.STEP_METRICS] * 5)
    service.end(job)
    everything = service.events(job)
    headers = {"Last-Event-ID": "3"} if how != "query" else {}
    query = {"header": {}, "query": {"after": 3}, "both": {"after": 1}}[how]
    with streaming(service) as client, client.sse(events_path(job), headers=headers, params=query) as stream:
        assert list(seen(stream)) == everything[3:]


def test_a_long_log_comes_whole_and_in_order(service, job):
    service.tell(job, *[EventType.STEP_METRICS] * (2 * AT_ONCE + 50))
    with streaming(service, Pace(look_seconds=10)) as client, client.sse(events_path(job)) as stream:
        numbers = [event["number"] for event in islice(seen(stream), 2 * AT_ONCE + 50)]
    assert numbers == list(range(1, 2 * AT_ONCE + 51))


def test_a_stream_ends_with_its_job_and_there_is_nothing_to_come_back_for(service, job):
    with streaming(service) as client:
        with client.sse(events_path(job)) as stream:
            service.tell(job, EventType.STEP_STARTED)
            service.end(job)
            told = list(seen(stream))
        assert told == service.events(job)
        headers = {**FOLLOW, "Last-Event-ID": str(told[-1]["number"])}
        assert client.get(events_path(job), headers=headers).status_code == 204


def test_a_job_that_is_deleted_ends_its_stream(service, job):
    with streaming(service) as client:
        with client.sse(events_path(job)) as stream:
            told = iter(stream)
            next(told)
            with service.parts.database.transaction() as session:
                session.execute(delete(Job).where(Job.id == uuid.UUID(job["id"])))
            list(told)
        assert client.get(events_path(job), headers=FOLLOW).status_code == 404


def test_a_key_that_is_revoked_follows_nothing_any_more(service, job):
    tenant = service.parts.keys.tenant("default")
    key = service.parts.keys.create(tenant.id, "short-lived", Scope.READ)
    with streaming(service, replace(QUICK, key_seconds=0)) as client:
        headers = {"Authorization": f"Bearer {key.text}"}
        with client.sse(events_path(job), headers=headers) as stream:
            told = iter(stream)
            next(told)
            service.parts.keys.revoke(tenant.id, key.record.id)
            list(told)
        assert client.get(events_path(job), headers={**FOLLOW, **headers}).status_code == 401


def test_a_silent_stream_carries_comments(service, job):
    with streaming(service, replace(QUICK, keep_alive_seconds=0)) as client:
        with client.stream("GET", events_path(job), headers=FOLLOW) as answer:
            lines = answer.iter_lines()
            assert list(islice((line for line in lines if line.startswith(":")), 3)) == [": nothing new"] * 3


@pytest.mark.parametrize(
    ("limits", "status", "kind"),
    [({"max_event_streams": 1}, 503, "unavailable"), ({"max_event_streams_per_tenant": 1}, 429, "too-many-streams")],
)
def test_streams_beyond_the_limit_are_refused_until_another_ends(service, job, limits, status, kind):
    with streaming(service, **limits) as client:
        with client.sse(events_path(job)) as first:
            told = iter(first)
            next(told)
            refused = client.get(events_path(job), headers=FOLLOW)
            problem = refused.json()["type"].rpartition(":")[2]
            assert (refused.status_code, problem, refused.headers["retry-after"]) == (status, kind, "5")
            assert client.get(events_path(job)).status_code == 200  # pages are still to be had
        assert opens_again(client, job)


def opens_again(client: httpx2.Client, job: dict) -> bool:
    """Whether a place becomes free, once the server has noticed that a client left."""
    until = time.monotonic() + 15
    while time.monotonic() < until:
        with client.sse(events_path(job)) as stream:
            if stream.response.is_success:
                return True
        time.sleep(0.05)
    return False


def test_one_tenants_streams_leave_room_for_anothers(service, job):
    bob = service.parts.keys.tenant("bob's", make=True)
    key = service.parts.keys.create(bob.id, "bob's", Scope.ADMIN).text
    with streaming(service, max_event_streams_per_tenant=1) as client, client.sse(events_path(job)) as first:
        told = iter(first)  # dropped, it would close the connection
        next(told)
        answer = client.get(events_path(job), headers={**FOLLOW, "Authorization": f"Bearer {key}"})
        assert answer.status_code == 404  # not his job, but not refused for ada's stream either


def test_no_connection_is_held_between_two_looks(service, job):
    pool = service.parts.database.engine.pool
    with streaming(service, Pace(look_seconds=0.2)) as client, client.sse(events_path(job)) as stream:
        told = iter(stream)
        next(told)
        held = []
        for _ in range(30):
            held.append(pool.checkedout())
            time.sleep(0.01)
    assert held.count(0) > len(held) / 2


def test_a_server_that_stops_ends_its_streams(service, job):
    with streaming(service, Pace(look_seconds=10)) as client:
        stream = client.stream("GET", events_path(job), headers=FOLLOW)
        answer = stream.__enter__()
        next(answer.iter_lines())
    stream.__exit__(None, None, None)  # `served` has seen the server's thread end
    assert service.parts.streams is not service.client.app.state.parts.streams


@pytest.mark.parametrize(
    ("accept", "wanted"),
    [
        ("text/event-stream", True),
        ("text/event-stream, */*;q=0.5", True),
        ("TEXT/Event-Stream; q=1, application/json; q=1", True),
        ("application/json, text/event-stream;q=0.9", False),
        ("text/event-stream;q=0", False),
        ("text/event-stream;q=x", False),
        ("*/*", False),
        ("text/*", False),
        ("", False),
    ],
)
def test_a_stream_comes_only_where_it_is_asked_for(accept, wanted):
    assert is_wanted(accept) is wanted
