"""What every side of a job's life works with."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from app.clock import now
from app.db import Database
from app.jobs.records import Bell
from app.settings import Settings


class Life:
    """The database, the bell, the settings and the time."""

    def __init__(self, database: Database, bell: Bell, settings: Settings, clock: Callable[[], datetime] = now) -> None:
        self._database = database
        self._bell = bell
        self._settings = settings
        self._clock = clock
