"""Transactions: all or nothing, one writer after another, times that know their zone."""

from __future__ import annotations

import sqlite3
import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from pydantic import SecretStr
from sqlalchemy import func, select, text
from sqlalchemy.exc import DBAPIError, IntegrityError, StatementError

from app.db import TRUSTED_SECONDS, Database
from app.models import Job, JobStep, Tenant
from app.settings import Settings

NOON = datetime(2026, 1, 1, 12, 0, 0, 123456, tzinfo=UTC)


TENANT = uuid.UUID(int=7)


@pytest.fixture
def database(database: Database) -> Database:
    with database.transaction() as session:
        session.add(Tenant(id=TENANT, name="ada's", created_at=NOON))
    return database


def job(created_at: datetime = NOON) -> Job:
    return Job(id=uuid.uuid4(), tenant_id=TENANT, name="a job", status="queued", config={}, created_at=created_at)


def count(database: Database) -> int:
    with database.reading() as session:
        return session.scalars(select(func.count()).select_from(Job)).one()


def test_a_transaction_is_seen_by_others_when_it_is_left_and_not_before(database: Database):
    with database.transaction() as session:
        session.add(job())
        session.flush()
        inside = count(database)
    assert (inside, count(database)) == (0, 1)


def test_a_transaction_left_by_an_exception_changes_nothing(database: Database):
    with pytest.raises(ZeroDivisionError), database.transaction() as session:
        session.add(job())
        session.flush()
        1 / 0  # noqa: B018
    assert count(database) == 0


def test_what_was_written_can_still_be_read_after_the_transaction(database: Database):
    with database.transaction() as session:
        session.add(one := job())
    assert one.name == "a job"


def test_a_process_that_stands_still_in_a_transaction_keeps_its_locks_for_a_while_only(postgres_url: str):
    still, other = Database(postgres_url, idle_seconds=0.3), Database(postgres_url)
    lock = text("SELECT pg_advisory_xact_lock(1)")
    with pytest.raises(DBAPIError, match="idle-in-transaction"), still.transaction() as asleep:
        asleep.execute(lock)
        with other.transaction() as session:
            session.execute(lock)
        asleep.execute(lock)
    with still.transaction() as awake:
        awake.execute(lock)
    still.close()
    other.close()


@pytest.mark.parametrize(("lease", "silence"), [(3.0, "1s"), (30.0, "10s"), (600.0, "10s")])
def test_a_transaction_that_stands_still_is_over_before_a_lease_is(postgres_url: str, lease: float, silence: str):
    database = Database.of(Settings(database_url=SecretStr(postgres_url), lease_seconds=lease, heartbeat_seconds=1))
    with database.transaction() as session:
        assert session.execute(text("SHOW idle_in_transaction_session_timeout")).scalar() == silence
    database.close()


def test_a_connection_that_died_while_it_was_not_used_is_replaced(postgres_url: str):
    database, other = Database(postgres_url), Database(postgres_url)
    with database.reading() as session:
        first = session.scalar(text("SELECT pg_backend_pid()"))
    with other.transaction() as session:
        session.execute(text("SELECT pg_terminate_backend(:pid)"), {"pid": first})
    time.sleep(TRUSTED_SECONDS)
    with database.reading() as session:
        assert session.scalar(text("SELECT pg_backend_pid()")) != first
    database.close()
    other.close()


def test_reading_writes_nothing(database: Database):
    with database.reading() as session:
        session.add(job())
        session.flush()
    assert count(database) == 0


def test_two_writers_that_read_first_follow_one_another(database: Database):
    with database.transaction() as session:
        session.add(one := job())

    def add_one(_: int) -> None:
        with database.transaction() as session:
            found = session.get_one(Job, one.id, with_for_update=True)
            time.sleep(0.01)  # the other one comes in between, if it can
            found.config = {"count": found.config.get("count", 0) + 1}

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(add_one, range(20)))
    with database.reading() as session:
        assert session.get_one(Job, one.id).config == {"count": 20}


def test_a_reader_does_not_wait_for_a_writer(database: Database):
    with database.transaction() as session:
        session.add(job())
        session.flush()
        began = time.monotonic()
        assert count(database) == 0
    assert time.monotonic() - began < 5


def test_processes_that_open_a_new_file_at_once_all_get_it(tmp_path: Path):
    start = threading.Barrier(8)

    def open_and_migrate(_: int) -> None:
        database = Database(f"sqlite:///{tmp_path / 'new.sqlite3'}")
        start.wait()
        database.migrate()
        database.close()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(open_and_migrate, range(8)))
    with sqlite3.connect(tmp_path / "new.sqlite3") as opened:
        assert opened.execute("SELECT count(*) FROM alembic_version").fetchone() == (1,)
    opened.close()


def test_a_reference_to_nothing_is_refused(database: Database):
    with pytest.raises(IntegrityError), database.transaction() as session:
        session.add(JobStep(job_id=uuid.uuid4(), position=0, step_id=uuid.uuid4(), name="", reused=False))


@pytest.mark.parametrize("hours", [-8, 0, 5.5])
def test_times_come_back_as_the_same_moment_in_utc(database: Database, hours: float):
    zone = timezone(timedelta(hours=hours))
    with database.transaction() as session:
        session.add(one := job(NOON.astimezone(zone)))
    with database.reading() as session:
        found = session.get_one(Job, one.id).created_at
    assert (found, found.tzinfo) == (NOON, UTC)


def test_a_time_without_a_zone_is_our_mistake(database: Database):
    with pytest.raises(StatementError, match="times are aware"), database.transaction() as session:
        session.add(job(datetime(2026, 1, 1)))


def test_times_of_different_zones_are_compared_as_moments(database: Database):
    early, late = NOON, (NOON + timedelta(hours=1)).astimezone(timezone(timedelta(hours=-8)))
    with database.transaction() as session:
        session.add_all([job(late), job(early)])
    with database.reading() as session:
        assert session.scalars(select(Job.created_at).order_by(Job.created_at)).all() == [early, late]
