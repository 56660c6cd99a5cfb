"""Which revision the tables are of and which the code wants, told without Alembic: a process would keep all of it."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Connection, inspect, text

MIGRATIONS = Path(__file__).resolve().parent.parent / "migrations"
TABLE = "alembic_version"


def newest() -> str:
    """Return the revision of the newest migration: files are named NUMBER_words.py after theirs."""
    return max(path.name.partition("_")[0] for path in (MIGRATIONS / "versions").glob("[0-9]*_*.py"))


def current(connection: Connection) -> str | None:
    """Return the revision of a database's tables; None where it has none yet."""
    if not inspect(connection).has_table(TABLE):
        return None
    found: str | None = connection.execute(text(f"SELECT version_num FROM {TABLE}")).scalar()
    return found
