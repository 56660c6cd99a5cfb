"""Models and migrations agree, and every migration can be taken back, on both databases."""

from __future__ import annotations

import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import MetaData, inspect, select, text

from app import revisions
from app.db import Database
from app.migrating import alembic_config
from app.models import Base, Tenant

ROOT = Path(__file__).parent.parent
REVISIONS = [each.revision for each in ScriptDirectory(str(ROOT / "migrations")).walk_revisions()]  # newest first


@pytest.fixture
def migrated(migrated_url: str) -> Iterator[Database]:
    database = Database(migrated_url)
    yield database
    database.close()


def test_models_and_migrations_agree(migrated: Database):
    assert differences(migrated) == []


def test_the_revisions_told_without_alembic_are_those_that_alembic_tells(migrated: Database):
    assert revisions.newest() == REVISIONS[0]
    with migrated.engine.connect() as connection:
        assert revisions.current(connection) == REVISIONS[0]


def test_tables_that_are_not_there_are_of_no_revision(tmp_path: Path):
    database = Database(f"sqlite:///{tmp_path / 'empty.db'}")
    with database.engine.connect() as connection:
        assert revisions.current(connection) is None
    database.close()


def test_every_migration_goes_down_and_up_again(migrated: Database):
    fresh = tables(migrated)
    seen = []
    for revision in [*REVISIONS[1:], "base", *reversed(REVISIONS)]:
        upwards = "base" in [name for name, _ in seen]
        move(migrated, revision, upwards)
        seen.append((revision, current(migrated)))
    assert [name if name != "base" else None for name, _ in seen] == [version for _, version in seen]
    assert (tables(migrated), differences(migrated)) == (fresh, [])


def test_what_is_made_at_once_is_what_all_migrations_make(migrated: Database):
    at_once = tables(migrated), tenants(migrated)
    move(migrated, "base", upwards=False)
    move(migrated, "head", upwards=True)
    assert at_once == (tables(migrated), tenants(migrated))


def test_what_was_there_before_tenants_becomes_the_default_tenants(migrated: Database):
    move(migrated, "0001", upwards=False)
    at = "2026-01-01 12:00:00"
    with migrated.engine.begin() as connection:
        for statement in (
            "INSERT INTO datasets VALUES (:id, 'rte', :at, 'classification', 3, 'd', 1, 's', 'k', '{}')",
            "INSERT INTO jobs (id, name, status, config, created_at) VALUES (:id, 'one', 'queued', '{}', :at)",
            "INSERT INTO job_datasets VALUES (:id, 0, :id, 'primary', 'rte')",
        ):
            connection.execute(text(statement), {"id": uuid.UUID(int=5).hex, "at": at})
    migrated.migrate()
    owners = "SELECT t.name FROM tenants t JOIN {} o ON o.tenant_id = t.id"
    with migrated.engine.connect() as connection:
        found = [connection.scalars(text(owners.format(name))).all() for name in ("datasets", "jobs")]
        kept = connection.scalars(text("SELECT key FROM job_datasets")).all()
    assert (found, kept) == ([["default"], ["default"]], ["rte"])


def test_nothing_but_alembics_own_table_is_left_at_the_bottom(migrated: Database):
    move(migrated, "base", upwards=False)
    assert set(tables(migrated)) == {"alembic_version"}


def test_migrating_what_is_migrated_changes_nothing(migrated: Database):
    before = tables(migrated)
    migrated.migrate()
    assert tables(migrated) == before


def test_the_migrations_are_one_line():
    assert len(ScriptDirectory(str(ROOT / "migrations")).get_heads()) == 1


def test_processes_that_migrate_at_once_wait_for_one_another(migrated: Database):
    move(migrated, "base", upwards=False)
    others = [Database(migrated.url) for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(Database.migrate, others))
    for other in others:
        other.close()
    assert differences(migrated) == []


def test_the_alembic_command_migrates_the_database_that_the_settings_name(migrated: Database, tmp_path: Path):
    move(migrated, "base", upwards=False)
    run = [sys.executable, "-m", "alembic", "-c", str(ROOT / "alembic.ini"), "upgrade", "head"]
    subprocess.run(run, check=True, cwd=tmp_path, env={**os.environ, "FASTMTL_DATABASE_URL": migrated.url})
    assert differences(migrated) == []


def tenants(database: Database) -> list[tuple[uuid.UUID, str]]:
    with database.engine.connect() as connection:
        return [(row.id, row.name) for row in connection.execute(select(Tenant.id, Tenant.name))]


def differences(database: Database) -> list[object]:
    with database.engine.connect() as connection:
        return list(compare_metadata(MigrationContext.configure(connection), Base.metadata))


def move(database: Database, revision: str, upwards: bool) -> None:
    with database.engine.connect().execution_options(sqlite_begin="IMMEDIATE") as connection, connection.begin():
        (command.upgrade if upwards else command.downgrade)(alembic_config(connection), revision)


def current(database: Database) -> str | None:
    with database.engine.connect() as connection:
        return MigrationContext.configure(connection).get_current_revision()


def tables(database: Database) -> dict[str, list[str]]:
    """Return every table with its columns, indexes and constraints, as the database tells them."""
    found = MetaData()
    found.reflect(database.engine)
    return {
        table.name: sorted([*map(repr, table.columns), *(repr(index) for index in table.indexes)])
        + sorted(str(key["constrained_columns"]) for key in inspect(database.engine).get_foreign_keys(table.name))
        for table in found.sorted_tables
    }
