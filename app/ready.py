"""Whether the service can work: its database, its storage and its broker are tried, at the same time and not for long.

Strangers may ask, so an answer says what is wrong and no more; what the trial ran into is in the log.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
import time
from dataclasses import dataclass
from typing import TypeVar

import structlog
from sqlalchemy import select

from app import revisions
from app.db import Database
from app.models import Job
from app.probe import Probe
from app.queue import celery_app, messages_folder
from app.roll import Roll
from app.settings import Settings
from app.storage import Storage, StorageUnavailable

T = TypeVar("T")

log = structlog.get_logger()

PATIENCE_SECONDS = 2.0
WELL = "ok"
PROBE = b"whether what is written can be read again"


class NotWell(Exception):
    """A trial failed; the message may be told to anybody."""


@dataclass(frozen=True)
class Check:
    """How one trial went."""

    ok: bool
    milliseconds: float
    detail: str


@dataclass(frozen=True)
class Condition:
    """How all of them went, by name, and how many workers called lately; None where that cannot be told."""

    checks: dict[str, Check]
    workers: int | None

    @property
    def ready(self) -> bool:
        """Whether everything went well; it needs no worker, jobs wait for one."""
        return all(check.ok for check in self.checks.values())


class Readiness:
    """The trials."""

    def __init__(self, settings: Settings, database: Database, storage: Storage) -> None:
        self._settings, self._database, self._storage = settings, database, storage
        self._newest = revisions.newest()
        self._roll = Roll(settings)
        self._celery = celery_app(settings)
        trials = {"database": self._try_database, "storage": self._try_storage, "broker": self._try_broker}
        self._probes = {name: Probe(trial, f"try-{name}") for name, trial in trials.items()}
        self._workers = Probe(self._roll.count, "try-workers")
        self._told: dict[str, str] = {}

    async def try_all(self) -> Condition:
        """Try everything; what does not answer in PATIENCE_SECONDS counts as not well."""
        counting = asyncio.create_task(self._count_workers())
        checks = await asyncio.gather(*(self._check(name, probe) for name, probe in self._probes.items()))
        return Condition(dict(zip(self._probes, checks, strict=True)), await counting)

    def close(self) -> None:
        """Give the broker's connections back."""
        self._celery.close()

    async def _check(self, name: str, probe: Probe[None]) -> Check:
        began = time.monotonic()
        detail, error = await _outcome(probe)
        self._tell_once(name, detail, error)
        return Check(detail == WELL, round(1000 * (time.monotonic() - began), 1), detail)

    async def _count_workers(self) -> int | None:
        try:
            return await _answer(self._workers)
        except (OSError, TimeoutError):
            return None

    def _tell_once(self, name: str, detail: str, error: BaseException | None) -> None:
        """Log what is news: it is asked for every few seconds."""
        before, self._told[name] = self._told.get(name, WELL), detail
        if before != detail:
            tell = log.info if detail == WELL else log.error
            tell("ready.changed", check=name, detail=detail, **({"error": repr(error)} if error else {}))

    def _try_database(self) -> None:
        with self._database.reading() as session:
            if revisions.current(session.connection()) != self._newest:
                raise NotWell("its tables are of another version than the service: migrate it, or update the service")
            session.execute(select(Job.id).limit(1)).first()

    def _try_storage(self) -> None:
        free = self._storage.free_bytes()
        if free < self._settings.min_free_bytes:
            raise NotWell("less room is left than the service wants to have (FASTMTL_MIN_FREE_BYTES)")
        try:
            with self._storage.incoming() as folder, (folder / "probe").open("w+b") as file:
                file.write(PROBE)
                file.flush()
                os.fsync(file.fileno())
                file.seek(0)
                read = file.read()
        except OSError as error:
            raise NotWell("it cannot be written to") from error
        if read != PROBE:
            raise NotWell("what is written is not what is read")
        try:
            self._storage.try_out()
        except StorageUnavailable as error:
            raise NotWell(error.told) from error

    def _try_broker(self) -> None:
        if self._settings.broker_url is None:
            try:
                # Without a name: workers that look into the folder do not see it.
                with tempfile.TemporaryFile(dir=messages_folder(self._settings)) as file:
                    file.write(PROBE)
            except OSError as error:
                raise NotWell("its folder cannot be written to") from error
            return
        with self._celery.connection_for_write() as connection:
            connection.ensure_connection(max_retries=1, interval_start=0)


async def _outcome(probe: Probe[None]) -> tuple[str, BaseException | None]:
    """Return what may be told of how it went, and what was raised."""
    try:
        await _answer(probe)
    except TimeoutError:
        return f"no answer within {PATIENCE_SECONDS:g} s", None
    except NotWell as reason:
        return str(reason), reason.__cause__
    except Exception as error:
        return "cannot be reached", error
    return WELL, None


async def _answer(probe: Probe[T]) -> T:
    return await asyncio.wait_for(asyncio.wrap_future(probe.begin()), PATIENCE_SECONDS)
