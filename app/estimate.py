"""What a job will take, told before it runs: rows, tokens, seconds and memory, each with a band.

Rows and steps follow from the plan, tokens from the datasets' summaries (app/texts.py), seconds and memory from what
finished steps took on this deployment (app/measurements.py, app/forecast.py). Nothing is written.
"""

from __future__ import annotations

import math
import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.forecast import Basis, Forecast, Foretold
from app.measurements import encoder_digest, of_device, rates
from app.models import Dataset, Json, Status, Step
from app.schemas_estimate import BandOut, EstimateOut, StepEstimate
from app.texts import Rate, counted_rates, row_lengths
from fastmtl import encoders
from fastmtl.config import JobConfig
from fastmtl.lengths import RowLengths, mixed
from fastmtl.noise import COVERAGE, NORMAL
from fastmtl.pipeline import needs_torch
from fastmtl.plan import StepSpec
from fastmtl.regression import Band
from fastmtl.schedule import elapsed
from fastmtl.size import size_at
from fastmtl.workload import CHOSEN, Outlook, Work, compared_as, planned

CHOICE_DOUBT = 0.25
"""Standard deviation of the logarithm of the chosen rows' mean length over that of all: a method may like long rows."""
NOTHING = Band(0.0, 0.0, 0.0)


@dataclass(frozen=True)
class _Planned:
    """A step of the plan, and what is foretold of it."""

    spec: StepSpec
    work: Work
    foretold: Foretold

    @property
    def reused(self) -> bool:
        return self.foretold.basis is Basis.REUSED


def foretell(
    session: Session,
    tenant_id: uuid.UUID,
    datasets: Sequence[Dataset],
    config: JobConfig,
    steps: Sequence[StepSpec],
    known_encoders: encoders.Known,
    workers: int,
) -> EstimateOut:
    """Return what the steps of a plan over these datasets will take; with so many workers, at least one."""
    encoder = encoders.describe(config.encoder, known_encoders)
    digest = encoder_digest(encoder["location"])
    log = of_device(session, config.precision)
    forecast = Forecast(log, digest, size_at(encoder["location"]))
    rate_of = _rates(session, tenant_id, datasets, encoder, digest)
    lengths = {each.digest: row_lengths(each, rate_of[each.digest], encoder["max_length"]) for each in datasets}
    outlook = Outlook({**lengths, CHOSEN: _chosen(steps, lengths)}, log.groups)
    done = _done(session, tenant_id, steps)
    ahead = Counter[bool]()
    found = [_planned(step, step.fingerprint in done, outlook, forecast, ahead) for step in steps]
    workers = max(1, workers)
    own = [each for each in found if not each.reused]
    return EstimateOut(
        coverage=COVERAGE,
        device=log.device,
        workers=workers,
        **_amounts(sum((each.work for each in own), Work())),
        tokens_basis=max((rate.basis for rate in rate_of.values()), key=Rate.BASES.index),
        seconds=_out(_sum(each.foretold.seconds for each in own)),
        elapsed_seconds=_out(_elapsed(own, steps, workers)),
        peak_bytes=_out(_largest(each.foretold.peak_bytes for each in own)),
        basis=max((each.foretold.basis for each in found), key=list(Basis).index),
        measurements={compared_as(each.spec): each.foretold.measurements for each in own},
        reused=[each.spec.name for each in found if each.reused],
        steps=[_step_out(each) for each in found],
    )


def compact(estimate: EstimateOut) -> Json | None:
    """Return what is kept of an estimate with its job; None where nothing had been measured."""
    if estimate.seconds is None or estimate.elapsed_seconds is None:
        return None
    return {
        "seconds": estimate.seconds.expected,
        "seconds_low": estimate.seconds.low,
        "seconds_high": estimate.seconds.high,
        "elapsed_seconds": estimate.elapsed_seconds.expected,
        "peak_bytes": estimate.peak_bytes and estimate.peak_bytes.expected,
        "basis": estimate.basis,
    }


def _rates(
    session: Session, tenant_id: uuid.UUID, datasets: Sequence[Dataset], encoder: Json, digest: str
) -> dict[str, Rate]:
    """Return how many tokens a character of each dataset is: as counted, or as of other texts."""
    others = Rate.of(rates(session, digest))
    counted = counted_rates(session, tenant_id, datasets, encoder["location"], encoder["max_length"])
    return {each.digest: counted.get(each.digest, others) for each in datasets}


def _chosen(steps: Sequence[StepSpec], lengths: Mapping[str, RowLengths]) -> RowLengths:
    """Return the lengths of rows drawn from all auxiliary datasets: which will be chosen is not known."""
    select_step = next(step for step in steps if step.kind == "select")
    pools = [lengths[each["digest"]] for each in select_step.params["auxiliary"]]
    drawn = mixed([(pool, pool.rows) for pool in pools])
    return replace(drawn, doubt=math.hypot(drawn.doubt, CHOICE_DOUBT))


def _planned(step: StepSpec, done: bool, outlook: Outlook, forecast: Forecast, ahead: Counter[bool]) -> _Planned:
    """Foretell a step, and count it among those with torch or without that come before the next."""
    if done:
        return _Planned(step, Work(), Foretold(NOTHING, NOTHING, Basis.REUSED, 0))
    work, with_torch = planned(step, outlook), needs_torch(step)
    ahead[with_torch] += 1
    return _Planned(step, work, forecast.of(compared_as(step), work, with_torch=with_torch, ahead=ahead[with_torch]))


def _done(session: Session, tenant_id: uuid.UUID, steps: Sequence[StepSpec]) -> set[str]:
    """Return the fingerprints of the steps that the tenant's jobs have done already."""
    wanted = [step.fingerprint for step in steps]
    query = select(Step.fingerprint).where(Step.tenant_id == tenant_id, Step.status == Status.SUCCEEDED)
    return set(session.scalars(query.where(Step.fingerprint.in_(wanted))))


def _elapsed(own: Sequence[_Planned], steps: Sequence[StepSpec], workers: int) -> Band | None:
    """Return when the plan is done, by its critical path."""
    bands = {each.spec.fingerprint: each.foretold.seconds for each in own}
    known = {fingerprint: band for fingerprint, band in bands.items() if band is not None}
    if len(known) < len(bands):
        return None

    def when(bound: Callable[[Band], float]) -> float:
        return elapsed(steps, {fingerprint: bound(band) for fingerprint, band in known.items()}, workers)

    return Band(when(lambda band: band.expected), when(lambda band: band.low), when(lambda band: band.high))


def _sum(bands: Iterable[Band | None]) -> Band | None:
    """Add up; bounds too: a machine that is slow today is slow at every step."""
    total = NOTHING
    for band in bands:
        if band is None:
            return None
        total = Band(*(a + b for a, b in zip(total, band, strict=True)))
    return total


def _largest(bands: Iterable[Band | None]) -> Band | None:
    """Return the largest of each bound; steps of which nothing is known count as small."""
    known = [band for band in bands if band is not None]
    return Band(*(max(each) for each in zip(*known, strict=True))) if known else None


def _amounts(work: Work) -> dict[str, BandOut]:
    """Return what there is to do; rows and steps are what the plan says, tokens as sure as the texts are known."""
    times = math.exp(NORMAL * work.doubt)
    return {
        "rows_to_train": _exactly(work.trained_rows),
        "rows_to_score": _exactly(work.scored_rows),
        "tokens": BandOut(expected=round(work.tokens), low=round(work.tokens / times), high=round(work.tokens * times)),
        "optimiser_steps": _exactly(work.steps),
    }


def _exactly(value: float) -> BandOut:
    return BandOut(expected=round(value), low=round(value), high=round(value))


def _out(band: Band | None) -> BandOut | None:
    return band and BandOut(**{name: round(value, 2) for name, value in band._asdict().items()})


def _step_out(step: _Planned) -> StepEstimate:
    return StepEstimate(
        name=step.spec.name,
        kind=step.spec.kind,
        reused=step.reused,
        **_amounts(step.work),
        seconds=_out(step.foretold.seconds),
        peak_bytes=_out(step.foretold.peak_bytes),
        basis=step.foretold.basis,
        measurements=step.foretold.measurements,
    )
