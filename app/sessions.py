"""Sessions of the web page: somebody shows a key once and is known by a cookie from then on.

The cookie holds a random token, never the key. Of the token only a keyed hash is stored, with its end and the key that
it was begun with: a session lets in whom that key would let in, as long as that key would.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import NamedTuple

from sqlalchemy import delete

from app.clock import now
from app.db import Database
from app.errors import Unauthorized
from app.keys import Caller, Keys
from app.models import ApiKey, PageSession
from app.secret import service_secret
from app.settings import Settings

MARK = "fastmtl-session"
"""A token begins so: a line of a log that holds one is found by it (app.logs)."""
TOKEN_BYTES = 32
MAX_TOKEN_CHARS = 200


class NewSession(NamedTuple):
    """A session that was just begun."""

    token: str
    """Nothing can show it again."""
    expires_at: datetime


class Sessions:
    """Begins, checks and ends sessions."""

    def __init__(self, database: Database, keys: Keys, settings: Settings, clock: Callable[[], datetime] = now) -> None:
        self._database, self._keys, self._clock = database, keys, clock
        self._secret = service_secret(settings)
        self._lasts = timedelta(seconds=settings.session_seconds)

    def begin(self, key: str) -> NewSession:
        """Begin a session with a key; those that have ended are forgotten. Raises Unauthorized."""
        caller = self._keys.authenticate(key)
        token = f"{MARK}.{secrets.token_urlsafe(TOKEN_BYTES)}"
        assert caller.key_id is not None, "it was let in by a key"
        at = self._clock()
        begun = PageSession(hash=self._hash(token), key_id=caller.key_id, created_at=at, expires_at=at + self._lasts)
        with self._database.transaction() as session:
            session.execute(delete(PageSession).where(PageSession.expires_at <= at))
            session.add(begun)
        return NewSession(token, begun.expires_at)

    def authenticate(self, token: str) -> Caller:
        """Return whose session it is. Raises Unauthorized where it, or its key, has ended."""
        with self._database.reading() as session:
            found = session.get(PageSession, self._hash(token)) if len(token) <= MAX_TOKEN_CHARS else None
            key = session.get(ApiKey, found.key_id) if found else None
        if found is None or key is None or found.expires_at <= self._clock():
            raise Unauthorized("this session has ended: sign in again")
        return self._keys.let_in(key)

    def end(self, token: str) -> None:
        """End a session; one that has ended, or never was, is left alone."""
        with self._database.transaction() as session:
            session.execute(delete(PageSession).where(PageSession.hash == self._hash(token)))

    def _hash(self, token: str) -> str:
        return hmac.new(self._secret, token.encode(), hashlib.sha256).hexdigest()
