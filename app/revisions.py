"""Which revision the tables are of and which the code wants, told without Alembic: a process would keep all of it.

In an empty database the tables are made as the models say, which is what all migrations together come to
(tests/test_migrations.py): the first answer of a new home waits for no migration.
"""

from __future__ import annotations

import uuid
from pathlib import Path

from sqlalchemy import Column, Connection, MetaData, PrimaryKeyConstraint, String, Table, func, insert, inspect, text

from app.models import Base, Tenant

MIGRATIONS = Path(__file__).resolve().parent.parent / "migrations"
TABLE = "alembic_version"
DEFAULT_TENANT = uuid.UUID(int=1)
"""The tenant that migration 0002 makes."""


def newest() -> str:
    """Return the revision of the newest migration: files are named NUMBER_words.py after theirs."""
    return max(path.name.partition("_")[0] for path in (MIGRATIONS / "versions").glob("[0-9]*_*.py"))


def current(connection: Connection) -> str | None:
    """Return the revision of a database's tables; None where it has none yet."""
    if not inspect(connection).has_table(TABLE):
        return None
    found: str | None = connection.execute(text(f"SELECT version_num FROM {TABLE}")).scalar()
    return found


def is_empty(connection: Connection) -> bool:
    """Whether a database has no table at all."""
    return not inspect(connection).get_table_names()


def create(connection: Connection) -> None:
    """Make the newest tables in an empty database, and the one in which Alembic looks for their revision."""
    key = PrimaryKeyConstraint("version_num", name=f"{TABLE}_pkc")  # as Alembic makes it
    table = Table(TABLE, MetaData(), Column("version_num", String(32), nullable=False), key)
    Base.metadata.create_all(connection, checkfirst=False)
    table.create(connection)
    connection.execute(insert(table).values(version_num=newest()))
    connection.execute(insert(Tenant).values(id=DEFAULT_TENANT, name="default", created_at=func.now()))
