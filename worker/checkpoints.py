"""Where the checkpoints of running steps stand in storage, and when they go.

checkpoints/STEP/FENCE/: every attempt writes in a folder of its own, so a worker that lost its step spoils nothing; the
next attempt reads what the older ones left. What `fastmtl.checkpoints` writes there is no artifact: nobody is told of
it, and it is removed once the step is over.
"""

from __future__ import annotations

import uuid
from pathlib import Path

import structlog
from sqlalchemy import select

from app.db import Database
from app.jobs import Claim
from app.models import Status, Step
from app.storage import Storage
from fastmtl.keeping import Keeping, complete

log = structlog.get_logger()

PREFIX = "checkpoints"
KILLED = "killed"
"""File beside the attempts' folders: a byte for each of them that was ended because the machine ran out of memory."""


def keeping(storage: Storage, claim: Claim, seconds: float) -> Keeping:
    """Return where this attempt keeps its checkpoints and finds those of the attempts before."""
    older = sorted(_fences(storage, claim.step_id, below=claim.fence), reverse=True)
    return Keeping(
        storage.path(_prefix(claim.step_id, claim.fence)),
        tuple(storage.path(_prefix(claim.step_id, fence)) for fence in older),
        seconds,
        halvings=_times_killed(storage, claim.step_id),
    )


def note_killed(storage: Storage, claim: Claim) -> None:
    """Write down that memory did not suffice for this attempt: the next one computes half as much at once."""
    path = storage.path(f"{PREFIX}/{claim.step_id}/{KILLED}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab") as file:
            file.write(b"x")
    except OSError as error:  # the next attempt then has a try at the same size
        log.warning("step.kill_not_noted", step_id=str(claim.step_id), error=str(error))


def remove_outlived(storage: Storage, claim: Claim) -> None:
    """Remove the older attempts' checkpoints once this attempt has one."""
    older = _fences(storage, claim.step_id, below=claim.fence)
    if older and complete(storage.path(_prefix(claim.step_id, claim.fence))):
        for fence in older:
            storage.delete_prefix(_prefix(claim.step_id, fence))


def remove_of(storage: Storage, step_id: uuid.UUID) -> None:
    """Remove all checkpoints of a step: it is over."""
    storage.delete_prefix(f"{PREFIX}/{step_id}")


def remove_ended(storage: Storage, database: Database) -> None:
    """Remove the checkpoints of steps that ended by another's hand: cancelled, deleted, or given up by the sweep."""
    kept = [uuid.UUID(folder.name) for folder in _folders(storage.path(PREFIX))]
    if not kept:
        return
    with database.reading() as session:
        found = {step.id: Status(step.status) for step in session.scalars(select(Step).where(Step.id.in_(kept)))}
    for step_id in kept:
        if step_id not in found or found[step_id].final:
            remove_of(storage, step_id)


def _times_killed(storage: Storage, step_id: uuid.UUID) -> int:
    """Return how many attempts at a step were ended because the machine ran out of memory."""
    path = storage.path(f"{PREFIX}/{step_id}/{KILLED}")
    return path.stat().st_size if path.exists() else 0


def _prefix(step_id: uuid.UUID, fence: int) -> str:
    return f"{PREFIX}/{step_id}/{fence}"


def _fences(storage: Storage, step_id: uuid.UUID, below: int) -> list[int]:
    """Return the fences of the attempts that left a folder."""
    found = [int(folder.name) for folder in _folders(storage.path(f"{PREFIX}/{step_id}"))]
    return [fence for fence in found if fence < below]


def _folders(root: Path) -> list[Path]:
    return [path for path in root.iterdir() if path.is_dir()] if root.is_dir() else []
