"""What Prometheus is told by a worker: of its steps, its sweeps, and of what its step's process takes.

A label's values are few and known: kinds of steps, outcomes, numbers of GPUs.
"""

from __future__ import annotations

import csv
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress

import psutil
from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from worker.attempts import Attempt
from worker.protocol import STEP

STEP_BUCKETS = (0.5, 1, 2, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 7200, 14400, 43200)
ASK_GPUS = ("--query-gpu=index,memory.used,memory.total", "--format=csv,noheader,nounits")
GPU_SECONDS = 2.0
"""How long nvidia-smi may take; it is asked as often as Prometheus asks."""
MIB = 2**20


class WorkerMetrics:
    """Of one worker."""

    def __init__(self, registry: CollectorRegistry, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._swept: float | None = None
        self._attempt: Attempt | None = None
        self._ended = Counter(
            "fastmtl_steps_ended", "Attempts at steps by how they ended.", ["kind", "outcome"], registry=registry
        )
        self._seconds = Histogram(
            "fastmtl_step_seconds",
            "Seconds of an attempt at a step, from claim to end.",
            ["kind"],
            buckets=STEP_BUCKETS,
            registry=registry,
        )
        self._sweeps = Counter(
            "fastmtl_sweeps", "Sweeps of the database for steps that nobody took.", ["outcome"], registry=registry
        )
        self._rings = Counter("fastmtl_sweep_rings", "Steps that sweeps rang for.", registry=registry)
        for outcome in ("done", "failed"):
            self._sweeps.labels(outcome)
        registry.register(Present(self))

    def step_began(self, attempt: Attempt) -> None:
        """Note that an attempt runs."""
        self._attempt = attempt

    def step_ended(self, attempt: Attempt, seconds: float) -> None:
        """Note how an attempt ended."""
        self._attempt = None
        self._ended.labels(attempt.kind, attempt.outcome).inc()
        self._seconds.labels(attempt.kind).observe(seconds)

    def swept(self, rung: int) -> None:
        """Note a sweep that ended well."""
        self._swept = self._clock()
        self._sweeps.labels("done").inc()
        self._rings.inc(rung)

    def sweep_failed(self) -> None:
        """Note a sweep that did not."""
        self._sweeps.labels("failed").inc()

    @property
    def attempt(self) -> Attempt | None:
        """The attempt that runs."""
        return self._attempt

    @property
    def sweep_age(self) -> float | None:
        """Seconds since the last sweep that ended well; None before the first."""
        return None if self._swept is None else self._clock() - self._swept


class Present(Collector):
    """What is so at the moment that Prometheus asks."""

    def __init__(self, metrics: WorkerMetrics) -> None:
        self._metrics = metrics
        self._lock = threading.Lock()  # nvidia-smi is not started twice at a time

    def collect(self) -> Iterator[Metric]:
        """Yield what there is: nothing of a step where none runs, nothing of GPUs where there are none."""
        attempt = self._metrics.attempt
        yield _gauge("fastmtl_worker_busy", "1 while a step runs, else 0.", float(attempt is not None))
        if attempt is not None and (rate := attempt.rows_per_second()) is not None:
            rows = GaugeMetricFamily(
                "fastmtl_step_rows_per_second", "Rows a second of the running step.", labels=["kind"]
            )
            rows.add_metric([attempt.kind], rate)
            yield rows
        memory = float(_resident_bytes_of_steps())
        yield _gauge(
            "fastmtl_child_resident_bytes",
            "Resident memory of the step's processes, pages shared with their template included.",
            memory,
        )
        if (age := self._metrics.sweep_age) is not None:
            yield _gauge("fastmtl_sweep_age_seconds", "Seconds since the last sweep that ended well.", age)
        with self._lock:
            yield from _gpus()

    def describe(self) -> Iterator[Metric]:
        """Name nothing beforehand: registering asks nobody."""
        yield from ()


def _gpus() -> Iterator[Metric]:
    """Yield the memory of every GPU that nvidia-smi knows of; nothing where there is none of either."""
    rows = read_gpus()
    for column, name, sentence in ((1, "used", "Used memory of a GPU."), (2, "total", "Memory of a GPU.")):
        family = GaugeMetricFamily(f"fastmtl_gpu_memory_{name}_bytes", sentence, labels=["gpu"])
        for row in rows:
            with suppress(ValueError, IndexError):  # [N/A] where a card does not tell
                family.add_metric([row[0]], float(row[column]) * MIB)
        if family.samples:
            yield family


def read_gpus() -> list[list[str]]:
    """Return [index, used, total] of each GPU, memory in MiB, as nvidia-smi writes them."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return []
    try:
        told = subprocess.run([program, *ASK_GPUS], capture_output=True, text=True, timeout=GPU_SECONDS, check=True)
    except (OSError, subprocess.SubprocessError):
        return []
    return list(csv.reader(told.stdout.splitlines(), skipinitialspace=True))


def _resident_bytes_of_steps() -> int:
    """Return the memory of the steps' processes and of what they started; pages shared with their template count."""
    total = 0
    for child in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):  # ended since
            if child.name() == STEP:
                total += sum(each.memory_info().rss for each in (child, *child.children(recursive=True)))
    return total


def _gauge(name: str, sentence: str, value: float) -> Metric:
    return GaugeMetricFamily(name, sentence, value=value)
