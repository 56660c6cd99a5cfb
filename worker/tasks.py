"""What a worker does: answers the bell of a step, and sweeps for what no bell told of."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import uuid
from typing import Any

import structlog
from celery import signals
from sqlalchemy.exc import DBAPIError

from app.db import Database
from app.failpoints import reach
from app.jobs import Jobs
from app.queue import Queue
from app.settings import Settings
from app.storage import Storage
from worker.calibrator import Calibrator
from worker.celery import worker_app
from worker.checkpoints import remove_ended
from worker.supervisor import Supervisor, remove_left_scratch
from worker.webhooks import Courier

log = structlog.get_logger()


class Worker:
    """One worker process: one step at a time."""

    def __init__(self, settings: Settings) -> None:
        self.name = f"{socket.gethostname()}-{os.getpid()}"
        self._settings = settings
        self._stopping = threading.Event()
        self._database = Database(settings.database)
        self._jobs = Jobs(self._database, Queue(settings), settings)
        self._storage = Storage(settings.storage)
        self._supervisor = Supervisor(self._jobs, self._storage, settings, self._stopping)
        self._calibrator = Calibrator(self._database, settings)
        self._courier = Courier(self._database, settings)

    def run_step(self, step_id: uuid.UUID) -> None:
        """Claim a step and compute it; a bell that came too late or twice finds it taken."""
        if self._stopping.is_set():
            return  # the sweep of another worker rings again
        claim = self._jobs.claim(step_id, self.name)
        if claim:
            reach("worker.claimed")
            self._calibrator.give_way()
            self._supervisor.compute(claim)
            with contextlib.suppress(DBAPIError):  # after the next step, then
                remove_ended(self._storage, self._database)

    def sweep(self) -> None:
        """Sweep until the worker stops; an unreachable database or broker is tried again."""
        while not self._stopping.wait(self._settings.sweep_seconds):
            try:
                rung = self._jobs.sweep()
            except DBAPIError as error:
                log.warning("sweep.failed", error=str(error.orig))
                continue
            if rung:
                log.info("sweep.rang", steps=rung)

    def run(self) -> None:
        """Work until SIGTERM, SIGINT or SIGQUIT: then the running step is given back and the worker ends."""
        remove_left_scratch(self._settings)
        celery = worker_app(self._settings, self.run_step)

        def stop(**_: Any) -> None:  # noqa: ANN401 - whatever Celery sends with its signal
            self._stopping.set()

        signals.worker_shutting_down.connect(stop)
        threading.Thread(target=self.sweep, name="sweep", daemon=True).start()
        self._calibrator.start()
        threading.Thread(target=self._courier.run, args=(self._stopping,), name="webhooks", daemon=True).start()
        # A thread, not a forked process: the step has a process of its own, this one only watches it.
        celery.Worker(
            hostname=f"fastmtl@{self.name}",
            pool="threads",
            concurrency=1,
            loglevel="WARNING",
            without_gossip=True,
            without_mingle=True,
            quiet=True,
        ).start()
        self._stopping.set()
        self._calibrator.give_way()
        self._database.close()
