"""What finished steps took: written when a step is done, read when one is foretold.

They are the deployment's, not a tenant's: seconds and bytes of kinds of steps, and of no text more than its length.
"""

from __future__ import annotations

import hashlib
import uuid
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import datetime

import structlog
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from sqlalchemy import ColumnElement, delete, or_, select
from sqlalchemy.orm import Session

from app.clock import now
from app.models import Dataset, Json, Measurement, Step
from app.texts import COUNTING, Rate, Read, counted_lengths, mean_rate, row_lengths
from fastmtl.config import Precision
from fastmtl.lengths import RowLengths, mixed
from fastmtl.plan import StepSpec
from fastmtl.size import Size
from fastmtl.workload import CHOSEN, Outlook, Work, compared_as, planned, texts_of

KEPT = 40
"""Newest measurements of a device, a kind and an encoder; older ones say less of how the machine is now."""
LOOKED_AT = 20
"""Newest measurements among which the deployment's device is looked for."""
CALIBRATION = "calibration"
"""Kind of what a worker measures at its start."""
log = structlog.get_logger()


class Told(BaseModel):
    """What the process of a step says of itself (worker/measuring.py)."""

    model_config = ConfigDict(frozen=True)

    device: str = Field(min_length=1, max_length=500)
    precision: Precision | None
    """As it was asked for: `auto` stays `auto`; None without torch."""
    groups: int = Field(ge=1)
    seconds: float = Field(gt=0)
    peak_bytes: int | None
    size: Size | None


@dataclass(frozen=True)
class Seen:
    """A measurement, as it is reckoned with."""

    device: str
    kind: str
    encoder: str
    work: Work
    size: Size | None
    """None without an encoder."""
    starts: int
    """Starts of a process that the seconds hold: 0 of a calibration's loops."""
    seconds: float
    peak_bytes: int | None
    groups: int = 1
    precision: Precision | None = None
    rate: float | None = None
    """Tokens a character, where they were counted."""

    def row(self, at: datetime) -> Measurement:
        """Return it as it is stored."""
        work = {
            **{"rows": self.work.rows, "tokens": self.work.tokens},
            **asdict(self.work),
            **{"size": self.size and self.size._asdict(), "starts": self.starts, "groups": self.groups},
            **{"precision": self.precision, "tokens_per_character": self.rate},
        }
        return Measurement(
            id=uuid.uuid4(),
            device=self.device,
            kind=self.kind,
            encoder=self.encoder,
            created_at=at,
            work=work,
            seconds=self.seconds,
            peak_bytes=self.peak_bytes,
        )


@dataclass(frozen=True)
class Log:
    """What was measured on one device."""

    device: str | None
    """None where nothing was, with torch."""
    same_precision: bool
    """Whether it was in the precision that is asked for."""
    with_torch: tuple[Seen, ...]
    """The newest first."""
    without: tuple[Seen, ...]

    @property
    def groups(self) -> int:
        """Groups that the device encodes a training batch in."""
        return self.with_torch[0].groups if self.with_torch else 1


def encoder_digest(location: str) -> str:
    """Return what an encoder's measurements are kept under: where it comes from decides how it computes."""
    return hashlib.sha256(location.encode()).hexdigest()


def record(session: Session, step: Step, result: Json) -> None:
    """Keep what a finished step took.

    Nothing is kept of a step that says nothing of it, nor of one that was begun before: it may have gone on from where
    that attempt was, and took less time than the whole.
    """
    if "measured" not in result or step.fence != 1:
        return
    try:
        told = Told.model_validate(result["measured"])
        read = Read.model_validate(result["read"]) if "read" in result else None
    except ValidationError as error:  # of a worker of another version: a measurement is not worth a step
        log.warning("measurement.unreadable", step_id=str(step.id), kind=step.kind, error=str(error))
        return
    spec = StepSpec.from_json(step.spec)
    datasets = _datasets(session, step.tenant_id, spec, read)
    if not texts_of(spec) <= set(datasets):
        return  # a dataset was deleted meanwhile
    seen = Seen(
        device=told.device,
        kind=compared_as(spec),
        encoder=encoder_digest(read.encoder) if read else "",
        work=planned(spec, Outlook(_outlook(datasets, read), told.groups)),
        size=told.size,
        starts=1,
        seconds=_seconds(step, told),
        peak_bytes=told.peak_bytes,
        groups=told.groups,
        precision=told.precision,
        rate=mean_rate(datasets, read) if read and spec.kind in COUNTING else None,
    )
    if read is None or told.size is not None:  # without a size nothing could be reckoned from it
        add(session, [seen], now())


def add(session: Session, measured: Iterable[Seen], at: datetime) -> None:
    """Write measurements, and forget those that are older than the newest KEPT of their like."""
    for each in measured:
        session.add(each.row(at))
        session.flush()
        same = (Measurement.device == each.device, Measurement.kind == each.kind, Measurement.encoder == each.encoder)
        alike = select(Measurement.id).where(*same).order_by(Measurement.created_at.desc(), Measurement.id)
        if older := session.scalars(alike.offset(KEPT)).all():
            session.execute(delete(Measurement).where(Measurement.id.in_(older)))


def of_device(session: Session, precision: Precision) -> Log:
    """Return what was measured on the device that computes here, the newest first; with torch and without.

    That is the one most often seen lately, in the precision that is asked for, or in another where that one never was.
    """
    with_torch, without = Measurement.encoder != "", Measurement.encoder == ""
    alike = or_(Measurement.work["precision"].as_string() == precision, Measurement.device.endswith(f", {precision}"))
    device = _often_seen(session, with_torch, alike)
    same_precision = device is not None
    device = device or _often_seen(session, with_torch)
    plain = _often_seen(session, without)
    return Log(
        device,
        same_precision,
        tuple(_of(session, with_torch, Measurement.device == device) if device else ()),
        tuple(_of(session, without, Measurement.device == plain) if plain else ()),
    )


def _often_seen(session: Session, *where: ColumnElement[bool]) -> str | None:
    """Return the device that stands most often among the newest such measurements."""
    newest = select(Measurement.device).where(*where).order_by(Measurement.created_at.desc(), Measurement.id)
    found = Counter(session.scalars(newest.limit(LOOKED_AT))).most_common(1)
    return found[0][0] if found else None


def _of(session: Session, *where: ColumnElement[bool]) -> list[Seen]:
    rows = select(Measurement).where(*where).order_by(Measurement.created_at.desc(), Measurement.id)
    return [_seen(row) for row in session.scalars(rows)]


def known_devices(session: Session, encoder: str) -> set[str]:
    """Return the devices on which an encoder was measured."""
    return set(session.scalars(select(Measurement.device).where(Measurement.encoder == encoder).distinct()))


def rates(session: Session, encoder: str) -> list[float]:
    """Return how many tokens a character were, lately, for an encoder, whatever the device."""
    rate = Measurement.work["tokens_per_character"].as_float()
    query = select(rate).where(Measurement.encoder == encoder).order_by(Measurement.created_at.desc())
    return [each for each in session.scalars(query.limit(2 * KEPT)) if each]


def _seen(row: Measurement) -> Seen:
    work = row.work
    return Seen(
        device=row.device,
        kind=row.kind,
        encoder=row.encoder,
        work=Work(**{each.name: work[each.name] for each in fields(Work) if each.name in work}),
        size=Size(**work["size"]) if work.get("size") else None,
        starts=work["starts"],
        seconds=row.seconds,
        peak_bytes=row.peak_bytes,
        groups=work["groups"],
        precision=work["precision"],
        rate=work["tokens_per_character"],
    )


def _seconds(step: Step, told: Told) -> float:
    """Return how long the step took, its files' way into storage included, as the job shows it."""
    if step.started_at is None or step.finished_at is None:
        return told.seconds
    return max(told.seconds, (step.finished_at - step.started_at).total_seconds())


def _datasets(session: Session, tenant_id: uuid.UUID, spec: StepSpec, read: Read | None) -> dict[str, Dataset]:
    """Return the datasets whose rows the step went over, by digest."""
    digests = texts_of(spec) | (set(read.texts) if read else set())
    rows = session.scalars(select(Dataset).where(Dataset.tenant_id == tenant_id, Dataset.digest.in_(digests)))
    return {row.digest: row for row in rows}


def _outlook(datasets: Mapping[str, Dataset], read: Read | None) -> dict[str, RowLengths]:
    """Return the lengths of the texts as they were counted, those of the chosen rows too."""
    if read is None:
        return {digest: row_lengths(each, Rate.assumed(), max_length=1) for digest, each in datasets.items()}
    known = {digest: counted_lengths(each, read) for digest, each in datasets.items()}
    return {**known, CHOSEN: _chosen(known, read)}


def _chosen(known: Mapping[str, RowLengths], read: Read) -> RowLengths:
    """Return the lengths of the rows that a job chose: what was read of all but the first dataset."""
    if CHOSEN in read.texts:
        rows, tokens = read.texts[CHOSEN]
        return next(iter(known.values())).scaled(rows, tokens / max(1, rows))
    others: Sequence[str] = list(read.texts)[1:]
    return mixed([(known[digest], read.texts[digest][0]) for digest in others if digest in known])
