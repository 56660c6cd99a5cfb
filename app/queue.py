"""Wakes workers: all of Celery that the service knows. A message is a bell, it carries an id and no fact.

Steps that need a device are rung for in one queue and those that do not in another, so that a worker is not woken for
what it does not take. A worker that was woken goes on until nothing is left for it, and nobody hears a bell meanwhile:
so a queue holds no more of them than there may be idle workers, however many steps wait.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import structlog
from celery import Celery
from kombu.messaging import Producer

from app import logs
from app.jobs import Ready, Takes
from app.settings import Settings

RUN_STEP = "fastmtl.run_step"
QUEUE = "steps"
WITHOUT_DEVICE = "steps.cpu"
QUEUES: dict[Takes, list[str]] = {"all": [QUEUE, WITHOUT_DEVICE], "cpu": [WITHOUT_DEVICE], "gpu": [QUEUE]}
"""What a worker listens to, by the steps that it takes."""
MOST_WAITING = 1_000
"""Bells that hang in a queue unheard."""
POLLING_SECONDS = 0.1
MAX_CARRIED = 128
"""Characters of a header that is sent and read at all: a message is smaller than 1 KiB."""
MAX_TOLD = 10
"""Of steps that a line names."""

log = structlog.get_logger()


def celery_app(settings: Settings) -> Celery:
    """Return a Celery application that reaches the broker; the worker adds its own settings."""
    celery = Celery("fastmtl", set_as_current=False)
    celery.conf.update(
        broker_url=settings.broker or "localhost",
        task_default_queue=QUEUE,
        # Nothing but JSON is ever read from the broker: a pickle would run code.
        accept_content=["json"],
        task_serializer="json",
        # No result is kept: the database is the truth.
        task_ignore_result=True,
        # A broker that is down must not hold a request: the sweep rings again.
        task_publish_retry=False,
        broker_connection_timeout=2,
    )
    if settings.broker is None:
        celery.conf.update(broker_transport="app.folder_broker:Transport", broker_transport_options=_folders(settings))
    return celery


class Queue:
    """Rings workers."""

    def __init__(
        self, settings: Settings, carry: Callable[[], dict[str, str]] = dict, most_waiting: int = MOST_WAITING
    ) -> None:
        """Send messages whose headers tell what they come from, beside what `carry` returns for each ring."""
        self._most_waiting = most_waiting
        self._celery = celery_app(settings)
        self._carry = carry

    def ring(self, ready: Sequence[Ready]) -> None:
        """Wake a worker for each of these steps, in this order, as long as it could still be heard.

        A bell that cannot be rung now is rung by the sweep later.
        """
        for queue in (QUEUE, WITHOUT_DEVICE):
            step_ids = [each.step_id for each in ready if each.needs_device == (queue == QUEUE)]
            try:
                self._ring(queue, step_ids)
            except Exception as error:  # whatever a broker's driver raises: what is told of is committed already
                log.warning("queue.unreachable", step_ids=list(map(str, step_ids[:MAX_TOLD])), error=str(error))

    def _ring(self, queue: str, step_ids: list[uuid.UUID]) -> None:
        if not step_ids:
            return
        carried = {**logs.carried(), **self._carry()}
        with self._celery.producer_or_acquire() as producer:
            waiting = producer.channel.queue_declare(queue=queue, durable=True, auto_delete=False).message_count
            for step_id in step_ids[: max(0, self._most_waiting - waiting)]:
                _publish(producer, queue, step_id, carried)

    def close(self) -> None:
        """Give the broker's connections back."""
        self._celery.close()


def _publish(producer: Producer, queue: str, step_id: uuid.UUID, carried: dict[str, str]) -> None:
    """Send what Celery's protocol wants of a message (docs.celeryq.dev, Message Protocol, version 2), and no more.

    Celery itself would send as much again of what is null here.
    """
    number = str(uuid.uuid4())
    told = {"lang": "py", "task": RUN_STEP, "id": number, "root_id": number, "parent_id": None, "group": None}
    told |= {name: value for name, value in carried.items() if len(value) <= MAX_CARRIED}
    body = [[str(step_id)], {}, {}]
    send: Callable[..., object] = producer.publish
    send(body, routing_key=queue, exchange="", serializer="json", headers=told, correlation_id=number)


def messages_folder(settings: Settings) -> Path:
    """Return the folder that stands in for a broker."""
    return settings.home.absolute() / "broker" / "messages"


def _folders(settings: Settings) -> dict[str, Any]:
    """Return the options of the transport over files; its folders are made where missing."""
    messages = messages_folder(settings)
    control = messages.with_name("control")
    for folder in (messages, control):
        folder.mkdir(parents=True, exist_ok=True)
    return {
        "data_folder_in": str(messages),
        "data_folder_out": str(messages),
        "control_folder": str(control),
        "polling_interval": POLLING_SECONDS,
    }
