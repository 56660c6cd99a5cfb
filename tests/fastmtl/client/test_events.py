"""The client follows a job's events over connections that break."""

from __future__ import annotations

import random
import socket
import threading
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from itertools import count, islice
from pathlib import Path

import pytest
from fastapi import FastAPI, Response
from service import Api, api, served

from app.event_stream import Streams
from app.events import EventType
from fastmtl.client import Client, NotFound, Unreachable, events


@pytest.fixture
def hand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Api]:
    """The service, whose steps are finished by hand; a client that does not wait long."""
    monkeypatch.setattr(events, "AWAY_SECONDS", 0.01)
    with api(tmp_path / "home", event_poll_seconds=0.02) as inner:
        yield Api(inner, tmp_path / "home")


@pytest.fixture
def job(hand: Api) -> dict:
    return hand.plain_job()


def test_events_come_until_the_job_is_over(hand, job):
    hand.tell(job, EventType.STEP_STARTED)
    with served(hand.client.app) as url, Client(url, hand.key) as client:
        told = client.events(job["id"])
        first = next(told)
        hand.tell(job, EventType.STEP_SUCCEEDED, step="score 1/1")
        hand.end(job)
        assert [each.raw for each in (first, *told)] == hand.events(job)
        last = first["number"] + len(hand.events(job)) - 2
        assert [each.raw for each in client.events(job["id"], after=last)] == hand.events(job)[-1:]


def test_a_server_that_is_started_anew_costs_no_event(hand, job):
    hand.tell(job, *[EventType.STEP_METRICS] * 3)
    app, parts = hand.client.app, hand.parts
    with ExitStack() as first:
        url = first.enter_context(served(app))
        client = Client(url, hand.key)
        told = client.events(job["id"])
        before = list(islice(told, 2))
    hand.tell(job, EventType.STEP_WARNING)  # while nobody serves
    hand.end(job)
    app.state.parts = replace(parts, streams=Streams(parts.database, parts.keys, parts.settings))
    with client, served(app, port=int(url.rpartition(":")[2])):
        assert [each.raw for each in (*before, *told)] == hand.events(job)


@contextmanager
def cutting(url: str, lengths: Iterator[int]) -> Iterator[str]:
    """Stand before a server, and cut each of its answers after so many bytes."""
    upstream = ("127.0.0.1", int(url.rpartition(":")[2]))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=pass_on, args=(listener, upstream, lengths))
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join(20)


def pass_on(listener: socket.socket, upstream: tuple[str, int], lengths: Iterator[int]) -> None:
    """Pass on one connection after another: the request whole, of the answer so much."""
    with suppress(OSError):
        while True:
            inner, _ = listener.accept()
            with inner, socket.create_connection(upstream) as outer:
                outer.sendall(inner.recv(65536))
                left = next(lengths)
                while left > 0 and (data := outer.recv(min(left, 65536))):
                    inner.sendall(data)
                    left -= len(data)


def test_connections_that_are_cut_anywhere_cost_no_event_and_double_none(hand, job):
    hand.tell(job, *[EventType.STEP_METRICS] * 20, loss=0.5, words="é" * 20)
    hand.end(job)
    draw = random.Random(7)
    lengths = (draw.randint(1, 3000) for _ in count())
    with served(hand.client.app) as url, cutting(url, lengths) as shaky, Client(shaky, hand.key) as client:
        told = [each.raw for each in client.events(job["id"])]
    assert told == hand.events(job)


def test_what_the_service_refuses_is_told(hand, job):
    with served(hand.client.app) as url, Client(url, hand.key) as client:
        with pytest.raises(NotFound, match="there is no job") as caught:
            next(client.events(str(uuid.uuid4())))
    assert caught.value.problem["status"] == 404


def test_a_busy_service_is_asked_again(hand, job):
    hand.end(job)
    answers = iter([503, 429, 204])
    other = FastAPI()

    @other.get("/v1/jobs/{job_id}/events")
    def answer() -> Response:
        return Response(status_code=next(answers))

    with served(other) as url, Client(url, hand.key) as client:
        assert list(client.events(job["id"])) == []
    assert list(answers) == []


def test_a_service_that_stays_away_is_given_up(job):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with Client(f"http://127.0.0.1:{port}", "key") as client, pytest.raises(Unreachable, match="cannot be reached"):
        next(client.events(job["id"], patience_seconds=0.1))
