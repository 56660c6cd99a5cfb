"""What a worker does: answers the bell of a step, and sweeps for what no bell told of."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import structlog
from celery import signals
from sqlalchemy.exc import SQLAlchemyError
from structlog.contextvars import bound_contextvars

from app.clock import now
from app.db import Database
from app.failpoints import reach
from app.idempotency import forget
from app.janitor import remove_orphans
from app.jobs import Claim, Jobs
from app.logs import CARRIED
from app.metrics import process_registry, served
from app.queue import QUEUES, Queue
from app.roll import Roll
from app.settings import Settings
from app.storage import is_usable, open_storage
from app.tracing import Tracing, describe, start_tracing
from worker.attempts import CURRENT, Attempt
from worker.calibrator import Calibrator
from worker.celery import worker_app
from worker.checkpoints import remove_ended
from worker.metrics import WorkerMetrics
from worker.supervisor import Supervisor, remove_left_scratch
from worker.webhooks import Courier

log = structlog.get_logger()

MAX_TOLD = 10
"""Of things that a line names: jobs that wait for a step, folders that were removed."""
NOT_FAILED = ("done", "not ours", "stopped")


class Worker:
    """One worker process: one step at a time."""

    def __init__(self, settings: Settings, tracing: Tracing | None = None) -> None:
        """Put the parts together; in tests `tracing` stands in for what the settings say."""
        self.name = f"{socket.gethostname()}-{os.getpid()}"
        self.registry = process_registry()
        self._settings = settings
        self._stopping = threading.Event()
        self._tracing = tracing or start_tracing(settings, "worker")
        self._metrics = WorkerMetrics(self.registry)
        self._roll = Roll(settings)
        self._database = Database.of(settings)
        self._jobs = Jobs(self._database, Queue(settings, self._tracing.carry), settings)
        self._storage = open_storage(settings, of_worker=True)
        self._supervisor = Supervisor(self._jobs, self._storage, settings, self._stopping)
        self._calibrator = Calibrator(self._database, settings)
        self._courier = Courier(self._database, settings)

    def work(self, rung_for: uuid.UUID, carried: Mapping[str, str]) -> None:
        """Compute the step whose turn it is, and the next, until there is none; a bell that came too late finds none.

        `carried` is what the bell told of the step that it was rung for, which need not be the one whose turn it is.
        """
        while not self._stopping.is_set():  # else the sweep of another worker rings again
            claim = self._jobs.claim_next(self.name, self._settings.takes)
            if claim is None:
                return
            reach("worker.claimed")
            self._compute(claim, carried if claim.step_id == rung_for else {})

    def _compute(self, claim: Claim, carried: Mapping[str, str]) -> None:
        request = {CARRIED: carried[CARRIED]} if CARRIED in carried else {}
        with bound_contextvars(step_id=str(claim.step_id), **request):
            self._calibrator.give_way()
            jobs = [str(each) for each in claim.job_ids[:MAX_TOLD]]
            with bound_contextvars(tenant_id=str(claim.tenant_id), job_ids=jobs), self._attempt(claim, carried):
                log.info("step.began", step=claim.spec.name, attempt=claim.attempt)
                self._supervisor.compute(claim)
            with contextlib.suppress(SQLAlchemyError, OSError):  # after the next step, then
                remove_ended(self._storage, self._database)

    def sweep(self) -> None:
        """Sweep until the worker stops; an unreachable database or broker is tried again."""
        tidied = time.monotonic()
        while not self._stopping.wait(self._settings.sweep_seconds):
            try:
                rung = self._jobs.sweep() if self._jobs.is_due() else 0
            except SQLAlchemyError as error:
                self._metrics.sweep_failed()
                log.warning("sweep.failed", error=str(getattr(error, "orig", error)))
                continue
            self._metrics.swept(rung)
            self._call()
            if rung:
                log.info("sweep.rang", steps=rung)
            if time.monotonic() - tidied > self._storage.tidy_seconds:
                # In a thread: sweeps must go on while a store that is away is waited for.
                threading.Thread(target=self._tidy, name="tidy", daemon=True).start()
                tidied = time.monotonic()

    def _tidy(self) -> None:
        """Remove what nobody needs any more: files without a row, answers that nobody can ask for again."""
        try:
            removed = remove_orphans(self._database, self._storage)
            with self._database.transaction() as session:
                forget(session, now(), self._settings.idempotency_seconds)
        except (SQLAlchemyError, OSError) as error:
            log.warning("tidying.failed", error=str(error))
            return
        if removed:
            log.info("orphans.removed", folders=removed[:MAX_TOLD], count=len(removed))

    def run(self) -> int:
        """Work until SIGTERM, SIGINT or SIGQUIT: then the running step is given back and the worker ends.

        Returns the status to exit with: Celery comes back quietly from what it cannot go on after, too.
        """
        if not is_usable(self._settings):
            return 1
        remove_left_scratch(self._settings)
        celery = worker_app(self._settings, self.work)

        def stop(**_: Any) -> None:  # noqa: ANN401 - whatever Celery sends with its signal
            self.stop()

        def leave_logging(**_: Any) -> None:  # noqa: ANN401
            """Keep Celery from setting up logging: it does so unless somebody listens here."""

        signals.worker_shutting_down.connect(stop)
        signals.setup_logging.connect(leave_logging)
        threading.Thread(target=self.sweep, name="sweep", daemon=True).start()
        self._calibrator.start()
        threading.Thread(target=self._courier.run, args=(self._stopping,), name="webhooks", daemon=True).start()
        # A thread, not a forked process: the step has a process of its own, this one only watches it.
        worker = celery.Worker(
            hostname=f"fastmtl@{self.name}",
            pool="threads",
            concurrency=1,
            queues=QUEUES[self._settings.takes],
            without_gossip=True,
            without_mingle=True,
            quiet=True,
        )
        with served(self.registry, self._settings):
            log.info("worker.started", worker=self.name)
            worker.start()
        self.stop()
        self._calibrator.give_way()
        self._supervisor.close()
        self._roll.leave(self.name)
        self._tracing.close()
        self._database.close()
        return worker.exitcode or 0

    def stop(self) -> None:
        """Take no more steps, give the running one back, sweep no more."""
        self._stopping.set()

    @contextmanager
    def _attempt(self, claim: Claim, carried: Mapping[str, str]) -> Iterator[None]:
        """Measure an attempt at a step and make a span of it."""
        attempt = Attempt(claim.spec.kind, self._tracing)
        told = {"kind": attempt.kind, "step_id": str(claim.step_id), "attempt": claim.attempt}
        began = time.monotonic()
        token = CURRENT.set(attempt)
        self._metrics.step_began(attempt)
        with self._tracing.message(f"step {attempt.kind}", carried, **told) as span:
            try:
                yield
            except BaseException:
                attempt.outcome = "error"
                raise
            finally:
                CURRENT.reset(token)
                self._metrics.step_ended(attempt, time.monotonic() - began)
                failed = attempt.outcome not in NOT_FAILED
                describe(span, failed, outcome=attempt.outcome, rows_per_second=attempt.rows_per_second())

    def _call(self) -> None:
        try:
            self._roll.call(self.name)
        except OSError as error:
            log.warning("roll.failed", error=str(error))
