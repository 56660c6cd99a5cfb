"""API keys: made, found again, turned off. Of a key only a keyed hash is stored; the key itself is shown once.

    fastmtl_3fJ8kQ0aZ1bX_ 9cV…32 characters…  4hT2Lw
            prefix: finds   secret: proves     checksum of all before it: a typo is told without asking the database

The hash is HMAC-SHA256 under the service's secret (FASTMTL_SECRET, or a file in the home). A key has 190 random bits,
so a slow hash would add nothing (RFC 2104; the same reasoning as GitHub's tokens).
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import string
import uuid
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path

import structlog
from sqlalchemy import func, or_, select, update
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from app import tenants
from app.clock import now
from app.cursors import Page, newest_first
from app.db import Database
from app.errors import AnswerNotKept, Conflict, Forbidden, NotFound, Unauthorized
from app.models import ApiKey, Tenant
from app.secret import service_secret, write_private
from app.settings import Settings

log = structlog.get_logger()

ALPHABET = string.digits + string.ascii_letters
_DIGITS = frozenset(ALPHABET)
MARK = "fastmtl"
PREFIX_LENGTH, SECRET_LENGTH, CHECKSUM_LENGTH = 12, 32, 6
NO_HASH = "0" * 64
"""What a key is compared with where there is none."""
DEFAULT_TENANT = "default"
USED_AT_SECONDS = 60
"""How exactly the last use of a key is noted: a write a request would cost more than the request."""


class Scope(StrEnum):
    """What a key may do; each may do what those before it may."""

    READ = "read"
    WRITE = "write"
    ADMIN = "admin"

    def allows(self, needed: Scope) -> bool:
        """Whether a key of this scope may do what needs the other."""
        order = list(Scope)
        return order.index(self) >= order.index(needed)


@dataclass(frozen=True)
class Caller:
    """Who asks."""

    tenant_id: uuid.UUID
    scope: Scope
    key_id: uuid.UUID | None
    """None where the service is open."""


@dataclass(frozen=True)
class NewKey:
    """A key that was just made, and what is known of it."""

    text: str
    """The key itself: nothing can show it again."""
    record: ApiKey


class Keys:
    """Makes, checks and ends keys."""

    def __init__(self, database: Database, settings: Settings, clock: Callable[[], datetime] = now) -> None:
        self._database = database
        self._secret = service_secret(settings)
        self._clock = clock

    def authenticate(self, text: str) -> Caller:
        """Return whose key it is. Raises Unauthorized for one that is no key, unknown, expired or revoked."""
        prefix = _prefix_of(text)
        with self._database.looking() as session:
            key = session.scalar(select(ApiKey).where(ApiKey.prefix == prefix))
        # An unknown prefix costs what a wrong secret does, and both have one answer: whoever guesses learns nothing.
        proved = hmac.compare_digest(key.hash if key else NO_HASH, self._hash(text))
        if key is None or not proved:
            raise Unauthorized("this key is not known here")
        return self.let_in(key)

    def let_in(self, key: ApiKey) -> Caller:
        """Return whom a key that was proved lets in, and note that it was used. Raises Unauthorized if it has ended."""
        at = self._clock()
        if key.revoked_at is not None:  # whatever time that was on another machine's clock
            raise Unauthorized("this key was revoked")
        if not key.counts(at):
            raise Unauthorized(f"this key expired at {key.expires_at:%Y-%m-%dT%H:%M:%SZ}")
        self._note_use(key, at)
        return Caller(key.tenant_id, Scope(key.scope), key.id)

    def counts(self, caller: Caller) -> bool:
        """Whether the key that let a caller in has not ended since: for answers that go on for long."""
        if caller.key_id is None:
            return True
        with self._database.reading() as session:
            key = session.get(ApiKey, caller.key_id)
        return key is not None and key.counts(self._clock())

    def create(
        self,
        tenant_id: uuid.UUID,
        name: str,
        scope: Scope,
        expires_at: datetime | None = None,
        *,
        giver: Scope = Scope.ADMIN,
        key_id: uuid.UUID | None = None,
    ) -> NewKey:
        """Make a key, of that id where one is given.

        Raises Forbidden where it could do more than the key that asks for it, AnswerNotKept where it is there already.
        """
        if not giver.allows(scope):
            raise Forbidden(f"a key with the scope {giver} cannot make one with the scope {scope}")
        with self._database.transaction() as session:
            return self._add(session, tenant_id, name, scope, expires_at, key_id)

    def page(self, tenant_id: uuid.UUID, limit: int, cursor: str | None) -> Page[ApiKey]:
        """Return some of a tenant's keys, newest first, the ended ones too."""
        with self._database.reading() as session:
            return newest_first(session, select(ApiKey).where(ApiKey.tenant_id == tenant_id), ApiKey, limit, cursor)

    def revoke(self, tenant_id: uuid.UUID, key_id: uuid.UUID, *, even_last: bool = False) -> ApiKey:
        """End a key at once; one that has ended stays as it is.

        Raises NotFound, and Conflict for the tenant's last admin key: nobody could make another. `even_last` does it.
        """
        at = self._clock()
        with self._database.transaction() as session:
            tenants.lock(session, tenant_id)  # or two that revoke one another's key leave none
            key = _get(session, tenant_id, key_id)
            if not even_last and key.scope == Scope.ADMIN and key.counts(at) and not _other_admin(session, key, at):
                raise Conflict("this is the last admin key: make another first, or let the operator revoke it")
            key.revoked_at = key.revoked_at or at
            return key

    def rotate(
        self, tenant_id: uuid.UUID, key_id: uuid.UUID, overlap: timedelta, new_id: uuid.UUID | None = None
    ) -> NewKey:
        """Make a key like this one, for as long as this one was made for; this one ends when `overlap` is over.

        That end stands: a key is replaced once, so nobody who was told when it ends is surprised, and the life of a key
        is always counted from what it was made for. To end it sooner it is revoked. Raises NotFound, Conflict for a key
        that was replaced or has ended, AnswerNotKept where the new one is there already.
        """
        at = self._clock()
        with self._database.transaction() as session:
            tenants.lock(session, tenant_id)  # of two rotations at once one makes a key
            old = _get(session, tenant_id, key_id)
            _check_new(session, new_id)
            if old.replaced_by is not None:
                raise Conflict(
                    f"this key was replaced by the key {old.replaced_by}: rotate that one, or make a new one"
                )
            if not old.counts(at):
                raise Conflict("this key has ended; make a new one")
            lasts = old.expires_at - old.created_at if old.expires_at else None
            new = self._add(session, tenant_id, old.name, Scope(old.scope), at + lasts if lasts else None, new_id)
            old.expires_at = min(at + overlap, old.expires_at or at + overlap)
            old.replaced_by = new.record.id
            return new

    def tenant(self, name: str, *, make: bool = False) -> Tenant:
        """Return a tenant by name; with `make` one that is not there is made. Raises NotFound."""
        with self._database.transaction() as session:
            return self._tenant(session, name, make)

    def first(self, path: Path) -> str | None:
        """Make an admin's key where there is no key at all, and write it to a file that only its owner reads.

        The file is complete before the key counts: who finds the one finds the other. Returns the key if it was made.
        """
        with self._database.transaction() as session:
            tenant = tenants.lock(session, self._tenant(session, DEFAULT_TENANT, make=True).id)  # of two starts one
            if session.scalar(select(func.count()).select_from(ApiKey)):
                return None
            made = self._add(session, tenant.id, "first", Scope.ADMIN, None)
            write_private(path, made.text + "\n")
        return made.text

    def _tenant(self, session: Session, name: str, make: bool) -> Tenant:
        try:
            return tenants.find(session, name)
        except NotFound:
            if not make:
                raise
            return tenants.add(session, name, self._clock())

    def _note_use(self, key: ApiKey, at: datetime) -> None:
        """Note when a key was used, if that was not noted lately; a request does not fail for that."""
        stale = at - timedelta(seconds=USED_AT_SECONDS)
        if key.used_at is not None and key.used_at >= stale:
            return
        note = update(ApiKey).where(ApiKey.id == key.id, or_(ApiKey.used_at.is_(None), ApiKey.used_at < stale))
        try:
            with self._database.transaction() as session:
                session.execute(note.values(used_at=at))
        except OperationalError as error:
            log.warning("key.use_not_noted", key_id=str(key.id), error=type(error.orig).__name__)

    def _add(
        self,
        session: Session,
        tenant_id: uuid.UUID,
        name: str,
        scope: Scope,
        expires_at: datetime | None,
        key_id: uuid.UUID | None = None,
    ) -> NewKey:
        _check_new(session, key_id)
        prefix = _random(PREFIX_LENGTH)
        body = f"{MARK}_{prefix}_{_random(SECRET_LENGTH)}"
        text = body + _checksum(body)
        key = ApiKey(
            id=key_id or uuid.uuid4(),
            tenant_id=tenant_id,
            name=name,
            prefix=prefix,
            hash=self._hash(text),
            scope=scope,
            created_at=self._clock(),
            expires_at=expires_at,
        )
        session.add(key)
        session.flush()
        return NewKey(text, key)

    def _hash(self, text: str) -> str:
        return hmac.new(self._secret, text.encode(), hashlib.sha256).hexdigest()


def _get(session: Session, tenant_id: uuid.UUID, key_id: uuid.UUID) -> ApiKey:
    key = session.get(ApiKey, key_id)
    if key is None or key.tenant_id != tenant_id:
        raise NotFound(f"there is no key {key_id}")
    return key


def _check_new(session: Session, key_id: uuid.UUID | None) -> None:
    """Raise AnswerNotKept where a key of that id is there."""
    if key_id is not None and session.get(ApiKey, key_id) is not None:
        raise AnswerNotKept(f"the key {key_id} was made, and what it is was told once: rotate it, or revoke it")


def _other_admin(session: Session, key: ApiKey, at: datetime) -> bool:
    """Whether the tenant has another admin key that counts."""
    others = select(ApiKey).where(
        ApiKey.tenant_id == key.tenant_id, ApiKey.scope == Scope.ADMIN, ApiKey.id != key.id, ApiKey.revoked_at.is_(None)
    )
    return any(other.counts(at) for other in session.scalars(others))


def _prefix_of(text: str) -> str:
    """Return the part that finds the key. Raises Unauthorized where the text cannot be one."""
    mark, _, rest = text.partition("_")
    prefix, _, secret = rest.partition("_")
    shaped = (mark, len(prefix), len(secret)) == (MARK, PREFIX_LENGTH, SECRET_LENGTH + CHECKSUM_LENGTH)
    if (
        not shaped
        or not set(prefix + secret) <= _DIGITS
        or _checksum(text[:-CHECKSUM_LENGTH]) != text[-CHECKSUM_LENGTH:]
    ):
        raise Unauthorized(f"this is not a key of this service: keys begin with {MARK}_, and this one may have a typo")
    return prefix


def _random(length: int) -> str:
    return "".join(secrets.choice(ALPHABET) for _ in range(length))


def _checksum(text: str) -> str:
    """CRC-32 in base 62, six digits."""
    left, digits = zlib.crc32(text.encode()), ""
    for _ in range(CHECKSUM_LENGTH):
        left, digit = divmod(left, len(ALPHABET))
        digits = ALPHABET[digit] + digits
    return digits
