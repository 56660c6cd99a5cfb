"""What a running API is made of, and how routes get at it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import structlog
from fastapi import Depends, Request

from app.datasets import Datasets
from app.db import Database
from app.event_stream import Streams
from app.jobs import Bell, Jobs
from app.keys import DEFAULT_TENANT, Caller, Keys, Scope
from app.memo import Memo
from app.page_files import PageFiles, read_page
from app.rate_limits import RateLimits
from app.ready import Readiness
from app.sessions import Sessions
from app.settings import Settings
from app.storage import Storage, open_storage
from app.uploads import Uploads

log = structlog.get_logger()


@dataclass(frozen=True)
class State:
    """The parts."""

    settings: Settings
    database: Database
    storage: Storage
    jobs: Jobs
    datasets: Datasets
    uploads: Uploads
    keys: Keys
    sessions: Sessions
    streams: Streams
    rate_limits: RateLimits
    open_to: Caller | None
    """Who everybody is where no key is asked for; else None."""
    readiness: Readiness
    page: PageFiles
    looks: Memo
    """Histograms of files that never change."""


def assemble(settings: Settings, bell: Bell) -> State:
    """Put the parts together over a migrated database; at the first start a key is made."""
    database, storage = Database.of(settings), open_storage(settings, spare_bytes=settings.spare_bytes)
    database.migrate()
    keys = Keys(database, settings)
    open_to = None
    if settings.auth == "off":
        open_to = Caller(keys.tenant(DEFAULT_TENANT, make=True).id, Scope.ADMIN, None)
    elif keys.first(settings.first_key):
        log.info("key.made", file=str(settings.first_key))
    jobs = Jobs(database, bell, settings)
    datasets = Datasets(database, storage, settings)
    uploads = Uploads(database, storage, datasets, settings)
    streams = Streams(database, keys, settings)
    limits, readiness = RateLimits(settings), Readiness(settings, database, storage)
    return State(
        settings=settings,
        database=database,
        storage=storage,
        jobs=jobs,
        datasets=datasets,
        uploads=uploads,
        keys=keys,
        sessions=Sessions(database, keys, settings),
        streams=streams,
        rate_limits=limits,
        open_to=open_to,
        readiness=readiness,
        page=read_page(),
        looks=Memo(),
    )


async def _state(request: Request) -> State:  # async: it needs no thread, and those may all be taken
    state: State = request.app.state.parts
    return state


Parts = Annotated[State, Depends(_state)]
