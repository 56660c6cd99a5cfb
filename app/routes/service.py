"""The service itself: is it well, what can it do."""

from __future__ import annotations

from fastapi import APIRouter
from sqlalchemy import text

from app.auth import Reader
from app.routes.answers import problems
from app.routes.route import ServiceRoute
from app.schemas import Health, Options
from app.state import Parts
from fastmtl import methods, selectors
from fastmtl.config import PRESETS, Frozen, JobConfig

router = APIRouter(prefix="/v1", tags=["service"], route_class=ServiceRoute)


@router.get("/health", operation_id="health", summary="Is it alive?")
def health() -> Health:
    """Answer, and nothing more."""
    return Health(status="ok")


@router.get("/ready", operation_id="ready", summary="Can it work?")
def ready(parts: Parts) -> Health:
    """Ask the database and the storage."""
    with parts.database.reading() as session:
        session.execute(text("SELECT 1"))
    with parts.storage.incoming() as folder:
        (folder / "probe").write_bytes(b"1")
    return Health(status="ok")


@router.get("/options", operation_id="options", summary="What can be asked for?", responses=problems())
def options(parts: Parts, caller: Reader) -> Options:
    """List encoders, methods, selectors, presets, limits and defaults."""
    return Options(
        encoders=sorted(parts.settings.encoders),
        methods={name: methods.get(name).summary for name in methods.names()},
        selectors={name: selectors.get(name).summary for name in selectors.names()},
        settings={name: kind.model_json_schema() for name, kind in _settings().items() if kind.model_fields},
        presets=sorted(PRESETS),
        max_upload_bytes=parts.settings.max_upload_bytes,
        defaults=JobConfig(),
    )


def _settings() -> dict[str, type[Frozen]]:
    """Return the settings of every method and selector, by its name."""
    found = {name: methods.get(name).Options for name in methods.names()}
    return found | {name: selectors.get(name).Options for name in selectors.names()}
