"""What a selection over very many rows costs: reckoned from measured constants, for so many rows on so many devices.

Torch-free and quick: benchmarks/scale/page.py makes the tables of docs/scale.md of it. A device's speed, and what a
step's process takes to start, are arguments: replace them with what is measured on the device that is meant.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from fastmtl.methods.discriminator import shard_rows

Json = dict[str, Any]

TASKS = 8
"""Columns of the stored probabilities: one a task."""
SCORE_BYTES = 4
"""Of a probability, float32, and of a row's score while it is ranked."""
LOOKS_PER_SECOND, BEATS_PER_SECOND, ASKS_PER_SECOND = 1.0, 0.1, 0.2
"""Of a worker at work: whether its step is still its own, its lease renewed, whether it is time to sweep."""
EVENTS_PER_STEP, FILES_PER_SHARD, NEEDS_PER_SHARD = 2, 2, 2


@dataclass(frozen=True)
class Device:
    """What scores."""

    rows_per_second: float = 31_930.0
    """One NVIDIA H100 and 16 cores with the packaged encoder, tokenising included: the median of
    benchmarks/results/scoring_cuda_384.json."""
    start_seconds: float = 4.0
    """From a claim until the step's process computes; docs/performance.md and the fault tests time it."""


@dataclass(frozen=True)
class Forecast:
    """What scoring so many rows takes."""

    rows: int
    devices: int
    shard_rows: int
    shards: int
    seconds: float
    efficiency: float
    """Of the devices' time, the share in which they score."""
    claims_per_second: float
    lock_share: float
    """Of the time, the share in which a claim or a finish holds the one lock of the graph."""
    statements_per_second: float
    """Of looks, beats and asks, beside claims and finishes."""
    table_rows: dict[str, int]
    database_bytes: float
    probability_bytes: int
    rank_bytes: int
    """What the `rank` step holds at once."""


def forecast(rows: int, devices: int, device: Device, simulated: Json) -> Forecast:
    """Reckon it; `simulated` is what benchmarks/scale/simulate.py wrote."""
    size = shard_rows(rows)
    shards = math.ceil(rows / size)
    shard_seconds = min(size, rows) / device.rows_per_second + device.start_seconds
    seconds = math.ceil(shards / devices) * shard_seconds
    claims = shards / seconds
    calls = simulated["steady"]["calls"]
    held = (calls["claim"]["median_ms"] + calls["finish"]["median_ms"]) / 1000
    tables = {
        "steps": shards + 3,
        "step_needs": NEEDS_PER_SHARD * shards + 2,
        "job_steps": shards + 3,
        "artifacts": FILES_PER_SHARD * shards,
        "events": EVENTS_PER_STEP * shards,
    }
    a_row = simulated["tables"]
    return Forecast(
        rows=rows,
        devices=devices,
        shard_rows=size,
        shards=shards,
        seconds=seconds,
        efficiency=rows / device.rows_per_second / (devices * seconds),
        claims_per_second=claims,
        lock_share=claims * held,
        statements_per_second=min(devices, shards) * (LOOKS_PER_SECOND + BEATS_PER_SECOND + ASKS_PER_SECOND),
        table_rows=tables,
        database_bytes=sum(count * a_row[name]["bytes_per_row"] for name, count in tables.items()),
        probability_bytes=rows * TASKS * SCORE_BYTES,
        rank_bytes=rows * (SCORE_BYTES + 1),
    )
