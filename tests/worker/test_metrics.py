"""What a worker tells of its steps, its sweeps and its GPUs."""

from __future__ import annotations

import subprocess
import sys
from enum import Enum
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from app.tracing import Tracing
from worker.attempts import Attempt
from worker.metrics import WorkerMetrics, read_gpus


class Ending(Enum):
    DONE = "done"
    NOT_OURS = "not ours"


class Process:
    """A step's process as far as it is looked at."""

    def __init__(self, progress: dict | None) -> None:
        self.progress = progress


def rows(per_second: float | None, unit: str = "rows") -> dict:
    return {"done": 1, "total": 9, "unit": unit, "message": "", "per_second": per_second, "seconds_left": None}


class Told:
    """A worker's metrics, its clock turned by hand."""

    def __init__(self) -> None:
        self.time = 100.0
        self.registry = CollectorRegistry()
        self.metrics = WorkerMetrics(self.registry, lambda: self.time)

    def value(self, name: str, **labels: str) -> float | None:
        return self.registry.get_sample_value(f"fastmtl_{name}", labels)


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Told:
    monkeypatch.setenv("PATH", "/nowhere")  # whatever GPUs this machine has
    return Told()


def attempt(kind: str, ending: Ending | None = None, progress: dict | None = None) -> Attempt:
    made = Attempt(kind, Tracing())
    if ending:
        made.watch(Process(progress), lambda: ending)
    return made


def test_attempts_are_counted_by_kind_and_by_how_they_ended(told):
    for each in (attempt("score", Ending.DONE), attempt("score", Ending.DONE), attempt("score", Ending.NOT_OURS)):
        told.metrics.step_ended(each, 3.0)
    told.metrics.step_ended(attempt("target"), 0.25)  # its process never began
    assert [
        told.value("steps_ended_total", kind=kind, outcome=outcome)
        for kind, outcome in [("score", "done"), ("score", "not ours"), ("target", "failed")]
    ] == [2, 1, 1]
    assert (told.value("step_seconds_sum", kind="score"), told.value("step_seconds_count", kind="score")) == (9, 3)


def test_while_a_step_runs_the_worker_is_busy_and_says_how_fast_it_is(told):
    running = attempt("score", Ending.DONE, rows(52.5))
    told.metrics.step_began(running)
    during = (told.value("worker_busy"), told.value("step_rows_per_second", kind="score"))
    told.metrics.step_ended(running, 1.0)
    assert during == (1, 52.5)
    assert (told.value("worker_busy"), told.value("step_rows_per_second", kind="score")) == (0, None)


@pytest.mark.parametrize("progress", [None, rows(None), rows(5.0, unit="batches")])
def test_a_step_that_counts_no_rows_has_no_rate(told, progress):
    told.metrics.step_began(attempt("rank", Ending.DONE, progress))
    assert told.value("step_rows_per_second", kind="rank") is None


def test_sweeps_and_what_they_rang_are_counted(told):
    before = told.value("sweep_age_seconds")
    told.metrics.swept(3)
    told.metrics.swept(0)
    told.metrics.sweep_failed()
    told.time += 7
    assert [told.value("sweeps_total", outcome=outcome) for outcome in ("done", "failed")] == [2, 1]
    assert (before, told.value("sweep_age_seconds"), told.value("sweep_rings_total")) == (None, 7, 3)


def test_the_memory_of_the_steps_process_is_told(told):
    name = "open('/proc/self/comm', 'w').write('fastmtl-step')"
    program = f"import sys; {name}; held = b'x' * 50_000_000; print(flush=True); sys.stdin.read()"
    command = [sys.executable, "-c", program]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        child.stdout.readline()
        during = told.value("child_resident_bytes")
        child.stdin.close()
    assert during > 50_000_000 and told.value("child_resident_bytes") < during


def nvidia_smi(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    program = folder / "nvidia-smi"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")


def test_the_memory_of_gpus_is_told(told, tmp_path, monkeypatch):
    nvidia_smi(tmp_path, monkeypatch, "echo '0, 512, 81559'; echo '1, 0, 81559'")
    assert [told.value("gpu_memory_used_bytes", gpu=gpu) for gpu in "01"] == [512 * 2**20, 0]
    assert told.value("gpu_memory_total_bytes", gpu="1") == 81559 * 2**20


def test_a_card_that_does_not_tell_is_left_out(told, tmp_path, monkeypatch):
    nvidia_smi(tmp_path, monkeypatch, "echo '0, [N/A], 81559'")
    assert told.value("gpu_memory_used_bytes", gpu="0") is None
    assert told.value("gpu_memory_total_bytes", gpu="0") == 81559 * 2**20


@pytest.mark.parametrize("script", ["exit 9", "echo 'No devices were found'", "sleep 60"])
def test_a_driver_that_fails_or_hangs_does_not_fail_the_scrape(told, tmp_path, monkeypatch, script):
    nvidia_smi(tmp_path, monkeypatch, script.replace("sleep", "exec sleep"))
    families = text_string_to_metric_families(generate_latest(told.registry).decode())
    assert not [family.name for family in families if "gpu" in family.name]


def test_without_the_driver_there_are_no_gpus(monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    assert read_gpus() == []
