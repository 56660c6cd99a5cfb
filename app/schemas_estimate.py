"""Bodies of answers that foretell a job."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from app.forecast import Basis

BASIS = (
    "What it was reckoned from: `measured` with the same device, kind of step and encoder; `scaled` with another "
    "encoder; `related` with other kinds of steps on the device, or in a calibration; `reused` where the step is done "
    "already; `none` where nothing was measured yet. Of a whole job the furthest of its steps'."
)


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class BandOut(_Record):
    """A number, and between what bounds it should lie."""

    expected: float = Field(description="What is expected.", ge=0, examples=[95.0])
    low: float = Field(description="Lower bound.", ge=0, examples=[70.0])
    high: float = Field(description="Upper bound.", ge=0, examples=[130.0])


class StepEstimate(_Record):
    """What one step will take."""

    name: str = Field(description="Its name in the job.", max_length=300, examples=["target (selection)"])
    kind: str = Field(description="What it does.", max_length=100, examples=["target"])
    reused: bool = Field(description="Whether it is done already, for another job; it then takes nothing.")
    rows_to_train: BandOut = Field(description="Rows that it trains on, repetitions counted.")
    rows_to_score: BandOut = Field(description="Rows that it passes forward only.")
    tokens: BandOut = Field(description="Tokens that go through the encoder, padding not counted.")
    optimiser_steps: BandOut = Field(description="Optimiser steps.")
    seconds: BandOut | None = Field(description="Seconds of a worker; null where nothing was measured yet.")
    peak_bytes: BandOut | None = Field(description="Memory of the device at its peak; null likewise.")
    basis: Basis = Field(description=BASIS, examples=["measured"])
    measurements: int = Field(description="Measurements of that basis.", ge=0, examples=[12])


class EstimateOut(_Record):
    """What a job will take on this deployment; nothing was submitted."""

    coverage: float = Field(description="Share of jobs whose figures should lie in their bands.", examples=[0.9])
    device: str | None = Field(
        description="The device that the figures are for: the one that measured lately; null before any did.",
        max_length=500,
        examples=["NVIDIA H100 80GB HBM3, bf16"],
    )
    workers: int = Field(description="Workers that were there a moment ago, at least 1.", ge=1, examples=[2])
    rows_to_train: BandOut = Field(description="Rows to train on, repetitions counted.")
    rows_to_score: BandOut = Field(description="Rows to score or to measure on.")
    tokens: BandOut = Field(description="Tokens that go through the encoder, padding not counted.")
    tokens_basis: str = Field(
        description="Where the tokens are from: `counted` when a step read the texts, `measured` as many a character "
        "as other texts of the encoder had, `assumed` before any was counted; of the least known dataset.",
        max_length=20,
        examples=["counted"],
    )
    optimiser_steps: BandOut = Field(description="Optimiser steps.")
    seconds: BandOut | None = Field(description="Seconds of work, all steps together; null where some are not known.")
    elapsed_seconds: BandOut | None = Field(
        description="Seconds until it is over with those workers and nothing else to do: by the critical path."
    )
    peak_bytes: BandOut | None = Field(description="Memory of the device at its peak, of the largest step.")
    basis: Basis = Field(description=BASIS, examples=["measured"])
    measurements: dict[str, int] = Field(
        description="How many measurements the seconds were reckoned from, by kind of step.", examples=[{"target": 12}]
    )
    reused: list[str] = Field(description="Names of the steps that are done already.", examples=[["discriminator"]])
    steps: list[StepEstimate] = Field(description="Its steps, inputs before outputs.")


class JobEstimate(_Record):
    """What was foretold when the job was submitted, and what it took."""

    seconds: float = Field(description="Seconds of work that were expected.", ge=0, examples=[95.0])
    seconds_low: float = Field(description="Lower bound.", ge=0, examples=[70.0])
    seconds_high: float = Field(description="Upper bound; nine of ten jobs should end in between.", examples=[130.0])
    elapsed_seconds: float | None = Field(
        None, description="Seconds until it would be over, with the workers of then.", ge=0, examples=[60.0]
    )
    peak_bytes: float | None = Field(None, description="Memory of the device at its peak.", ge=0, examples=[1.2e9])
    basis: Basis = Field(description=BASIS, examples=["measured"])
    actual_seconds: float | None = Field(
        None, description="Seconds that its own steps took; null until it is over.", ge=0, examples=[101.5]
    )
    ratio: float | None = Field(
        None, description="Actual seconds over expected ones; null until it has succeeded.", ge=0, examples=[1.07]
    )
