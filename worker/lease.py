"""A step stays this worker's while no process of it runs, and while the database is away for a moment."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator

from sqlalchemy.exc import DBAPIError

from app.jobs import Claim, Jobs

ATTEMPTS = 5


@contextlib.contextmanager
def held(jobs: Jobs, claim: Claim, heartbeat_seconds: float) -> Iterator[None]:
    """Renew the lease while the step's files, which may be large, are brought or stored."""
    patiently(lambda: jobs.beat(claim, None))
    over = threading.Event()

    def renew() -> None:
        while not over.wait(heartbeat_seconds):
            with contextlib.suppress(DBAPIError):  # the lease runs on for a while
                jobs.beat(claim, None)

    renewing = threading.Thread(target=renew, name="hold", daemon=True)
    renewing.start()
    try:
        yield
    finally:
        over.set()
        renewing.join()


def patiently(write: Callable[[], bool]) -> bool:
    """Write to a database that may be away for a moment."""
    for attempt in range(ATTEMPTS):
        try:
            return write()
        except DBAPIError:
            if attempt + 1 == ATTEMPTS:
                raise
            time.sleep(2**attempt)
    raise AssertionError("unreachable")
