"""The Celery application of a worker; every setting with its reason."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping

from celery import Celery, Task

from app.queue import MAX_CARRIED, RUN_STEP, celery_app
from app.settings import Settings

REDIS = ("redis", "sentinel")
"""How a Redis broker's address begins."""
VISIBILITY_SECONDS = 3600


def worker_app(settings: Settings, work: Callable[[uuid.UUID, Mapping[str, str]], None]) -> Celery:
    """Return the application that hands every message's id, and what else it carries, to `work`."""
    celery = celery_app(settings)
    celery.conf.update(
        # A message is only a bell: it is gone once heard, and what it was for stands in the database. Late
        # acknowledgement would let Redis ring again, on another worker, whatever takes over an hour (its visibility
        # timeout), and a step that kills its worker would come back for ever.
        task_acks_late=False,
        # Nor is one given back when its worker is lost: the step's lease runs out, and the sweep rings again.
        task_reject_on_worker_lost=False,
        # A soft shutdown gives tasks time to end and their messages back. Here a worker that is told to stop ends its
        # step's process at once and gives the step back in the database (worker.tasks), and there is no message to give
        # back: none, then, whoever sends SIGQUIT, and an idle worker does not wait for one either.
        worker_soft_shutdown_timeout=0.0,
        worker_enable_soft_shutdown_on_idle=False,
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
        # Nobody listens: what happens is in the job's log and in our own metrics.
        worker_send_task_events=False,
    )
    # That only JSON is read, and that no result is kept, holds for the service too: app.queue says so.
    if settings.broker and settings.broker.startswith(REDIS):
        celery.conf.update(
            # With one thread even a multiplier of 1 takes a bell ahead, unacknowledged for as long as the step before
            # it takes; Celery can do without on Redis alone.
            worker_disable_prefetch=True,
            # So a message waits for its acknowledgement a moment, never for a step, and this, Celery's own default,
            # does not apply: a bell whose worker died in that moment is rung by the sweep long before.
            broker_transport_options={"visibility_timeout": VISIBILITY_SECONDS},
        )

    @celery.task(name=RUN_STEP, bind=True, shared=False)  # type: ignore[untyped-decorator]
    def ring(task: Task, step_id: str) -> None:
        work(uuid.UUID(step_id), _carried(task))

    celery.finalize()
    return celery


def _carried(task: Task) -> dict[str, str]:
    """Return the message's own headers: they say where it comes from, and nothing depends on them."""
    headers = task.request.headers or {}
    return {str(name): value for name, value in headers.items() if isinstance(value, str) and len(value) <= MAX_CARRIED}
