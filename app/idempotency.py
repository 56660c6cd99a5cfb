"""Answers that can be asked for twice: what an Idempotency-Key stands for (draft-ietf-httpapi-idempotency-key-header).

    no row ── begin ──▶ held ── keep ──▶ answered ── forget, a day later ──▶ no row
                         ├── free: refused, nothing was made ──────────────▶ no row
                         └── let go, or its process died ──▶ begin again, as the same thing

The row is written before the request does anything, with the id of what it will make. So a request that is sent again
after its process died makes nothing twice: what has that id is there, and is the answer. A row is held as a step is
leased: for `lease_seconds`, renewed every `heartbeat_seconds`, and whoever comes after that takes it over. Should the
first holder have been asleep and not dead, both make the thing with the one id, and the first answer kept counts for
both.

A body is compared by its SHA-256, which is in the row before the request can act on the whole body.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from sqlalchemy import CursorResult, and_, delete, or_, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session
from sqlalchemy.sql.elements import ColumnElement

from app.clock import now
from app.db import Database
from app.models import IdempotentAnswer, Json
from app.settings import Settings

OTHER_BODY = "this Idempotency-Key came with another body before"


class Answer(NamedTuple):
    """What a request was answered with."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes | None
    """None: it was given once and not kept."""


@dataclass(frozen=True)
class Asked:
    """A request under a key."""

    tenant_id: uuid.UUID
    key: str
    request: str
    """Method and path with query."""


class Begun(NamedTuple):
    """The request is this process's to answer."""

    resource_id: uuid.UUID
    body_sha256: str | None
    """Of an attempt before, or as it was given."""


class Answered(NamedTuple):
    """The request was answered before."""

    answer: Answer
    body_sha256: str | None


class Held(NamedTuple):
    """The request is being answered by another."""


class Taken(NamedTuple):
    """The key stands for another request."""

    told: str


class IdempotentAnswers:
    """Keeps the answers."""

    def __init__(self, database: Database, settings: Settings, clock: Callable[[], datetime] = now) -> None:
        self._database = database
        self._settings = settings
        self._clock = clock

    def begin(self, asked: Asked, body_sha256: str | None) -> Begun | Answered | Held | Taken:
        """Take a request on, or find what became of it; a body that is not read yet has no digest."""
        try:
            return self._begin(asked, body_sha256)
        except IntegrityError:  # PostgreSQL: another inserted the row after this one found none
            return self._begin(asked, body_sha256)

    def note_body(self, asked: Asked, begun: Begun, body_sha256: str) -> None:
        """Write down what the body was, before anything is made of it."""
        self._change(asked, begun, body_sha256=body_sha256)

    def hold_on(self, asked: Asked, begun: Begun) -> None:
        """Renew the hold."""
        self._change(asked, begun, held_until=self._held_until())

    def keep(self, asked: Asked, begun: Begun, answer: Answer) -> Answer:
        """Keep an answer and return the one that counts: another process may have been first."""
        if self._change(asked, begun, status=answer.status, headers=_to_json(answer.headers), body=answer.body):
            return answer
        with self._database.reading() as session:
            row = session.get(IdempotentAnswer, (asked.tenant_id, asked.key))
            return answer if row is None or row.resource_id != begun.resource_id else _answer(row)

    def let_go(self, asked: Asked, begun: Begun) -> None:
        """Let the request be begun again, as the same thing: it failed, and something may have been made."""
        self._change(asked, begun, held_until=self._clock())

    def free(self, asked: Asked, begun: Begun) -> None:
        """Forget the key: the request was refused and nothing was made."""
        with self._database.transaction() as session:
            session.execute(delete(IdempotentAnswer).where(*_open(asked, begun)))

    def _begin(self, asked: Asked, body_sha256: str | None) -> Begun | Answered | Held | Taken:
        at = self._clock()
        with self._database.transaction() as session:
            row = session.get(IdempotentAnswer, (asked.tenant_id, asked.key), with_for_update=True)
            if row is not None and _is_over(row, at, self._settings.idempotency_seconds):
                session.delete(row)
                session.flush()
                row = None
            if row is None:
                row = self._new_row(asked, body_sha256)
                session.add(row)
                session.flush()
                return Begun(row.resource_id, body_sha256)
            if row.request != asked.request:
                return Taken(f"this Idempotency-Key stands for {row.request[:200]}")
            if differ(row.body_sha256, body_sha256):
                return Taken(OTHER_BODY)
            if row.status is not None:
                return Answered(_answer(row), row.body_sha256)
            if row.held_until > at:
                return Held()
            row.held_until = self._held_until()
            row.body_sha256 = row.body_sha256 or body_sha256
            return Begun(row.resource_id, row.body_sha256)

    def _new_row(self, asked: Asked, body_sha256: str | None) -> IdempotentAnswer:
        return IdempotentAnswer(
            tenant_id=asked.tenant_id,
            key=asked.key,
            request=asked.request,
            body_sha256=body_sha256,
            resource_id=uuid.uuid4(),
            created_at=self._clock(),
            held_until=self._held_until(),
        )

    def _held_until(self) -> datetime:
        return self._clock() + timedelta(seconds=self._settings.lease_seconds)

    def _change(self, asked: Asked, begun: Begun, **values: object) -> bool:
        """Change a row that is not answered; say whether it was there."""
        with self._database.transaction() as session:
            result = session.execute(update(IdempotentAnswer).where(*_open(asked, begun)).values(**values))
            assert isinstance(result, CursorResult)
            return result.rowcount == 1


def differ(known: str | None, found: str | None) -> bool:
    """Whether two digests differ; one that is not known yet differs from none."""
    return known is not None and found is not None and known != found


def forget(session: Session, at: datetime, seconds: float) -> int:
    """Remove the answers that are older than `seconds`; return how many. A request that is held is not one of them."""
    old = IdempotentAnswer.created_at < at - timedelta(seconds=seconds)
    loose = or_(IdempotentAnswer.status.is_not(None), IdempotentAnswer.held_until <= at)
    result = session.execute(delete(IdempotentAnswer).where(and_(old, loose)))
    assert isinstance(result, CursorResult)
    return result.rowcount


def _is_over(row: IdempotentAnswer, at: datetime, seconds: float) -> bool:
    """Whether `forget` would remove it."""
    loose = row.status is not None or row.held_until <= at
    return loose and row.created_at < at - timedelta(seconds=seconds)


def _open(asked: Asked, begun: Begun) -> tuple[ColumnElement[bool], ...]:
    """Find the row of this request while it has no answer."""
    row = IdempotentAnswer
    return (
        row.tenant_id == asked.tenant_id,
        row.key == asked.key,
        row.resource_id == begun.resource_id,
        row.status.is_(None),
    )


def _to_json(headers: list[tuple[str, str]]) -> Json:
    return {"headers": [list(pair) for pair in headers]}


def _answer(row: IdempotentAnswer) -> Answer:
    assert row.status is not None and row.headers is not None, "only a kept answer is read"
    return Answer(row.status, [(name, value) for name, value in row.headers["headers"]], row.body)
