"""How many tokens the rows of datasets have: as they were counted, or as many a character as of other texts."""

from __future__ import annotations

import statistics
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import log, sqrt
from typing import ClassVar

import numpy as np
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.models import Dataset, JobDataset, JobStep, Status, Step
from fastmtl.lengths import RowLengths, in_tokens, mostly_cut, per_character
from fastmtl.summary import Lengths

ASSUMED_RATE, ASSUMED_DOUBT = 0.22, 0.3
"""Tokens a character before any was counted: of GLUE's English, 0.20 to 0.24 for a vocabulary of 30,000."""
LEAST_DOUBT = 0.08
"""Of a rate that other texts of the encoder had: GLUE's eight tasks lie apart by that."""
ROW_SPREAD = 0.6
"""Standard deviation of a row's length over its mean: how much the mean of a few rows says of all."""
COUNTING = ("discriminator", "warm_up", "score", "sample", "embed", "lm_loss", "adapt_lm", "finetune")
"""Kinds of steps that read all rows of a dataset, or some at random."""
RESULTS = 200
"""Newest results that are looked through."""


class Read(BaseModel):
    """What a step says of the texts that it read (`fastmtl.tokens.counted`)."""

    model_config = ConfigDict(frozen=True)

    encoder: str
    """Its location."""
    max_length: int = Field(ge=1)
    texts: dict[str, tuple[int, int]]
    """Rows and tokens, by digest or another name."""


@dataclass(frozen=True)
class Rate:
    """Tokens a character."""

    value: float
    doubt: float
    """Standard deviation of its logarithm."""
    basis: str
    """One of BASES."""

    BASES: ClassVar = ("counted", "measured", "assumed")
    """From the surest."""

    @staticmethod
    def assumed() -> Rate:
        """Return what is taken where nothing was counted."""
        return Rate(ASSUMED_RATE, ASSUMED_DOUBT, "assumed")

    @staticmethod
    def of(measured: Sequence[float]) -> Rate:
        """Return the median of what was measured."""
        if not measured:
            return Rate.assumed()
        spread = statistics.pstdev([log(each) for each in measured])
        return Rate(statistics.median(measured), max(LEAST_DOUBT, spread), "measured")


def row_lengths(dataset: Dataset, rate: Rate, max_length: int) -> RowLengths:
    """Return the lengths of a dataset's rows at a rate."""
    lengths, pair = _summary(dataset)
    return in_tokens(
        dataset.rows, lengths, pair=pair, per_character=rate.value, max_length=max_length, doubt=rate.doubt
    )


def counted_lengths(dataset: Dataset, read: Read) -> RowLengths:
    """Return the lengths of a dataset's rows so that their mean is what was counted."""
    return row_lengths(dataset, _counted_rate(dataset, read) or Rate.assumed(), read.max_length)


def mean_rate(datasets: Mapping[str, Dataset], read: Read) -> float | None:
    """Return how many tokens a character had, over all that a step read; None where most rows were cut."""
    found, weights = [], []
    for digest, (rows, tokens) in read.texts.items():
        rate = _counted_rate(datasets[digest], read) if digest in datasets else None
        if rate and not mostly_cut(tokens / rows, read.max_length):
            found.append(rate.value)
            weights.append(rows)
    return float(np.average(found, weights=weights)) if found else None


def counted_rates(
    session: Session, tenant_id: uuid.UUID, datasets: Sequence[Dataset], encoder: str, max_length: int
) -> dict[str, Rate]:
    """Return the rates of those datasets that a step of the tenant's has read for the encoder, by digest.

    Of several counts that of the most rows; one of rows that were mostly cut says nothing of another `max_length`.
    """
    of_jobs = (
        select(JobStep.step_id)
        .join(JobDataset, JobDataset.job_id == JobStep.job_id)
        .where(JobDataset.dataset_id.in_([each.id for each in datasets]))
    )
    finished = (
        select(Step.result)
        .where(Step.id.in_(of_jobs), Step.tenant_id == tenant_id, Step.status == Status.SUCCEEDED)
        .where(Step.kind.in_(COUNTING))
        .order_by(Step.finished_at.desc())
        .limit(RESULTS)
    )
    reads = [Read.model_validate(result["read"]) for result in session.scalars(finished) if result and "read" in result]
    found: dict[str, tuple[int, Rate]] = {}
    for read in (each for each in reads if each.encoder == encoder):
        for dataset in (each for each in datasets if each.digest in read.texts):
            rows, tokens = read.texts[dataset.digest]
            usable = read.max_length == max_length or (rows and not mostly_cut(tokens / rows, read.max_length))
            if usable and rows > found.get(dataset.digest, (0,))[0] and (rate := _counted_rate(dataset, read)):
                found[dataset.digest] = rows, rate
    return {digest: rate for digest, (_, rate) in found.items()}


def _counted_rate(dataset: Dataset, read: Read) -> Rate | None:
    """Return the rate that gives the mean that was counted; None where no row was."""
    rows, tokens = read.texts.get(dataset.digest, (0, 0))
    if not rows:
        return None
    lengths, pair = _summary(dataset)
    value = per_character(lengths, pair=pair, mean_tokens=tokens / rows, max_length=read.max_length)
    unseen = max(0.0, 1 - rows / dataset.rows)
    return Rate(value, ROW_SPREAD * sqrt(unseen / rows), "counted")


def _summary(dataset: Dataset) -> tuple[Lengths, bool]:
    return Lengths(**dataset.summary["lengths"]), dataset.summary["columns"]["text_b"] is not None
