"""The Celery application of a worker; every setting with its reason."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping

from celery import Celery, Task

from app.queue import RUN_STEP, celery_app
from app.settings import Settings

MAX_CARRIED = 300
"""Characters of a header that is read at all."""


def worker_app(settings: Settings, run_step: Callable[[uuid.UUID, Mapping[str, str]], None]) -> Celery:
    """Return the application that hands every message's id, and what else it carries, to `run_step`."""
    celery = celery_app(settings)
    celery.conf.update(
        # A message is only a bell: it is gone once heard, and what it was for stands in the database. Late
        # acknowledgement would let Redis ring again, on another worker, whatever takes over an hour (its visibility
        # timeout), and a step that kills its worker would come back for ever.
        task_acks_late=False,
        # A busy worker must not hoard bells that an idle one could answer.
        worker_prefetch_multiplier=1,
        # A step goes on when the broker goes away for a moment: True was seen to end jobs when Redis restarted.
        worker_cancel_long_running_tasks_on_connection_loss=False,
        broker_connection_retry_on_startup=True,
        # Workers wait for a broker that is down, for as long as it takes.
        broker_connection_max_retries=None,
        # The root logger and standard output are the program's.
        worker_hijack_root_logger=False,
        worker_redirect_stdouts=False,
        worker_send_task_events=False,
    )
    if settings.broker_url:
        celery.conf.worker_disable_prefetch = True  # Redis only

    @celery.task(name=RUN_STEP, bind=True)  # type: ignore[untyped-decorator]
    def ring(task: Task, step_id: str) -> None:
        run_step(uuid.UUID(step_id), _carried(task))

    celery.finalize()
    return celery


def _carried(task: Task) -> dict[str, str]:
    """Return the message's own headers: they say where it comes from, and nothing depends on them."""
    headers = task.request.headers or {}
    return {str(name): value for name, value in headers.items() if isinstance(value, str) and len(value) <= MAX_CARRIED}
