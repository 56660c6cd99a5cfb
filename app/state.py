"""What a running API is made of, and how routes get at it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from app.datasets import Datasets
from app.db import Database
from app.jobs import Bell, Jobs
from app.settings import Settings
from app.storage import Storage


@dataclass(frozen=True)
class State:
    """The parts."""

    settings: Settings
    database: Database
    storage: Storage
    jobs: Jobs
    datasets: Datasets


def assemble(settings: Settings, bell: Bell) -> State:
    """Put the parts together."""
    database, storage = Database(settings.database), Storage(settings.storage)
    jobs = Jobs(database, bell, settings)
    return State(settings, database, storage, jobs, Datasets(database, storage, settings))


def _state(request: Request) -> State:
    state: State = request.app.state.parts
    return state


Parts = Annotated[State, Depends(_state)]
