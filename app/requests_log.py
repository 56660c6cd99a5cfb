"""One log line and the measures of every request.

Pure ASGI, around everything else: bodies pass through as they come, nothing is held back, a client that leaves is seen,
and the answer to an unexpected error is under a request id too.
"""

from __future__ import annotations

import re
import time
import uuid
from collections.abc import Mapping

import structlog
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app import logs
from app.metrics import RequestMetrics

log = structlog.get_logger()

REQUEST_ID = "X-Request-Id"
GOOD_ID = re.compile(r"[!-~]{1,100}")
SIGNS_OF_LIFE = ("/v1/health", "/v1/ready")
"""Asked every few seconds for ever: their good answers are told at level debug."""
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
EVENT_STREAM = "text/event-stream"


class RequestLog:
    """Wraps an application."""

    def __init__(self, app: ASGIApp, metrics: RequestMetrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, and tell of it when it is over."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        exchange = Exchange(scope, receive, send, self._metrics)
        token = logs.MORE.set(exchange.fields)
        bound = structlog.contextvars.bind_contextvars(request_id=exchange.request_id)
        self._metrics.in_progress.inc()
        try:
            await self._app(scope, exchange.receive, exchange.send)
        except Exception:
            # The answer to an unexpected error is complete by now, and `app.problems` told of it; the server would
            # tell again. What breaks later than the beginning of an answer nobody has told of.
            if not (exchange.complete and exchange.status == 500):
                log.exception("request.failed")
        finally:
            self._metrics.in_progress.dec()
            exchange.end()
            logs.MORE.reset(token)
            structlog.contextvars.reset_contextvars(**bound)


class Exchange:
    """A request and what was seen of its answer."""

    def __init__(self, scope: Scope, receive: Receive, send: Send, metrics: RequestMetrics) -> None:
        given = Headers(scope=scope).get(REQUEST_ID, "")
        self.request_id = given if GOOD_ID.fullmatch(given) else str(uuid.uuid4())
        self.status: int | None = None
        self.complete = False
        self.left = False
        """The client went away before the answer was complete."""
        self._scope, self._receive, self._send, self._metrics = scope, receive, send, metrics
        self._began = time.monotonic()
        self._received = 0
        self._streaming = False
        self._location: str | None = None

    async def receive(self) -> Message:
        """Receive the next piece of the request."""
        message = await self._receive()
        if message["type"] == "http.disconnect":
            self.left = self.left or not self.complete
        else:
            self._received += len(message.get("body", b""))
            self._metrics.uploaded.inc(len(message.get("body", b"")))
        return message

    async def send(self, message: Message) -> None:
        """Send the next piece of the answer; with the first goes the request's id."""
        if message["type"] == "http.response.start":
            message = self._begin(message)
        try:
            await self._send(message)
        except OSError:
            self.left = True
            raise
        if message["type"] == "http.response.body" and not message.get("more_body", False):
            self.complete = True

    def fields(self) -> Mapping[str, object]:
        """Return what is known by now of whom and what the request is about."""
        known: dict[str, object] = {}
        caller = self._scope.get("state", {}).get("caller")
        if caller is not None:
            known["tenant_id"] = str(caller.tenant_id)
        if "job_id" in self._scope.get("path_params", {}):
            known["job_id"] = str(self._scope["path_params"]["job_id"])
        return known

    def end(self) -> None:
        """Note that it is over."""
        seconds = time.monotonic() - self._began
        if self._streaming:
            self._metrics.streams.dec()
        else:
            self._measure(seconds)
        if self.left and not self._streaming:  # leaving is how most event streams end
            self._metrics.left.inc()
        more: dict[str, object] = {"received": self._received} if self._received else {}
        if self._location:
            more["location"] = self._location  # says which job or dataset was made
        if self.left:
            more["client_left"] = True
        tell = log.info if self.status and self.status < 500 else log.warning
        if self._scope["path"] in SIGNS_OF_LIFE and self.status == 200:
            tell = log.debug
        tell(
            "request",
            method=self._scope["method"],
            path=self._scope["path"],
            status=self.status,
            milliseconds=round(1000 * seconds, 1),
            **more,
        )

    def _begin(self, message: Message) -> Message:
        self.status = message["status"]
        headers = Headers(raw=list(message.get("headers", [])))
        # Not where a download was sent on to: who has that address has the file.
        self._location = None if 300 <= message["status"] < 400 else headers.get("location")
        if headers.get("content-type", "").startswith(EVENT_STREAM):
            # It lasts as long as somebody listens: what counts is when it began.
            self._streaming = True
            self._metrics.streams.inc()
            self._measure(time.monotonic() - self._began)
        return {**message, "headers": [*headers.raw, (REQUEST_ID.lower().encode(), self.request_id.encode())]}

    def _measure(self, seconds: float) -> None:
        route = getattr(self._scope.get("route"), "path", None)
        method = self._scope["method"]
        self._metrics.seconds.labels(
            route=route if isinstance(route, str) else "other",
            method=method if method in METHODS else "other",
            status=f"{self.status // 100}xx" if self.status else "none",
        ).observe(seconds)
