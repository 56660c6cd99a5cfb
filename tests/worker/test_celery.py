"""What a bell carries arrives with it, over files and over Redis."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import uuid
from pathlib import Path

import pytest
from structlog.contextvars import bound_contextvars

from app.jobs import Ready
from app.queue import MAX_CARRIED, Queue
from app.settings import Settings
from worker.celery import worker_app

# A process of its own: two Celery workers in one disturb each other.
WORKER = """
import json
from app.queue import QUEUES
from app.settings import Settings
from worker.celery import worker_app
def run_step(step_id, carried):
    print(json.dumps([str(step_id), carried]), flush=True)
app = worker_app(Settings(), run_step)
worker = app.Worker(pool="threads", concurrency=1, queues=QUEUES["all"], quiet=True, loglevel="ERROR")
worker.start()
"""


def test_a_bell_tells_which_request_and_which_trace_it_comes_from(stack: dict[str, str], tmp_path: Path):
    settings = Settings(home=tmp_path / "home", broker_url=stack.get("FASTMTL_BROKER_URL"))
    ids = [uuid.uuid4() for _ in range(4)]
    ready = [Ready(step_id, needs_device=True) for step_id in ids]
    longest = "x" * MAX_CARRIED
    odd = {"request_id": longest + "x", "other": longest}
    bells = [Queue(settings, lambda: {"traceparent": "00-trace"}), Queue(settings), Queue(settings, lambda: odd)]
    with bound_contextvars(request_id="mine"):
        bells[0].ring(ready[:1])
    bells[1].ring(ready[1:2])
    bells[2].ring(ready[2:])
    bells[0].ring([Ready(ids[3], needs_device=False)])
    for bell in bells:
        bell.close()
    command, environment = [sys.executable, "-c", WORKER], {**os.environ, **stack}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as worker:
        heard = [json.loads(worker.stdout.readline()) for _ in ids]
        worker.kill()
    carried = [{"request_id": "mine", "traceparent": "00-trace"}, {}, {"other": longest}, {"traceparent": "00-trace"}]
    expected = [[str(step_id), each] for step_id, each in zip(ids, carried, strict=True)]
    assert sorted(heard) == sorted(expected)  # there are two queues


@pytest.mark.parametrize("broker", [None, "redis://127.0.0.1:1/0"])
def test_messages_are_acknowledged_at_once_are_json_and_wait_for_nothing(tmp_path: Path, broker: str | None):
    conf = worker_app(Settings(home=tmp_path, broker_url=broker), lambda step_id, carried: None).conf
    assert (conf.task_acks_late, conf.task_reject_on_worker_lost, conf.worker_prefetch_multiplier) == (False, False, 1)
    assert (conf.worker_soft_shutdown_timeout, conf.worker_enable_soft_shutdown_on_idle) == (0.0, False)
    assert (conf.accept_content, conf.task_serializer, conf.task_ignore_result) == (["json"], "json", True)
    redis_only = conf.worker_disable_prefetch, conf.broker_transport_options.get("visibility_timeout")
    assert redis_only == ((True, 3600) if broker else (False, None))


def test_what_only_redis_understands_is_not_said_to_another_broker(tmp_path: Path):
    settings = Settings(home=tmp_path, broker_url="amqp://127.0.0.1:1//")
    conf = worker_app(settings, lambda step_id, carried: None).conf
    assert (conf.worker_disable_prefetch, dict(conf.broker_transport_options)) == (False, {})
