"""One request under an Idempotency-Key: its body digested while it streams by, its answer kept before it is sent.

Kept for a day is what a second attempt would be told again: 2xx, and the 4xx that tell of the request itself (400, 404,
406, 409, 422). Not kept are

- 401 and 403: they tell of the API key, and another may be sent next;
- 408, 413, 423, 429 and every 4xx with Retry-After: they tell of the moment, of load and quotas, not of the request;
- 5xx: nobody knows what was done. The next attempt finds out, for it makes the same thing by its id;
- answers over 1 MiB: the next attempt answers with what is there by its id;
- an answer that was given before the whole body came: it cannot be told what it was the answer to;
- the body of an answer that says Cache-Control: no-store, for that holds a secret. It is given once: asked again, the
  service says (409) that it was done, and where.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager

import anyio
import structlog
from sqlalchemy.exc import SQLAlchemyError
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.types import ASGIApp, Message, Receive, Send

from app.errors import AnswerNotKept, BadIdempotencyKey, InFlight, KeyReused
from app.idempotency import OTHER_BODY, Answer, Answered, Asked, Begun, Held, IdempotentAnswers, Taken, differ

KEY_HEADER = "Idempotency-Key"
REPLAYED = ("idempotent-replayed", "true")
MAX_KEY_LENGTH = 255
SMALL_BYTES = 2**20
"""A body up to this is read before anything is done; an answer up to this is kept."""
PASSING = (401, 403, 408, 413, 423, 429)
VISIBLE = re.compile(r"[\x21-\x7e]+")

log = structlog.get_logger()


def key_of(values: Sequence[str]) -> str:
    """Return the key that the header's values give, quoted (RFC 9651) or bare. Raises BadIdempotencyKey."""
    value = values[0].strip()
    quoted = len(value) > 1 and value[0] == value[-1] == '"'
    key = re.sub(r'\\(["\\])', r"\1", value[1:-1]) if quoted else value
    if len(values) > 1 or len(key) > MAX_KEY_LENGTH or not VISIBLE.fullmatch(key):
        raise BadIdempotencyKey(
            f"an Idempotency-Key is one value of 1 to {MAX_KEY_LENGTH} visible ASCII characters; a UUID is a good one"
        )
    return key


class Exchange:
    """The request, from its first byte to the last of its answer."""

    def __init__(
        self, answers: IdempotentAnswers, tenant_id: uuid.UUID, request: Request, renew_seconds: float
    ) -> None:
        self._answers, self._request, self._renew_seconds = answers, request, renew_seconds
        asked = f"{request.method} {request.url.path}" + (f"?{request.url.query}" if request.url.query else "")
        self._asked = Asked(tenant_id, key_of(request.headers.getlist(KEY_HEADER)), asked)
        self._body = _Body(request.receive)
        self._reused = False

    async def answer(self, app: ASGIApp, send: Send) -> None:
        """Answer as before, or let `app` answer and keep it.

        Raises KeyReused for another request under the key, InFlight while the first is still being answered.
        """
        await self._body.read_small()
        found = await run_in_threadpool(self._answers.begin, self._asked, self._body.sha256)
        if isinstance(found, Taken):
            raise _reused(found.told)
        if isinstance(found, Held):
            raise InFlight
        if isinstance(found, Answered):
            await self._answer_again(found, send)
        else:
            await self._answer_anew(found, app, send)

    async def _answer_again(self, found: Answered, send: Send) -> None:
        await self._body.read_out()
        if differ(found.body_sha256, self._body.sha256):
            raise _reused(OTHER_BODY)
        answer = found.answer
        if answer.body is None:
            place = dict(answer.headers).get("location", "see the list")
            raise AnswerNotKept(f"this was done, and its answer, which held a secret, was given once: {place}")
        await _send(answer._replace(headers=[*answer.headers, REPLAYED]), send)

    async def _answer_anew(self, begun: Begun, app: ASGIApp, send: Send) -> None:
        self._request.state.resource_id = begun.resource_id
        capture = _Capture(send, lambda answer: self._settle(begun, answer))

        async def receive() -> Message:
            message = await self._body.next()
            if self._body.was_ended_by(message):
                await self._check_body(begun)
            return message

        async def guarded(message: Message) -> None:
            if not self._reused:
                await capture.take(message)

        try:
            async with self._holding(begun):
                await app(self._request.scope, receive, guarded)
        except BaseException:
            with anyio.CancelScope(shield=True):
                await self._note(self._answers.let_go, begun)
            raise
        if self._reused:
            raise _reused(OTHER_BODY)

    async def _check_body(self, begun: Begun) -> None:
        """Before the last piece of a body is handed on: write its digest down, or refuse the request."""
        digest = self._body.sha256
        assert digest is not None, "it has ended"
        if differ(begun.body_sha256, digest):
            self._reused = True
            await self._note(self._answers.let_go, begun)
            raise _reused(OTHER_BODY)
        if begun.body_sha256 is None:
            await run_in_threadpool(self._answers.note_body, self._asked, begun, digest)

    async def _settle(self, begun: Begun, answer: Answer) -> Answer:
        """Keep an answer, or see to it that it is not; return the one to send."""
        headers = dict(answer.headers)
        refused = 400 <= answer.status < 500
        if refused and (answer.status in PASSING or "retry-after" in headers or self._body.sha256 is None):
            await self._note(self._answers.free, begun)
        elif answer.status >= 500 or answer.body is None or self._body.sha256 is None:
            await self._note(self._answers.let_go, begun)
        elif "no-store" in headers.get("cache-control", ""):
            await self._note(self._answers.keep, begun, answer._replace(body=None))
        else:
            return await self._note(self._answers.keep, begun, answer) or answer
        return answer

    async def _note(self, change: Callable[..., Answer | None], begun: Begun, *more: Answer) -> Answer | None:
        """Change the row. Where the database fails the answer is sent all the same, and the hold runs out."""
        try:
            return await run_in_threadpool(change, self._asked, begun, *more)
        except SQLAlchemyError as error:
            log.warning("idempotency.not_noted", request=self._asked.request, error=str(error))
            return None

    @asynccontextmanager
    async def _holding(self, begun: Begun) -> AsyncIterator[None]:
        """Renew the hold while the request is worked on."""
        renewing = asyncio.create_task(self._renew(begun))
        try:
            yield
        finally:
            renewing.cancel()
            await asyncio.wait([renewing])

    async def _renew(self, begun: Begun) -> None:
        while True:
            await asyncio.sleep(self._renew_seconds)
            await self._note(self._answers.hold_on, begun)


class _Body:
    """A request's body, digested as it is read; a small one is read ahead."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._ahead: list[Message] = []
        self._digest = hashlib.sha256()
        self._last: Message | None = None
        self.sha256: str | None = None
        """None until the whole body was read."""

    async def read_small(self) -> None:
        """Read the body, or the beginning of a large one; `next` gives it again."""
        held = 0
        while self.sha256 is None and held <= SMALL_BYTES:
            message = await self._read()
            held += len(message.get("body", b""))
            self._ahead.append(message)

    async def read_out(self) -> None:
        """Read what is left and keep none of it."""
        while self.sha256 is None:
            await self._read()

    async def next(self) -> Message:
        """Return the next piece, or that the client has gone."""
        if self._ahead:
            return self._ahead.pop(0)
        message = await self._receive()
        self._take(message)
        return message

    def was_ended_by(self, message: Message) -> bool:
        """Whether the piece was the body's last."""
        return message is self._last

    async def _read(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        self._take(message)
        return message

    def _take(self, message: Message) -> None:
        if message["type"] != "http.request" or self.sha256 is not None:
            return
        self._digest.update(message.get("body", b""))
        if not message.get("more_body", False):
            self._last, self.sha256 = message, self._digest.hexdigest()


class _Capture:
    """Holds an answer back until it is settled; one that is too large to be kept goes on as it comes."""

    def __init__(self, send: Send, settle: Callable[[Answer], Awaitable[Answer]]) -> None:
        self._send, self._settle = send, settle
        self._start: Message = {}
        self._body = b""
        self._passes = False

    async def take(self, message: Message) -> None:
        """Take a piece of the answer."""
        if self._passes:
            await self._send(message)
        elif message["type"] == "http.response.start":
            self._start = message
        elif message["type"] == "http.response.body":
            self._body += message.get("body", b"")
            if len(self._body) > SMALL_BYTES:
                self._passes = True
                await self._settle(self._answer(None))
                await self._send(self._start)
                await self._send({**message, "body": self._body})
            elif not message.get("more_body", False):
                await _send(await self._settle(self._answer(self._body)), self._send)

    def _answer(self, body: bytes | None) -> Answer:
        pairs = [(name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in self._start["headers"]]
        return Answer(self._start["status"], pairs, body)


async def _send(answer: Answer, send: Send) -> None:
    headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in answer.headers]
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": answer.body or b""})


def _reused(told: str) -> KeyReused:
    return KeyReused(f"{told}; send another key with a new request")
