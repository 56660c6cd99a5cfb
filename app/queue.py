"""Tells workers of steps: all of Celery that the service knows. A message is a bell, it carries an id and no fact."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import structlog
from celery import Celery

from app import logs
from app.settings import Settings

RUN_STEP = "fastmtl.run_step"
QUEUE = "steps"
POLLING_SECONDS = 0.1

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

    def __init__(self, settings: Settings, carry: Callable[[], dict[str, str]] = dict) -> None:
        """Send messages whose headers tell what they come from, beside what `carry` returns for each ring."""
        self._celery = celery_app(settings)
        self._carry = carry

    def ring(self, step_ids: list[uuid.UUID]) -> None:
        """Tell the workers of steps that are ready, in this order.

        A bell that cannot be rung now is rung by the sweep later.
        """
        headers = {**logs.carried(), **self._carry()}
        for step_id in step_ids:
            try:
                self._celery.send_task(RUN_STEP, args=[str(step_id)], queue=QUEUE, headers=headers)
            except Exception as error:  # whatever a broker's driver raises: what is told of is committed already
                log.warning("queue.unreachable", step_id=str(step_id), error=str(error))

    def close(self) -> None:
        """Give the broker's connections back."""
        self._celery.close()


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
