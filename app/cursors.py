"""Pages by cursor, stable while new rows come in: newest first, or by number. A cursor is opaque to clients."""

from __future__ import annotations

import base64
import json
import uuid
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Generic, NamedTuple, TypeVar

from sqlalchemy import Select, tuple_
from sqlalchemy.orm import Session

from app.models import ApiKey, Dataset, Job, PartialUpload
from fastmtl.errors import InvalidConfig

Item = TypeVar("Item")


class Page(NamedTuple, Generic[Item]):
    """Some items, and what leads to the next; None on the last page."""

    items: list[Item]
    next_cursor: str | None


def newest_first(
    session: Session,
    query: Select[Item],
    table: type[Dataset] | type[Job] | type[ApiKey] | type[PartialUpload],
    limit: int,
    cursor: str | None,
) -> Page[Item]:
    """Return `limit` rows after the cursor. Raises InvalidConfig for a cursor that is not one of ours."""
    if cursor is not None:
        query = query.where(tuple_(table.created_at, table.id) < tuple_(*_decode(cursor)))
    query = query.order_by(table.created_at.desc(), table.id.desc()).limit(limit + 1)
    found: Sequence[Item] = session.scalars(query).all()
    last = found[limit - 1] if len(found) > limit else None
    return Page(list(found[:limit]), None if last is None else _encode(last.created_at, last.id))  # type: ignore[attr-defined]


def position_after(number: int) -> str:
    """Return the cursor of what follows a number, in pages that run upwards."""
    return _wrap([number])


def number_of(cursor: str) -> int:
    """Return the number that a cursor follows. Raises InvalidConfig for a cursor that is not one of ours."""
    try:
        (number,) = _unwrap(cursor)
        if type(number) is not int or not 0 <= number < 2**63:
            raise ValueError("no number")
        return number
    except (ValueError, TypeError) as error:
        raise _foreign() from error


def _encode(at: datetime, key: uuid.UUID) -> str:
    return _wrap([at.isoformat(), str(key)])


def _decode(cursor: str) -> tuple[datetime, uuid.UUID]:
    try:
        at, key = _unwrap(cursor)
        parsed = datetime.fromisoformat(at)
        if parsed.tzinfo is None:
            raise ValueError("no zone")
        return parsed, uuid.UUID(key)
    except (ValueError, TypeError, AttributeError) as error:
        raise _foreign() from error


def _wrap(parts: list[int] | list[str]) -> str:
    return base64.urlsafe_b64encode(json.dumps(parts).encode()).decode().rstrip("=")


def _unwrap(cursor: str) -> Any:  # noqa: ANN401 - whatever a client sent
    return json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))


def _foreign() -> InvalidConfig:
    return InvalidConfig("cursor", "this is not a cursor that this service gave; begin without one")
