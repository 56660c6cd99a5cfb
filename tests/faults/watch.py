"""Looks at the steps a few times a second, as nobody in the service does, and remembers what must not happen."""

from __future__ import annotations

import threading
import time
import uuid
from pathlib import Path
from types import TracebackType

from processes import Death, host
from scene import Scene
from sqlalchemy import select

from app.models import Artifact, Status, Step
from fastmtl.artifacts import sha256

LOOK_SECONDS = 0.25

Holding = tuple[uuid.UUID, int]
"""A running step and its fence."""


class Watch:
    """While it is entered, notes when dead workers are noticed and whether a finished step changes."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self.noticed: list[float] = []
        """Seconds from a worker's death to the moment when the step it held was no longer its own."""
        self.changed: list[str] = []
        """Steps that had succeeded and then became something else."""
        self.held: dict[str, list[Holding]] = {}
        """What each worker holds, by its name."""
        self._orphans: dict[Holding, float] = {}
        self._died: dict[str, float] = {}
        self._done: dict[uuid.UUID, tuple[int, object]] = {}
        self._lock = threading.Lock()
        self._leaving = threading.Event()
        self._thread = threading.Thread(target=self._look_on, name="watch", daemon=True)
        scene.processes.when_one_dies(self._note)

    def __enter__(self) -> Watch:
        """Begin to look."""
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Look no more."""
        self._leaving.set()
        self._thread.join()

    @property
    def unnoticed(self) -> list[float]:
        """Seconds since the deaths that nobody has noticed yet."""
        return [time.time() - at for at in list(self._orphans.values())]

    def held_by(self, worker: int) -> Holding | None:
        """Return the step that a worker holds, looked up now."""
        with self._lock:
            self._look()
        return next(iter(self.held.get(f"{host()}-{worker}", ())), None)

    def _note(self, death: Death) -> None:
        if death.kind == "worker":
            self._died[f"{host()}-{death.pid}"] = death.at

    def _look_on(self) -> None:
        while not self._leaving.wait(LOOK_SECONDS):
            with self._lock:
                self._look()

    def _look(self) -> None:
        asked = select(Step.id, Step.fence, Step.worker, Step.finished_at, Step.status)
        with self._scene.database.reading() as session:
            steps = session.execute(asked.where(Step.status.in_((Status.RUNNING, Status.SUCCEEDED)))).all()
        at = time.time()
        running = {(step_id, fence): worker for step_id, fence, worker, _, status in steps if status == Status.RUNNING}
        done = {step_id: (fence, end) for step_id, fence, _, end, status in steps if status == Status.SUCCEEDED}
        self.changed += [str(step_id) for step_id, was in self._done.items() if done.get(step_id) != was]
        self._done = done
        held: dict[str, list[Holding]] = {}
        for holding, worker in running.items():
            held.setdefault(worker, []).append(holding)
            if worker in self._died:
                self._orphans.setdefault(holding, self._died[worker])
        self.held = held
        for holding in [each for each in self._orphans if each not in running]:
            self.noticed.append(at - self._orphans.pop(holding))


class Published:
    """What all finished steps have left behind, held against what the library says and what is on disk."""

    def __init__(self, scene: Scene) -> None:
        with scene.database.reading() as session:
            steps = session.scalars(select(Step).where(Step.status == Status.SUCCEEDED)).all()
            rows = session.scalars(select(Artifact)).all()
        found: dict[uuid.UUID, list[Artifact]] = {}
        for row in rows:
            found.setdefault(row.step_id, []).append(row)
        root = scene.settings.storage
        self.steps = len(steps)
        self.keys = [row.storage_key for row in rows]
        """Where the files of all steps are stored."""
        self.other = [step.fingerprint for step in steps if not _as_expected(scene, step, found.get(step.id, []))]
        """Steps whose result or files are not the library's."""
        self.mixed = [step.fingerprint for step in steps if not _of_one_attempt(step, found.get(step.id, []))]
        """Steps whose files are not all of the attempt that finished it."""
        self.damaged = [row.storage_key for row in rows if not _whole(root / row.storage_key, row)]
        """Files that are missing or not what their row says."""
        there = {str(path.relative_to(root)) for path in (root / "steps").rglob("*") if path.is_file()}
        self.strays = sorted(there - {row.storage_key for row in rows})
        """Files of attempts that came to nothing."""


def _as_expected(scene: Scene, step: Step, files: list[Artifact]) -> bool:
    """Whether a step's result and files are those of an uninterrupted run; one never computed there is not."""
    wanted = scene.expected.get(step.fingerprint)
    made = {row.name: row.sha256 for row in files}
    result = step.result or {}
    return (
        wanted is not None
        and all(result.get(key) == value for key, value in wanted["result"].items())
        and wanted["files"].items() <= made.items()
    )


def _of_one_attempt(step: Step, files: list[Artifact]) -> bool:
    return all(row.storage_key == f"steps/{step.id}/{step.fence}/{row.name}" for row in files)


def _whole(path: Path, row: Artifact) -> bool:
    return path.is_file() and path.stat().st_size == row.bytes and sha256(path) == row.sha256
