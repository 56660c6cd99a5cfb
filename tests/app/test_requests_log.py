"""What is seen of a request, and that nothing of it is held back."""

from __future__ import annotations

import asyncio
import uuid
from types import SimpleNamespace

import pytest
import structlog
from prometheus_client import CollectorRegistry
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from structlog.testing import capture_logs

from app import logs
from app.metrics import RequestMetrics
from app.requests_log import RequestLog

ASKED = {"type": "http", "method": "POST", "path": "/v1/jobs", "headers": []}
LEFT = {"type": "http.disconnect"}
START = {"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]}
STREAM = {**START, "headers": [(b"content-type", b"text/event-stream; charset=utf-8")]}
TENANT = uuid.UUID(int=7)


def body(content: bytes, more: bool = False) -> Message:
    return {"type": "http.response.body", "body": content, "more_body": more}


def piece(content: bytes, more: bool = True) -> Message:
    return {"type": "http.request", "body": content, "more_body": more}


class Seen:
    """What came of one request: its answer, its lines, its measures."""

    def __init__(self, app: ASGIApp, *received: Message, **scope: object) -> None:
        self.registry = CollectorRegistry()
        self.sent: list[Message] = []
        self._received = iter(received)
        wrapped = RequestLog(app, RequestMetrics(self.registry))
        with capture_logs([structlog.contextvars.merge_contextvars]) as self.lines:
            asyncio.run(wrapped({**ASKED, **scope}, self._receive, self._send))

    async def _receive(self) -> Message:
        return next(self._received)

    async def _send(self, message: Message) -> None:
        self.sent.append(message)

    @property
    def line(self) -> dict:
        """The request's line, but for what differs from run to run."""
        (line,) = [each for each in self.lines if each["event"] == "request"]
        return {name: value for name, value in line.items() if name not in ("event", "milliseconds", "request_id")}

    def value(self, name: str, **labels: str) -> float | None:
        return self.registry.get_sample_value(f"fastmtl_{name}", labels)


def answering(*messages: Message) -> ASGIApp:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        for message in messages:
            await send(message)

    return app


async def read_all(scope: Scope, receive: Receive, send: Send) -> None:
    """Read the whole body, then answer."""
    while (await receive()).get("more_body", False):
        pass
    await answering(START, body(b"ok"))(scope, receive, send)


def test_a_request_is_one_line_with_its_answer():
    seen = Seen(answering({**START, "status": 202}, body(b"ok")))
    assert seen.line == {"log_level": "info", "method": "POST", "path": "/v1/jobs", "status": 202}
    assert seen.value("request_seconds_count", route="other", method="POST", status="2xx") == 1


def test_a_body_passes_through_piece_by_piece():
    order: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(START)
        for name in "ab":
            order.append(f"made {name}")
            await send(body(name.encode(), more=True))
        await send(body(b""))

    class Listening(Seen):
        async def _send(self, message: Message) -> None:
            if message.get("body"):
                order.append(f"sent {message['body'].decode()}")

    Listening(app)
    assert order == ["made a", "sent a", "made b", "sent b"]


def test_what_is_uploaded_is_counted_as_it_comes():
    seen = Seen(read_all, piece(b"abc"), piece(b"de", more=False))
    assert (seen.value("received_bytes_total"), seen.line["received"]) == (5, 5)


def test_a_client_that_leaves_is_seen_also_when_it_is_answered():
    seen = Seen(read_all, piece(b"abc"), LEFT)
    assert (seen.line["status"], seen.line["client_left"], seen.value("clients_left_total")) == (200, True, 1)


def test_a_client_that_leaves_after_the_answer_has_not_left():
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await answering(START, body(b"ok"))(scope, receive, send)
        await receive()

    assert Seen(app, LEFT).value("clients_left_total") == 0


def test_a_connection_that_breaks_while_the_answer_is_sent_is_a_client_that_left():
    class Broken(Seen):
        async def _send(self, message: Message) -> None:
            raise BrokenPipeError

    seen = Broken(answering(START))
    assert (seen.line["client_left"], seen.value("clients_left_total")) == (True, 1)


@pytest.mark.parametrize(
    ("given", "kept"),
    [("my-request.1", True), ("", False), ("two words", False), ("x" * 101, False), ("caf\xe9", False)],
)
def test_a_good_id_of_the_client_is_kept_and_another_is_made(given, kept):
    seen = Seen(answering(START, body(b"")), headers=[(b"x-request-id", given.encode("latin-1"))])
    (told,) = [value.decode() for name, value in seen.sent[0]["headers"] if name == b"x-request-id"]
    assert {line["request_id"] for line in seen.lines} == {told}
    assert (told == given) is kept and (kept or uuid.UUID(told))


def test_an_event_stream_is_open_while_it_lasts_and_is_measured_until_it_begins():
    registry, during = CollectorRegistry(), []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(STREAM)
        during.append(registry.get_sample_value("fastmtl_streams_open"))
        labels = {"route": "other", "method": "POST", "status": "2xx"}
        during.append(registry.get_sample_value("fastmtl_request_seconds_count", labels))
        await send(body(b""))

    async def receive() -> Message:
        return LEFT

    async def send(message: Message) -> None:
        """Take it."""

    asyncio.run(RequestLog(app, RequestMetrics(registry))(dict(ASKED), receive, send))
    assert [*during, registry.get_sample_value("fastmtl_streams_open")] == [1, 1, 0]


def test_leaving_an_event_stream_is_no_news():
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(STREAM)
        await receive()

    seen = Seen(app, LEFT)
    assert (seen.line["client_left"], seen.value("clients_left_total"), seen.value("streams_open")) == (True, 0, 0)


def test_lines_inside_say_whose_request_it_is_and_about_which_job():
    inside: list[dict] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        scope.setdefault("state", {})["caller"] = SimpleNamespace(tenant_id=TENANT)
        scope["path_params"] = {"job_id": "j"}
        more = logs.MORE.get()
        inside.append(dict(more() if more else {}))

    Seen(app)
    assert inside == [{"tenant_id": str(TENANT), "job_id": "j"}]


@pytest.mark.parametrize(
    ("scope", "status", "labels"),
    [
        ({"path": "/etc/passwd"}, 404, {"route": "other", "method": "POST", "status": "4xx"}),
        ({"method": "PROPFIND"}, 405, {"route": "other", "method": "other", "status": "4xx"}),
        ({"route": SimpleNamespace(path="/v1/jobs/{job_id}")}, 204, {"route": "/v1/jobs/{job_id}", "status": "2xx"}),
    ],
)
def test_labels_are_few_and_known(scope, status, labels):
    seen = Seen(answering({**START, "status": status}, body(b"")), **scope)
    assert seen.value("request_seconds_count", **{"method": "POST", **labels}) == 1


@pytest.mark.parametrize(("path", "status", "level"), [("/v1/ready", 200, "debug"), ("/v1/ready", 503, "warning")])
def test_good_signs_of_life_are_no_news(path, status, level):
    assert Seen(answering({**START, "status": status}, body(b"")), path=path).line["log_level"] == level


def test_what_breaks_in_the_middle_of_an_answer_is_told_once_and_leaves_it_incomplete():
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(START)
        raise ZeroDivisionError

    seen = Seen(app)
    assert [line["event"] for line in seen.lines] == ["request.failed", "request"]
    assert len({line["request_id"] for line in seen.lines}) == 1
    assert seen.sent[-1]["type"] == "http.response.start"


def test_what_was_never_answered_has_no_status():
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        """Say nothing."""

    seen = Seen(app)
    assert (seen.line["status"], seen.line["log_level"]) == (None, "warning")
    assert seen.value("request_seconds_count", route="other", method="POST", status="none") == 1


def test_where_a_new_thing_is_stands_in_the_line():
    made = {**START, "headers": [(b"location", b"/v1/jobs/17")]}
    assert Seen(answering(made, body(b""))).line["location"] == "/v1/jobs/17"


def test_an_address_that_serves_whoever_has_it_is_not_in_the_line():
    sent_on = {**START, "status": 307, "headers": [(b"location", b"https://store/file?X-Amz-Signature=1")]}
    assert "X-Amz" not in str(Seen(answering(sent_on, body(b""))).line)


def test_the_start_of_the_server_passes_through():
    reached = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        reached.append(scope["type"])

    asyncio.run(RequestLog(app, RequestMetrics(CollectorRegistry()))({"type": "lifespan"}, None, None))
    assert reached == ["lifespan"]
