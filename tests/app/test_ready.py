"""Readiness: each part is really tried, what hangs is given up, and a stranger learns no more than which part it is."""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import text
from structlog.testing import capture_logs

from app.db import Database
from app.ready import PATIENCE_SECONDS, Readiness
from app.settings import Settings
from app.storage import open_storage

GOOD = {"database": "ok", "storage": "ok", "broker": "ok"}
HANGS = f"no answer within {PATIENCE_SECONDS:g} s"
CLOSED = "127.0.0.1:1"


@pytest.fixture
def silent() -> Iterator[str]:
    """An address that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield "{}:{}".format(*server.getsockname())


@pytest.fixture
def readiness(tmp_path: Path, sqlite_url: str) -> Iterator[Callable[..., Readiness]]:
    """Readiness of an embedded stack but for what a test says."""
    made: list[tuple[Readiness, Database]] = []

    def make(url: str = sqlite_url, **settings: object) -> Readiness:
        given = Settings(home=tmp_path / "home", **settings)
        database = Database(url)
        made.append((Readiness(given, database, open_storage(given)), database))
        return made[-1][0]

    yield make
    for each, database in made:
        each.close()
        database.close()


def told(readiness: Readiness) -> dict[str, str]:
    """Return every part's detail; it is `ok` where, and only where, the part is."""
    condition = asyncio.run(readiness.try_all())
    assert condition.ready is all(check.ok for check in condition.checks.values())
    assert all(check.ok is (check.detail == "ok") for check in condition.checks.values())
    return {name: check.detail for name, check in condition.checks.items()}


def test_an_embedded_stack_that_works_is_ready(readiness):
    assert told(readiness()) == GOOD


def test_a_full_stack_that_works_is_ready(readiness, postgres_shared_url, redis_url):
    assert told(readiness(postgres_shared_url, broker_url=redis_url)) == GOOD


def test_a_database_of_another_version_is_not_ready(readiness, migrated_url):
    database = Database(migrated_url)
    with database.transaction() as session:
        session.execute(text("UPDATE alembic_version SET version_num = '0001'"))
    database.close()
    assert told(readiness(migrated_url)) == {
        **GOOD,
        "database": "its tables are of another version than the service: migrate it, or update the service",
    }


def test_a_database_without_tables_is_not_ready(readiness, tmp_path):
    assert told(readiness(f"sqlite:///{tmp_path / 'empty'}"))["database"].startswith(
        "its tables are of another version"
    )


def test_a_database_and_a_broker_that_are_away_are_not_ready_and_no_address_is_told(readiness):
    away = readiness(f"postgresql+psycopg://ada:pa55@{CLOSED}/x", broker_url=f"redis://:pa55@{CLOSED}/0")
    with capture_logs() as lines:
        details = told(away)
    assert details == {"database": "cannot be reached", "storage": "ok", "broker": "cannot be reached"}
    assert "Connection refused" in str(lines) and "pa55" not in str(lines)


def test_what_hangs_is_given_up_at_the_same_time(readiness, silent):
    hanging = readiness(f"postgresql+psycopg://ada:pa55@{silent}/x", broker_url=f"redis://:pa55@{silent}/0")
    began = time.monotonic()
    assert told(hanging) == {"database": HANGS, "storage": "ok", "broker": HANGS}
    assert time.monotonic() - began < 2 * PATIENCE_SECONDS  # not one after the other


def test_too_little_room_is_not_ready(readiness):
    assert told(readiness(min_free_bytes=2**60)) == {
        **GOOD,
        "storage": "less room is left than the service wants to have (FASTMTL_MIN_FREE_BYTES)",
    }


@pytest.mark.parametrize(
    ("folder", "part", "detail"),
    [
        ("storage/incoming", "storage", "it cannot be written to"),
        ("broker/messages", "broker", "its folder cannot be written to"),
    ],
)
def test_a_folder_that_cannot_be_written_to_is_not_ready(readiness, tmp_path, folder, part, detail):
    made = readiness()
    os.rename(tmp_path / "home" / folder, tmp_path / "moved")
    (tmp_path / "home" / folder).write_text("a file stands where the folder was")
    assert told(made) == {**GOOD, part: detail}


def test_trying_leaves_nothing_behind(readiness, tmp_path):
    made = readiness()
    told(made)
    files = [path for part in ("storage", "broker") for path in (tmp_path / "home" / part).rglob("*") if path.is_file()]
    assert files == []


def test_only_changes_are_logged(readiness, tmp_path):
    made = readiness()
    folder = tmp_path / "home" / "broker" / "messages"
    with capture_logs() as lines:
        told(made)
        folder.rmdir()
        for _ in range(3):
            told(made)
        folder.mkdir()
        told(made)
    assert [(line["check"], line["detail"]) for line in lines] == [
        ("broker", "its folder cannot be written to"),
        ("broker", "ok"),
    ]


def test_workers_are_counted_and_none_is_needed(readiness, tmp_path):
    made = readiness()
    none = asyncio.run(made.try_all())
    (tmp_path / "home" / "workers").mkdir()
    (tmp_path / "home" / "workers" / "ada").touch()
    one = asyncio.run(made.try_all())
    assert [(each.workers, each.ready) for each in (none, one)] == [(0, True), (1, True)]


def test_where_workers_cannot_be_counted_that_is_said(readiness, tmp_path):
    made = readiness()
    (tmp_path / "home" / "workers").symlink_to(tmp_path / "home" / "workers")  # a loop
    condition = asyncio.run(made.try_all())
    assert (condition.workers, condition.ready) == (None, True)
