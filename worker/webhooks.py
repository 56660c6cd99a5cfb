"""Delivers webhooks: a thread of the worker takes what is due, a few at a time, and tries for a day.

A delivery is claimed by one conditional UPDATE that moves its next attempt beyond the time that an attempt can take:
two workers never send it at once, and one whose worker died is due again by itself. 2xx is delivered, 410 wants no
more, anything else is tried again.

    attempt       1     2      3      4       5       6      7, 8 ...
    comes after   -     5 s    30 s   2 min   10 min  1 h    3 h each      a tenth more or less, until a day is over
"""

from __future__ import annotations

import random
import threading
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from sqlalchemy import CursorResult, select, update
from sqlalchemy.exc import DBAPIError

from app.clock import now
from app.db import Database
from app.models import WebhookDelivery
from app.settings import Settings
from worker.sender import Message, Outcome, Sender

log = structlog.get_logger()

DELAYS_SECONDS = (5, 30, 120, 600, 3600, 10_800)
"""Before the second attempt, the third ...; the last counts for all that follow."""
JITTER = 0.1
"""Share of a delay by which it is longer or shorter: what failed together does not come back together."""
LASTS = timedelta(days=1)
HELD = timedelta(seconds=120)
"""A claim lasts so long: an attempt, and a resolver that takes its time before it."""
AT_ONCE = 4
"""Attempts of one worker side by side: a receiver that does not answer must not hold up the others."""
LOOKED_AT = 20


@dataclass(frozen=True)
class Claimed:
    """A message that this worker may send, until `held_until`."""

    message: Message
    created_at: datetime
    attempt: int
    held_until: datetime


class Courier:
    """Delivers what is due."""

    def __init__(
        self, database: Database, settings: Settings, sender: Sender | None = None, clock: Callable[[], datetime] = now
    ) -> None:
        self._database, self._clock = database, clock
        self._pause = settings.webhook_poll_seconds
        self._sender = sender or Sender(settings)
        self._random = random.Random()
        self._free = threading.Semaphore(AT_ONCE)

    def run(self, stopping: threading.Event) -> None:
        """Deliver until the worker stops; what is on its way then is due again later."""
        while not stopping.is_set():
            self._free.acquire()
            claimed = self._claim_or_nothing()
            if claimed is None:
                self._free.release()
                stopping.wait(self._pause)
            else:
                # A daemon: a receiver that is slow must not hold up a worker that stops.
                threading.Thread(target=self._deliver_and_free, args=(claimed,), name="webhook", daemon=True).start()

    def claim(self) -> Claimed | None:
        """Take a message that is due; None where there is none."""
        at = self._clock()
        due = select(WebhookDelivery).where(WebhookDelivery.next_attempt_at <= at)
        with self._database.reading() as session:
            found = session.scalars(due.order_by(WebhookDelivery.next_attempt_at).limit(LOOKED_AT)).all()
        for each in found:
            if each.attempts and at > each.created_at + LASTS + HELD:  # its workers died again and again
                self._write(each.id, each.next_attempt_at, next_attempt_at=None, last_error="not sent; given up")
            elif self._write(each.id, each.next_attempt_at, next_attempt_at=at + HELD, attempts=each.attempts + 1):
                message = Message(each.id, each.tenant_id, each.job_id, each.url, each.body)
                return Claimed(message, each.created_at, each.attempts + 1, at + HELD)
        return None

    def deliver(self, claimed: Claimed) -> Outcome:
        """Send a message once, and write down how that ended."""
        outcome, message = self._sender.send(claimed.message), claimed.message
        at = self._clock()
        if outcome.delivered:
            self._write(message.id, claimed.held_until, next_attempt_at=None, delivered_at=at, last_error=None)
        else:
            due = next_attempt(claimed.created_at, claimed.attempt, at, self._random) if outcome.again else None
            told = outcome.sentence + ("" if due else "; given up")
            self._write(message.id, claimed.held_until, next_attempt_at=due, last_error=told)
        log.info(
            "webhook.sent",
            job_id=str(message.job_id),
            webhook_id=str(message.id),
            attempt=claimed.attempt,
            delivered=outcome.delivered,
            outcome=outcome.sentence,
        )
        return outcome

    def _claim_or_nothing(self) -> Claimed | None:
        try:
            return self.claim()
        except DBAPIError as error:
            log.warning("webhooks.unreachable", error=str(error.orig))
            return None

    def _deliver_and_free(self, claimed: Claimed) -> None:
        try:
            self.deliver(claimed)
        except DBAPIError as error:  # not written down: it is due again when the claim runs out
            log.warning("webhooks.unreachable", error=str(error.orig))
        finally:
            self._free.release()

    def _write(self, delivery_id: uuid.UUID, was_due_at: datetime | None, **values: object) -> bool:
        """Change a delivery, unless another worker has meanwhile; say whether it was changed."""
        own = (WebhookDelivery.id == delivery_id, WebhookDelivery.next_attempt_at == was_due_at)
        change = update(WebhookDelivery).where(*own).values(**values)
        with self._database.transaction() as session:
            result = session.execute(change.execution_options(synchronize_session=False))
            assert isinstance(result, CursorResult)
            return result.rowcount == 1


def next_attempt(created_at: datetime, attempts: int, at: datetime, draw: random.Random) -> datetime | None:
    """Return when to try again after so many attempts; None where that would be after a day."""
    delay = DELAYS_SECONDS[min(attempts, len(DELAYS_SECONDS)) - 1]
    due = at + timedelta(seconds=delay * draw.uniform(1 - JITTER, 1 + JITTER))
    return due if due <= created_at + LASTS else None
