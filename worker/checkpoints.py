"""Where the checkpoints of running steps stand in storage, and when they go.

checkpoints/STEP/FENCE/: every attempt writes in a folder of its own, so a worker that lost its step spoils nothing; the
next attempt reads what the older ones left. What `fastmtl.checkpoints` writes there is no artifact: nobody is told of
it, and it is removed once the step is over. checkpoints/STEP/killed-FENCE/ says that memory did not suffice.

A step's process writes on its own machine; where machines share no folder the newest checkpoint is shared through the
store, while the step goes on.
"""

from __future__ import annotations

import threading
import uuid

import structlog
from sqlalchemy import select

from app.db import Database
from app.jobs import Claim
from app.models import Status, Step
from app.storage import Storage
from fastmtl.keeping import NAME, Keeping, complete

log = structlog.get_logger()

PREFIX = "checkpoints"
KILLED = "killed-"
MARK = "mark"
"""The only file of a folder that is there to be counted."""


class Keeper:
    """Looks after the checkpoints of one attempt, and after those of the attempts before."""

    def __init__(self, storage: Storage, claim: Claim) -> None:
        """Look for what the attempts before left. Raises OSError."""
        names = storage.folders(_of(claim.step_id))
        fences = [int(name) for name in names if name.isdigit()]
        self._storage = storage
        self._own = f"{_of(claim.step_id)}/{claim.fence}"
        self._older = [f"{_of(claim.step_id)}/{each}" for each in sorted(fences, reverse=True) if each < claim.fence]
        self._times_killed = sum(name.startswith(KILLED) for name in names)
        self._shared: str | None = None
        self._sharing: threading.Thread | None = None

    def keeping(self, seconds: float) -> Keeping:
        """Return where this attempt keeps its checkpoints and finds those of the attempts before, fetched if needed."""
        try:
            self._take_newest()
        except OSError as error:  # an older one, or none, is a loss of time alone
            log.warning("checkpoint.not_fetched", error=error.strerror)
        older = tuple(self._storage.path(each) for each in self._older)
        return Keeping(self._storage.path(self._own), older, seconds, halvings=self._times_killed)

    def look(self) -> None:
        """Share the newest checkpoint if that is not done or being done: to be called again and again.

        Once one is shared those of the older attempts go.
        """
        newest = next(iter(complete(self._storage.path(self._own))), None)
        busy = self._sharing is not None and self._sharing.is_alive()
        if newest is None or newest.name == self._shared or busy:
            return
        self._sharing = threading.Thread(target=self._share, args=(newest.name,), name="share", daemon=True)
        self._sharing.start()

    def wait(self) -> None:
        """Wait until nothing is being shared."""
        if self._sharing is not None:
            self._sharing.join()

    def _share(self, name: str) -> None:
        self._shared = name  # tried once: the next checkpoint is not far
        try:
            self._storage.share(self._own, name)
        except FileNotFoundError:
            return  # a newer one has taken its place
        except OSError as error:
            log.warning("checkpoint.not_shared", error=error.strerror)
            return
        older, self._older = self._older, []
        self._storage.delete_prefix(*older)

    def _take_newest(self) -> None:
        for prefix in self._older:
            here = next((path.name for path in complete(self._storage.path(prefix))), "")
            newest = max(filter(NAME.fullmatch, self._storage.shared(prefix)), default="")
            if newest > here:
                self._storage.take(prefix, newest)
            if newest or here:
                return


def note_killed(storage: Storage, claim: Claim) -> None:
    """Write down that memory did not suffice for this attempt: the next one computes half as much at once."""
    prefix = f"{_of(claim.step_id)}/{KILLED}{claim.fence}"
    path = storage.path(f"{prefix}/{MARK}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
        storage.share(prefix, MARK)
    except OSError as error:  # the next attempt then has a try at the same size
        log.warning("step.kill_not_noted", step_id=str(claim.step_id), error=str(error))


def remove_of(storage: Storage, step_id: uuid.UUID) -> None:
    """Remove all checkpoints of a step: it is over."""
    storage.delete_prefix(_of(step_id))


def remove_ended(storage: Storage, database: Database) -> None:
    """Remove the checkpoints of steps that ended by another's hand: cancelled, deleted, or given up by the sweep."""
    kept = [uuid.UUID(name) for name in storage.folders(PREFIX)]
    if not kept:
        return
    with database.reading() as session:
        found = {step.id: Status(step.status) for step in session.scalars(select(Step).where(Step.id.in_(kept)))}
    for step_id in kept:
        if step_id not in found or found[step_id].final:
            remove_of(storage, step_id)


def _of(step_id: uuid.UUID) -> str:
    return f"{PREFIX}/{step_id}"
