"""The bell: steps are rung in the order that they are given."""

from __future__ import annotations

import json
import uuid
from base64 import b64decode
from pathlib import Path

import redis
from fastapi.testclient import TestClient
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from service import Api
from structlog.contextvars import bound_contextvars

from app import exporting
from app.jobs import Ready
from app.main import create_app
from app.queue import QUEUES, Queue
from app.settings import Settings
from app.tracing import Tracing

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def rung(home: Path) -> list[tuple[uuid.UUID, dict]]:
    """Return the id and the headers of every message, in order: kombu reads the folder sorted by name as text, and
    names begin with the milliseconds of one clock."""
    found = []
    for path in sorted((home / "broker" / "messages").iterdir()):
        message = json.loads(path.read_text())
        arguments, _, _ = json.loads(b64decode(message["body"]))
        found.append((uuid.UUID(arguments[0]), message["headers"]))
    return found


def test_messages_in_the_folder_stand_in_the_order_they_were_rung(tmp_path: Path):
    steps = [uuid.uuid4() for _ in range(30)]
    queue = Queue(Settings(home=tmp_path))
    queue.ring([Ready(step_id, needs_device=True) for step_id in steps])
    queue.close()
    assert [step_id for step_id, _ in rung(tmp_path)] == steps


def test_a_message_says_which_request_and_which_trace_it_comes_from(tmp_path: Path):
    exporter = InMemorySpanExporter()
    provider = exporting.provider("api", exporter)
    settings = Settings(home=tmp_path)
    with TestClient(create_app(settings, tracing=Tracing(provider))) as client:
        service = Api(client, tmp_path)
        posted = client.post("/v1/jobs", json=service.request(), headers={"X-Request-Id": "mine"})
    provider.shutdown()
    (span,) = [each for each in exporter.get_finished_spans() if each.name == "POST /v1/jobs"]
    parent = f"00-{span.context.trace_id:032x}-{span.context.span_id:016x}"
    carried = [(headers["request_id"], headers["traceparent"].rpartition("-")[0]) for _, headers in rung(tmp_path)]
    assert (posted.status_code, span.attributes["fastmtl.request_id"]) == (202, "mine")
    assert carried == [("mine", parent)] * len(carried) and carried


def test_steps_that_need_no_device_are_rung_for_in_a_queue_of_their_own(tmp_path: Path):
    queue = Queue(Settings(home=tmp_path))
    queue.ring([Ready(uuid.uuid4(), needs_device=False), Ready(uuid.uuid4(), needs_device=True)])
    queue.close()
    names = [path.name.partition(".")[2] for path in (tmp_path / "broker" / "messages").iterdir()]
    assert sorted(names) == ["steps.cpu.msg", "steps.msg"]


def test_a_queue_holds_no_more_bells_than_may_be_heard(stack: dict[str, str], tmp_path: Path):
    queue = Queue(broker(stack, tmp_path), most_waiting=5)
    for _ in range(3):
        queue.ring([Ready(uuid.uuid4(), needs_device=True) for _ in range(4)])
    queue.ring([Ready(uuid.uuid4(), needs_device=False)])
    queue.close()
    assert len(messages(stack, tmp_path)) == 6


def test_no_message_is_larger_than_a_kilobyte(stack: dict[str, str], tmp_path: Path):
    longest = {"traceparent": PARENT, "tracestate": "a" * 512}
    queue = Queue(broker(stack, tmp_path), lambda: longest)
    with bound_contextvars(request_id="r" * 100):
        queue.ring([Ready(uuid.uuid4(), needs_device=False), Ready(uuid.uuid4(), needs_device=True)])
    queue.close()
    sizes = [len(message) for message in messages(stack, tmp_path)]
    assert (len(sizes), all(500 < size <= 1024 for size in sizes)) == (2, True)


def broker(stack: dict[str, str], home: Path) -> Settings:
    return Settings(home=home, broker_url=stack.get("FASTMTL_BROKER_URL"))


def messages(stack: dict[str, str], home: Path) -> list[bytes]:
    """Return the messages as the broker holds them."""
    if url := stack.get("FASTMTL_BROKER_URL"):
        with redis.Redis.from_url(url) as client:
            return [message for queue in QUEUES["all"] for message in client.lrange(queue, 0, -1)]
    return [path.read_bytes() for path in (home / "broker" / "messages").iterdir()]
