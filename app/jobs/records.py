"""What the life of jobs is told and tells."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple, Protocol

from app.events import EventType
from app.models import Json
from fastmtl.plan import StepSpec


class Ready(NamedTuple):
    """A step that can begin."""

    step_id: uuid.UUID
    needs_device: bool


class Bell(Protocol):
    """Wakes workers that may take steps that are ready."""

    def ring(self, ready: Sequence[Ready]) -> None:
        """Wake one for each; may lose some."""


@dataclass(frozen=True)
class StoredFile:
    """An artifact that is in storage."""

    name: str
    storage_key: str
    bytes: int
    sha256: str


@dataclass(frozen=True)
class Claim:
    """A step that this worker may compute, until its lease runs out."""

    step_id: uuid.UUID
    fence: int
    attempt: int
    spec: StepSpec
    datasets: dict[str, str]
    """Storage keys of its datasets by digest; one that was deleted since is missing."""
    inputs: dict[str, list[StoredFile]]
    """By fingerprint of a needed step: its artifacts."""
    tenant_id: uuid.UUID
    job_ids: tuple[uuid.UUID, ...]
    """The live jobs that need it, oldest first."""


@dataclass(frozen=True)
class News:
    """Something a running step tells: its metrics, or a warning."""

    kind: EventType
    data: Json


@dataclass(frozen=True)
class Receipt:
    """What was removed with a job, and what was not."""

    job_id: uuid.UUID
    deleted_at: datetime
    steps: int
    artifacts: int
    bytes: int
    """Of its artifacts."""
    events: int
    shared_steps: int
    """Steps that another job of the tenant has too: those stay, with their files."""
    step_ids: tuple[uuid.UUID, ...]
    """The removed steps: their files are to be removed from storage."""
