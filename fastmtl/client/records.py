"""What the service answers, typed: records over its JSON, which is in `raw`, and by its keys: `dataset["lengths"]`.

A record reads what it is asked for, so one that a newer service sends more in is read as well. Torch-free.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from fastmtl.plan import Json


@dataclass(frozen=True)
class Record:
    """An answer of the service; `raw` is its JSON."""

    raw: Json

    def __getitem__(self, name: str) -> Any:  # noqa: ANN401 - JSON
        """Return a member of the JSON, as the service wrote it."""
        return self.raw[name]


def moment(text: str | None) -> datetime | None:
    """Return a time of the service, aware, UTC."""
    return datetime.fromisoformat(text) if text else None


class Dataset(Record):
    """A dataset as the service describes it."""

    def __repr__(self) -> str:
        """Say what it is, and what of."""
        return f"<Dataset {self.name!r}, {self.rows:,} rows, {self.kind}, {self.id}>"

    @property
    def id(self) -> str:
        """Its id."""
        return str(self.raw["id"])

    @property
    def name(self) -> str:
        """Its name, for people."""
        return str(self.raw["name"])

    @property
    def kind(self) -> str:
        """What a label is: `classification` or `regression`."""
        return str(self.raw["kind"])

    @property
    def rows(self) -> int:
        """How many rows it has."""
        return int(self.raw["rows"])

    @property
    def columns(self) -> Mapping[str, str | None]:
        """Which columns of the file hold `text_a`, `text_b` (None for single texts) and `label`."""
        columns: Mapping[str, str | None] = self.raw["columns"]
        return columns

    @property
    def labels(self) -> Mapping[str, int]:
        """Rows by class, in the order of class indices; empty for a regression."""
        return {each["label"]: each["rows"] for each in self.raw["labels"]}

    @property
    def source(self) -> str | None:
        """Where the rows come from, if that was said; of the hub the commit too."""
        return None if (found := self.raw.get("source")) is None else str(found)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What is worth knowing about how it was read."""
        return tuple(self.raw["warnings"])

    @property
    def digest(self) -> str:
        """SHA-256 of its canonical content: equal data have equal digests."""
        return str(self.raw["digest"])

    @property
    def created_at(self) -> datetime | None:
        """When it was received."""
        return moment(self.raw["created_at"])


class Step(Record):
    """A step of a job as it stands."""

    def __repr__(self) -> str:
        """Say which it is and how it stands."""
        return f"<Step {self.name!r}, {self.status}>"

    @property
    def name(self) -> str:
        """Its name in the job."""
        return str(self.raw["name"])

    @property
    def status(self) -> str:
        """How it stands."""
        return str(self.raw["status"])

    @property
    def reused(self) -> bool:
        """Whether it was done before the job came."""
        return bool(self.raw["reused"])

    @property
    def seconds(self) -> float | None:
        """How long it took, or runs already."""
        seconds: float | None = self.raw["seconds"]
        return seconds


class Event(Record):
    """Something that happened to a job."""

    def __repr__(self) -> str:
        """Say what happened."""
        return f"<Event {self.number}: {self.type}>"

    @property
    def number(self) -> int:
        """Its place in the job's log, from 1, without gaps."""
        return int(self.raw["number"])

    @property
    def at(self) -> datetime | None:
        """When it happened."""
        return moment(self.raw["at"])

    @property
    def type(self) -> str:
        """What happened: `job.succeeded`, `step.metrics` ..."""
        return str(self.raw["type"])

    @property
    def data(self) -> Json:
        """More, by type."""
        data: Json = self.raw["data"]
        return data


class Artifact(Record):
    """A file of a job."""

    def __repr__(self) -> str:
        """Say which it is and its size."""
        return f"<Artifact {self.name!r}, {self.bytes:,} bytes>"

    @property
    def name(self) -> str:
        """Its name, a path below the job's files."""
        return str(self.raw["name"])

    @property
    def bytes(self) -> int:
        """Its size."""
        return int(self.raw["bytes"])

    @property
    def sha256(self) -> str:
        """Its digest, hex."""
        return str(self.raw["sha256"])


class Band(NamedTuple):
    """A number that is expected, and the bounds that it should lie between."""

    expected: float
    low: float
    high: float


class Estimate(Record):
    """What a job would take; `raw` has rows, tokens and every step besides."""

    def __repr__(self) -> str:
        """Say how long."""
        told = "not known yet" if self.seconds is None else f"about {self.seconds.expected:,.0f} s of work"
        return f"<Estimate {told}, {self.basis}>"

    @property
    def seconds(self) -> Band | None:
        """Seconds of work, all steps together; None where nothing was measured yet on that deployment."""
        return self._band("seconds")

    @property
    def elapsed_seconds(self) -> Band | None:
        """Seconds until it would be over, with the workers there are and nothing else to do."""
        return self._band("elapsed_seconds")

    @property
    def peak_bytes(self) -> Band | None:
        """Memory of the device at its peak."""
        return self._band("peak_bytes")

    @property
    def basis(self) -> str:
        """What it was reckoned from: measured, scaled, related, reused, none."""
        return str(self.raw["basis"])

    def _band(self, name: str) -> Band | None:
        found = self.raw[name]
        return Band(found["expected"], found["low"], found["high"]) if found else None


class Receipt(Record):
    """What was removed."""

    @property
    def id(self) -> str:
        """Of the thing that is gone."""
        return str(self.raw["id"])
