"""The service itself: is it well, what can it do."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from fastapi import APIRouter

from app.auth import Reader
from app.errors import MEDIA_TYPE, NotReady
from app.routes.answers import problems
from app.routes.route import ServiceRoute
from app.schemas import Options
from app.schemas_health import Health, Ready
from app.schemas_health import NotReady as NotReadyOut
from app.state import Parts
from fastmtl import methods, selectors
from fastmtl.config import PRESETS, Frozen, JobConfig

router = APIRouter(prefix="/v1", tags=["service"], route_class=ServiceRoute)


def _not_ready() -> dict[int | str, dict[str, Any]]:
    schema = NotReadyOut.model_json_schema(ref_template="#/components/schemas/{model}")
    schema.pop("$defs")  # they stand among the components already
    return {
        503: {"description": "A part does not work; `checks` says which.", "content": {MEDIA_TYPE: {"schema": schema}}}
    }


# Both are answered by the event loop itself: requests that hang hold the threads, and these must not wait for one.


@router.get("/health", operation_id="health", summary="Is it alive?")
async def health() -> Health:
    """Answer, and touch nothing."""
    return Health(status="ok")


@router.get("/ready", operation_id="ready", summary="Can it work?", responses=_not_ready())
async def ready(parts: Parts) -> Ready:
    """Try the parts, each for two seconds at most: query the database, write to the storage, reach the broker."""
    found = await parts.readiness.try_all()
    if not found.ready:
        failed = [f"{name}: {check.detail}" for name, check in found.checks.items() if not check.ok]
        raise NotReady("; ".join(failed), {"checks": asdict(found)["checks"], "workers": found.workers})
    return Ready.model_validate({"status": "ok", **asdict(found)})


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
