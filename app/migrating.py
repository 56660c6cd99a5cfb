"""Runs migrations; imported only where there is one to run, for it brings all of Alembic along."""

from __future__ import annotations

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection

from app.revisions import MIGRATIONS


def upgrade(connection: Connection) -> None:
    """Bring the tables up to the newest migration, in the connection's transaction."""
    command.upgrade(alembic_config(connection), "head")


def alembic_config(connection: Connection) -> Config:
    """Return Alembic's configuration bound to an open connection."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["connection"] = connection
    return config
