"""Sends one message once, signed, and says how that ended.

It goes through no proxy, follows no redirect, and reaches only an address that `app.public_address` let through. Of the
answer the status counts and nothing is kept, least of all its body.
"""

from __future__ import annotations

import ssl
import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

import httpcore2
import structlog

from app.clock import now
from app.models import Json
from app.public_address import Connect, Lookup, NotAllowed, Pinned, Rules, Target, parse
from app.settings import Settings
from app.webhooks import content_of, signed_headers, tenant_secret

log = structlog.get_logger()

ATTEMPT_SECONDS = 10
"""From the lookup of the name to the end of the answer."""
AGENT = "FastMTL-Webhooks/1"
GONE = 410


@dataclass(frozen=True)
class Message:
    """What is sent."""

    id: uuid.UUID
    tenant_id: uuid.UUID
    job_id: uuid.UUID
    url: str
    body: Json


@dataclass(frozen=True)
class Outcome:
    """How an attempt ended."""

    delivered: bool
    sentence: str
    again: bool = True
    """Whether another attempt may end otherwise."""


class Sender:
    """Sends messages; `lookup` and `connect` are all that reaches the network."""

    def __init__(
        self,
        settings: Settings,
        clock: Callable[[], datetime] = now,
        lookup: Lookup | None = None,
        connect: Connect | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._settings, self._clock = settings, clock
        self._rules = Rules.of(settings)
        self._lookup, self._connect = lookup, connect
        self._tls = tls or httpcore2.default_ssl_context()

    def send(self, message: Message) -> Outcome:
        """Send it once. Raises nothing."""
        try:
            target = parse(message.url, self._rules)  # again: what is allowed may have changed
            return _judge(self._post(message, target))
        except NotAllowed as error:
            return Outcome(False, f"not sent: {error}")
        except httpcore2.TimeoutException:
            return Outcome(False, f"no answer within {ATTEMPT_SECONDS} s")
        except httpcore2.ConnectError as error:
            tls = isinstance(error.__context__, ssl.SSLError)
            return Outcome(False, "no trusted TLS connection" if tls else "the connection failed")
        except (httpcore2.NetworkError, httpcore2.ProtocolError):
            return Outcome(False, "the connection broke before there was an answer")
        except Exception as error:  # a border: whatever it was, the message must not be held for ever
            log.error("webhook.failed", webhook_id=str(message.id), exc_info=error)
            return Outcome(False, "not sent: this service made a mistake")

    def _post(self, message: Message, target: Target) -> int:
        """Send it and return the status of the answer."""
        content = content_of(message.body)
        secret = tenant_secret(self._settings, message.tenant_id)
        headers = [
            ("Host", target.authority),
            ("Content-Type", "application/json"),
            ("Content-Length", str(len(content))),
            ("User-Agent", AGENT),
            ("Connection", "close"),
            *signed_headers(secret, message.id, content, self._clock()).items(),
        ]
        url = httpcore2.URL(scheme=target.scheme, host=target.host, port=target.port, target=target.path)
        backend = Pinned(target, self._rules, ATTEMPT_SECONDS, self._lookup, self._connect)
        with (
            httpcore2.ConnectionPool(self._tls, max_connections=1, network_backend=backend) as pool,
            pool.stream("POST", url, headers=headers, content=content) as answer,
        ):
            with suppress(httpcore2.NetworkError, httpcore2.ProtocolError, httpcore2.TimeoutException):
                next(answer.iter_stream(), None)  # 64 KiB at most: a short answer is not cut off, a long one is
            return answer.status


def _judge(status: int) -> Outcome:
    if 200 <= status < 300:
        return Outcome(True, f"it answered {status}")
    if status == GONE:
        return Outcome(False, "it answered 410: it wants no more", again=False)
    return Outcome(False, f"it answered {status}" + (", and redirects are not followed" if status // 100 == 3 else ""))
