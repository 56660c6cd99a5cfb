"""The engine and the one commit: `with database.transaction() as session`.

SQLite runs in WAL mode and every transaction that writes begins IMMEDIATE, so that two writers queue instead of
failing half-way (sqlite.org/lang_transaction.html).

On PostgreSQL a transaction in which nothing is said for a while is ended by the server: a process that stands still in
the middle of one, with its machine perhaps, would else hold its locks, and every change of the graph of steps waits for
the same one.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, make_url, text
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.orm import Session, sessionmaker
from sqlalchemy.pool import ConnectionPoolEntry

from app import revisions
from app.failpoints import reach
from app.settings import Settings

IDLE_SECONDS = 10.0
"""Of silence in a transaction, at most: ours say something every few milliseconds."""
BUSY_TIMEOUT_MS = 30_000
MOST_CONNECTIONS = 15
"""Of a process; each is opened when it is needed and kept, for to open one takes as long as several requests."""
TRUSTED_SECONDS = 1.0
"""How long a connection that worked is taken to be alive."""
MIGRATION_LOCK = 0x4D494752  # any constant of its own


class Database:
    """An engine and its sessions."""

    def __init__(self, url: str, idle_seconds: float = IDLE_SECONDS) -> None:
        self.url = url
        self.engine = _engine(url, idle_seconds)
        self._sessions = sessionmaker(self.engine, expire_on_commit=False)

    @staticmethod
    def of(settings: Settings) -> Database:
        """Return the service's: a transaction that stands still is over before the lease that it could be holding."""
        return Database(settings.database, min(IDLE_SECONDS, settings.lease_seconds / 3))

    @contextmanager
    def transaction(self) -> Iterator[Session]:
        """Commit on leaving, roll back on an exception. Publish to the queue after it, never inside."""
        with self._sessions.begin() as session:
            if self.engine.dialect.name == "sqlite":
                session.connection(execution_options={"sqlite_begin": "IMMEDIATE"})
            yield session
            reach("database.before-commit")

    @contextmanager
    def looking(self) -> Iterator[Session]:
        """Read by statements of which each sees what is committed by then: one alone needs no transaction around it."""
        with self._sessions() as session:
            if self.engine.dialect.name == "postgresql":
                session.connection(execution_options={"isolation_level": "AUTOCOMMIT"})
            yield session

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """One consistent read; nothing is written."""
        with self._sessions() as session:
            if self.engine.dialect.name == "postgresql":
                session.connection(execution_options={"isolation_level": "REPEATABLE READ"})
            yield session

    def migrate(self) -> None:
        """Bring the tables up to the newest migration; processes that do so at once wait for one another."""
        with self._migrating() as connection, connection.begin():
            if self.engine.dialect.name == "postgresql":
                connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": MIGRATION_LOCK})
            if revisions.is_empty(connection):
                revisions.create(connection)
            elif revisions.current(connection) != revisions.newest():
                import_module("app.migrating").upgrade(connection)

    @contextmanager
    def _migrating(self) -> Iterator[Connection]:
        """Open a connection for migrations.

        On SQLite a table is altered by copying and dropping it, and while foreign keys are heeded that deletes what
        refers to it (sqlite.org/lang_altertable.html, section 7).
        """
        with self.engine.connect().execution_options(sqlite_begin="IMMEDIATE") as connection:
            if self.engine.dialect.name != "sqlite":
                yield connection
                return
            driver: Any = connection.connection.dbapi_connection
            driver.execute("PRAGMA foreign_keys=OFF")
            yield connection
            driver.execute("PRAGMA foreign_keys=ON")

    def close(self) -> None:
        """Give all connections back."""
        self.engine.dispose()


def _engine(url: str, idle_seconds: float) -> Engine:
    # hide_parameters: they hold what users wrote, and errors are logged.
    if make_url(url).get_backend_name() != "sqlite":
        engine = create_engine(url, hide_parameters=True, pool_size=MOST_CONNECTIONS, max_overflow=0)
        event.listen(engine, "connect", lambda connection, _record: _prepare_postgres(connection, idle_seconds))
        event.listen(engine, "checkin", _note_return)
        event.listen(engine, "checkout", lambda connection, record, _proxy: _try_out(engine, connection, record))
        return engine
    engine = create_engine(url, hide_parameters=True, connect_args={"timeout": BUSY_TIMEOUT_MS / 1000})
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _prepare_postgres(connection: Any, idle_seconds: float) -> None:  # noqa: ANN401 - the driver's own connection
    with connection.cursor() as cursor:
        cursor.execute(f"SET idle_in_transaction_session_timeout = {round(1000 * idle_seconds)}")
    connection.commit()


def _note_return(_connection: object, record: ConnectionPoolEntry) -> None:
    record.info["returned"] = time.monotonic()


def _try_out(engine: Engine, connection: Any, record: ConnectionPoolEntry) -> None:  # noqa: ANN401 - the driver's own
    """Replace a connection that lay unused for a while and is dead; each that is used all the time need not be asked.

    A server that goes away just then fails what it was asked, as it does in the middle of a request.
    """
    if time.monotonic() - record.info.get("returned", -math.inf) < TRUSTED_SECONDS:
        return
    try:
        engine.dialect.do_ping(connection)
    except engine.dialect.loaded_dbapi.Error as error:
        raise DisconnectionError from error


def _prepare_sqlite(connection: Any, _record: Any) -> None:  # noqa: ANN401 - the driver's own connection
    connection.isolation_level = None  # the driver begins nothing by itself; _begin_sqlite does
    for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "foreign_keys=ON", f"busy_timeout={BUSY_TIMEOUT_MS}"):
        connection.execute(f"PRAGMA {pragma}")


def _begin_sqlite(connection: Connection) -> None:
    mode = connection.get_execution_options().get("sqlite_begin", "DEFERRED")
    connection.exec_driver_sql(f"BEGIN {mode}")
