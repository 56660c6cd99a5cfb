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

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from app.clock import now
from app.db import Database
from app.errors import Conflict, NotFound, Unauthorized
from app.models import ApiKey, Tenant
from app.secret import service_secret, write_private
from app.settings import Settings

ALPHABET = string.digits + string.ascii_letters
MARK = "fastmtl"
PREFIX_LENGTH, SECRET_LENGTH, CHECKSUM_LENGTH = 12, 32, 6
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
        with self._database.reading() as session:
            key = session.scalar(select(ApiKey).where(ApiKey.prefix == prefix))
        # One answer for all of these, but for a key that proved itself: whoever guesses learns nothing.
        if key is None or not hmac.compare_digest(key.hash, self._hash(text)):
            raise Unauthorized("this key is not known here")
        at = self._clock()
        if key.revoked_at is not None and key.revoked_at <= at:
            raise Unauthorized("this key was revoked")
        if key.expires_at is not None and key.expires_at <= at:
            raise Unauthorized(f"this key expired at {key.expires_at.isoformat()}")
        if key.used_at is None or at - key.used_at > timedelta(seconds=USED_AT_SECONDS):
            with self._database.transaction() as session:
                session.execute(update(ApiKey).where(ApiKey.id == key.id).values(used_at=at))
        return Caller(key.tenant_id, Scope(key.scope), key.id)

    def counts(self, caller: Caller) -> bool:
        """Whether the key that let a caller in has not ended since: for answers that go on for long."""
        if caller.key_id is None:
            return True
        with self._database.reading() as session:
            key = session.get(ApiKey, caller.key_id)
        at = self._clock()
        return key is not None and all(end is None or end > at for end in (key.revoked_at, key.expires_at))

    def create(self, tenant_id: uuid.UUID, name: str, scope: Scope, expires_at: datetime | None = None) -> NewKey:
        """Make a key."""
        with self._database.transaction() as session:
            return self._add(session, tenant_id, name, scope, expires_at)

    def list(self, tenant_id: uuid.UUID) -> list[ApiKey]:
        """Return a tenant's keys, newest first, the ended ones too."""
        query = select(ApiKey).where(ApiKey.tenant_id == tenant_id).order_by(ApiKey.created_at.desc(), ApiKey.id)
        with self._database.reading() as session:
            return list(session.scalars(query))

    def revoke(self, tenant_id: uuid.UUID, key_id: uuid.UUID) -> ApiKey:
        """End a key at once; one that has ended stays as it is. Raises NotFound."""
        with self._database.transaction() as session:
            key = _get(session, tenant_id, key_id)
            key.revoked_at = key.revoked_at or self._clock()
            return key

    def rotate(self, tenant_id: uuid.UUID, key_id: uuid.UUID, overlap: timedelta) -> NewKey:
        """Make a key like this one, which ends itself when `overlap` is over. Raises NotFound, Conflict if it ended."""
        at = self._clock()
        with self._database.transaction() as session:
            old = _get(session, tenant_id, key_id)
            if old.revoked_at is not None or (old.expires_at is not None and old.expires_at <= at):
                raise Conflict("this key has ended; make a new one")
            lasts = old.expires_at - old.created_at if old.expires_at else None
            new = self._add(session, tenant_id, old.name, Scope(old.scope), at + lasts if lasts else None)
            old.expires_at = min(at + overlap, old.expires_at or at + overlap)
            return new

    def tenant(self, name: str, *, make: bool = False) -> Tenant:
        """Return a tenant by name. Raises NotFound."""
        with self._database.transaction() as session:
            return self._tenant(session, name, make)

    def first(self, path: Path) -> str | None:
        """Make an admin's key where there is no key at all, and write it to a file that only its owner reads.

        The file is complete before the key counts: who finds the one finds the other. Returns the key if it was made.
        """
        with self._database.transaction() as session:
            if session.scalar(select(func.count()).select_from(ApiKey)):
                return None
            tenant = self._tenant(session, DEFAULT_TENANT, make=True)
            made = self._add(session, tenant.id, "first", Scope.ADMIN, None)
            write_private(path, made.text + "\n")
        return made.text

    def _tenant(self, session: Session, name: str, make: bool) -> Tenant:
        found = session.scalar(select(Tenant).where(Tenant.name == name))
        if found is None and make:
            found = Tenant(id=uuid.uuid4(), name=name, created_at=self._clock())
            session.add(found)
            session.flush()
        if found is None:
            raise NotFound(f"there is no tenant {name!r}")
        return found

    def _add(
        self, session: Session, tenant_id: uuid.UUID, name: str, scope: Scope, expires_at: datetime | None
    ) -> NewKey:
        prefix = _random(PREFIX_LENGTH)
        body = f"{MARK}_{prefix}_{_random(SECRET_LENGTH)}"
        text = body + _checksum(body)
        key = ApiKey(
            id=uuid.uuid4(),
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


def _prefix_of(text: str) -> str:
    """Return the part that finds the key. Raises Unauthorized where the text cannot be one."""
    mark, _, rest = text.partition("_")
    prefix, _, secret = rest.partition("_")
    shaped = (mark, len(prefix), len(secret)) == (MARK, PREFIX_LENGTH, SECRET_LENGTH + CHECKSUM_LENGTH)
    if not shaped or not text.isascii() or _checksum(text[:-CHECKSUM_LENGTH]) != text[-CHECKSUM_LENGTH:]:
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
