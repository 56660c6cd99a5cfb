"""The records a plan is made of: tasks, steps and the fingerprints that let a step be computed once.

Torch-free.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

from fastmtl.keeping import Keeping

Json = dict[str, Any]


@dataclass(frozen=True)
class TaskRef:
    """A dataset as a plan sees it: `key` is unique in the job, `digest` names the content wherever it is stored."""

    key: str
    digest: str
    rows: int


@dataclass(frozen=True)
class StepSpec:
    """One step: what it computes from what.

    Its fingerprint is made of everything that decides its output: kind, version of the code, parameters, the digests
    of its datasets and the fingerprints of the steps it needs. `name` is for people and `cost` for estimates: they
    decide nothing.
    """

    kind: str
    name: str
    version: int
    params: Json
    datasets: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    cost: int = 0
    """Rows passed forward through the encoder, a training row counted three times (forward, and backward twice)."""

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 (hex) over the canonical JSON of everything but name and cost."""
        content = {**self.to_json(), "name": None, "cost": None}
        return hashlib.sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).hexdigest()

    def to_json(self) -> Json:
        """Return what `from_json` reads."""
        return {
            "kind": self.kind,
            "name": self.name,
            "version": self.version,
            "params": self.params,
            "datasets": list(self.datasets),
            "needs": list(self.needs),
            "cost": self.cost,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> StepSpec:
        """Read what `to_json` wrote."""
        return cls(
            kind=data["kind"],
            name=data["name"],
            version=data["version"],
            params=data["params"],
            datasets=tuple(data["datasets"]),
            needs=tuple(data["needs"]),
            cost=data["cost"],
        )


class Progress(Protocol):
    """Takes note of how far a step is; raises nothing, may be called as often as once a batch."""

    def __call__(self, done: int, total: int, unit: str, message: str = "") -> None:
        """`done` of `total` units of the step are finished."""
        ...


@dataclass(frozen=True)
class Workspace:
    """Where a step finds its inputs and puts its outputs, and what it runs on."""

    datasets: Mapping[str, Path]
    """Canonical Parquet files by digest."""
    inputs: Mapping[str, Path]
    """Folders of the steps it needs, by fingerprint."""
    output: Path
    """An empty folder of its own."""
    device: str
    """`cpu`, `cuda` or `cuda:N`."""
    progress: Progress
    keeping: Keeping | None = None
    """None where nobody would go on."""
    tokens: Mapping[str, Path] = field(default_factory=dict)
    """Folders where tokens of a dataset's rows are kept, by digest; of one that is not there they are not kept."""


TRAINING_COST = 3
"""Forward passes that one training step of a row is worth."""


def in_order(tasks: Iterable[TaskRef]) -> list[TaskRef]:
    """Put tasks in the one order that does not depend on which of them is the primary: by digest."""
    return sorted(tasks, key=lambda task: task.digest)


def silent(done: int, total: int, unit: str, message: str = "") -> None:
    """Ignore progress."""


def folders(workspace: Workspace, spec: StepSpec) -> Sequence[Path]:
    """Return the input folders in the order in which the step names its needs."""
    return [workspace.inputs[fingerprint] for fingerprint in spec.needs]
