"""A job's events as they come: Server-Sent Events from the same rows as the pages.

    id: 7                                       the event's number: sent back as Last-Event-ID, it goes on after it
    event: step.succeeded
    data: {"number":7,"at":...,"type":...,"data":...}

A stream looks into the database a few times a second, in another thread, and holds no connection between two looks. It
ends after the job's last event, when the job is deleted, when the key ends, when the client leaves and when the process
stops: whoever was cut off comes back with the last number and misses nothing.

FastAPI's own EventSourceResponse is for operations that yield: those answer 200 whatever they find, and this one also
answers 204, 404, 503 and pages.
"""

from __future__ import annotations

import asyncio
import threading
import time
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

import structlog
from fastapi import Response
from fastapi.responses import StreamingResponse
from sqlalchemy.exc import DBAPIError
from starlette.concurrency import run_in_threadpool
from starlette.types import Receive, Scope, Send

from app import events
from app.db import Database
from app.errors import Busy, NotFound, TooManyStreams
from app.keys import Caller, Keys
from app.models import Event
from app.schemas_events import EventOut
from app.settings import Settings

log = structlog.get_logger()

MEDIA_TYPE = "text/event-stream"
AT_ONCE = 200
"""Events read at a time: one may be some KiB."""
RETRY_MS = 2000
"""How long a client is told to wait before it comes back."""
RETRY_AFTER = {"Retry-After": "5"}


@dataclass(frozen=True)
class Pace:
    """How often a stream does what."""

    look_seconds: float
    keep_alive_seconds: float = 15
    """A comment after so long a silence: proxies cut connections that carry nothing."""
    key_seconds: float = 30
    """A key that was revoked follows nothing any more after so long."""
    clock: Callable[[], float] = time.monotonic


class Streams:
    """The open streams of this process: how many there may be, and their end when it stops."""

    def __init__(self, database: Database, keys: Keys, settings: Settings, pace: Pace | None = None) -> None:
        self.keys = keys
        self.pace = pace or Pace(settings.event_poll_seconds)
        self._database = database
        self._most, self._most_of_one = settings.max_event_streams, settings.max_event_streams_per_tenant
        self._open: set[_Place] = set()
        self._closed = False
        self._lock = threading.Lock()

    def follow(self, caller: Caller, job_id: uuid.UUID, after: int) -> Response:
        """Return a stream of what comes after a number; 204 where nothing ever will. Raises NotFound."""
        news = self.read(caller, job_id, after)
        if news is None:
            raise NotFound(f"there is no job {job_id}")
        if news.over and not news.events:
            return Response(status_code=204)
        return EventStream(self, caller, job_id, after)

    def read(self, caller: Caller, job_id: uuid.UUID, after: int) -> events.News | None:
        """Look once."""
        return events.read(self._database, caller.tenant_id, job_id, after, AT_ONCE)

    @contextmanager
    def place(self, tenant_id: uuid.UUID) -> Iterator[_Place]:
        """Take a place among the open streams. Raises Busy, TooManyStreams."""
        place = _Place(tenant_id, asyncio.get_running_loop())
        with self._lock:
            of_tenant = Counter(each.tenant_id for each in self._open)[tenant_id]
            if self._closed or len(self._open) >= self._most:
                raise Busy("this process follows as many jobs as it can; try again in a moment", headers=RETRY_AFTER)
            if of_tenant >= self._most_of_one:
                raise TooManyStreams(
                    f"{of_tenant} streams of events are open, and no more are allowed; close one, or read pages",
                    headers=RETRY_AFTER,
                )
            self._open.add(place)
        try:
            yield place
        finally:
            with self._lock:
                self._open.discard(place)

    def close(self) -> None:
        """End all streams and open no more: the process stops, and waits for its answers to end."""
        with self._lock:
            self._closed = True
            for place in self._open:
                place.loop.call_soon_threadsafe(place.closing.set)


@dataclass(frozen=True, eq=False)
class _Place:
    """An open stream's."""

    tenant_id: uuid.UUID
    loop: asyncio.AbstractEventLoop
    closing: asyncio.Event = field(default_factory=asyncio.Event)


class EventStream(StreamingResponse):
    """The answer that goes on."""

    media_type = MEDIA_TYPE

    def __init__(self, streams: Streams, caller: Caller, job_id: uuid.UUID, after: int) -> None:
        self._streams, self._caller, self._job_id, self._after = streams, caller, job_id, after
        self._place: _Place | None = None
        # Proxies must neither keep it nor hold it back; nginx holds back unless told.
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no", "Vary": "Accept"}
        super().__init__(self._chunks(), headers=headers)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it. A place is taken here, not by who makes the answer: an answer that is never sent takes none."""
        with self._streams.place(self._caller.tenant_id) as self._place:
            await super().__call__(scope, receive, send)

    async def _chunks(self) -> AsyncIterator[bytes]:
        pace, after = self._streams.pace, self._after
        heard = checked = pace.clock()
        yield f"retry: {RETRY_MS}\n\n".encode()  # at once, so that the client knows that it is connected
        while True:
            news = await self._look(after)
            if news is None:
                return
            if news.events:
                yield _in_wire_format(news.events)
                after, heard = news.events[-1].number, pace.clock()
            if news.over and len(news.events) < AT_ONCE:
                return
            if len(news.events) < AT_ONCE and await self._closes_within(pace.look_seconds):
                return
            if pace.clock() - heard >= pace.keep_alive_seconds:
                yield b": nothing new\n\n"
                heard = pace.clock()
            if pace.clock() - checked >= pace.key_seconds:
                if not await run_in_threadpool(self._streams.keys.counts, self._caller):
                    return
                checked = pace.clock()

    async def _look(self, after: int) -> events.News | None:
        """Read on; None where the job is gone, or the database does not answer: the client comes back."""
        try:
            return await run_in_threadpool(self._streams.read, self._caller, self._job_id, after)
        except DBAPIError as error:
            log.warning("stream.cut", job_id=str(self._job_id), error=str(error.orig))
            return None

    async def _closes_within(self, seconds: float) -> bool:
        """Wait; say whether the process stops."""
        assert self._place is not None
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._place.closing.wait()
        return self._place.closing.is_set()


def is_wanted(accept: str) -> bool:
    """Whether an Accept header asks for a stream, and for nothing else more (RFC 9110, 12.5.1)."""
    quality: dict[str, float] = {}
    for part in accept.lower().split(","):
        kind, *parameters = (piece.strip() for piece in part.split(";"))
        given = next((piece[2:] for piece in parameters if piece.startswith("q=")), "1")
        with suppress(ValueError):
            quality[kind] = float(given)
    others = [value for kind, value in quality.items() if kind != MEDIA_TYPE]
    return quality.get(MEDIA_TYPE, 0) > 0 and quality[MEDIA_TYPE] >= max(others, default=0)


def _in_wire_format(found: Sequence[Event]) -> bytes:
    """Return events as lines of a stream: JSON has no line breaks of its own, and no type has one."""
    items = [EventOut.model_validate(each) for each in found]
    return "".join(
        f"id: {each.number}\nevent: {each.type}\ndata: {each.model_dump_json()}\n\n" for each in items
    ).encode()
