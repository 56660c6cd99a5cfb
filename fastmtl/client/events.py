"""A job's log, followed over connections that break. Torch-free."""

from __future__ import annotations

import time
from collections.abc import Iterator

from fastmtl.client.errors import ServiceError, TooManyRequests, Unavailable
from fastmtl.client.http import Http
from fastmtl.plan import Json

AGAIN_SECONDS, AWAY_SECONDS = 0.1, 2
"""Before a stream is opened again that ended, and one that failed."""


def follow(http: Http, path: str, after: int, patience_seconds: float) -> Iterator[Json]:
    """Yield the events behind a number until the job is over: none is missed, none comes twice.

    Raises the ServiceError of a refusal, and of a service that was away or busy for longer than `patience_seconds`.
    """
    patience = _Patience(patience_seconds)
    while True:
        try:
            for event in _connected(http, path, after, patience):
                after = event["number"]
                yield event
            time.sleep(AGAIN_SECONDS)
        except _Over:
            return
        except (Unavailable, TooManyRequests) as error:
            patience.wait_after(error)


def _connected(http: Http, path: str, after: int, patience: _Patience) -> Iterator[Json]:
    """Yield events until the connection ends. Raises _Over where nothing more will come."""
    with http.events(path, after) as events:
        patience.renew()
        if events is None:
            raise _Over
        yield from events


class _Over(Exception):
    """The job is over and all its events were seen."""


class _Patience:
    """How long to wait for a service that is away or busy."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._since: float | None = None

    def renew(self) -> None:
        """Note that it is there."""
        self._since = None

    def wait_after(self, error: ServiceError) -> None:
        """Wait a moment; raise what has lasted too long."""
        self._since = self._since or time.monotonic()
        if time.monotonic() - self._since >= self._seconds:
            raise error
        time.sleep(AWAY_SECONDS)
