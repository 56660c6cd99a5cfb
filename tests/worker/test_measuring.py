"""What the process of a step says of itself."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from app.measurements import Told
from fastmtl.plan import StepSpec
from fastmtl.processor import processor_name
from worker.measuring import MEASURED
from worker.protocol import OUTPUT, REQUEST, RESULT, Request


def run(folder: Path, spec: StepSpec) -> dict:
    """Compute a step in a process of its own; return what it says."""
    folder.mkdir()
    asked = Request(spec=spec.to_json(), datasets={}, inputs={}, device="cpu", threads=1)
    (folder / REQUEST).write_text(asked.model_dump_json())
    subprocess.run(
        [sys.executable, "-m", "worker.child", str(folder), str(os.getpid())], check=True, stdout=subprocess.DEVNULL
    )
    return json.loads((folder / RESULT).read_text())


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict, dict]:
    """What a step without torch says, and its own record of costs."""
    folder = tmp_path_factory.mktemp("plain") / "step"
    spec = StepSpec(kind="calibrate_plain", name="plain", version=1, params={})
    result = run(folder, spec)
    return result, json.loads((folder / OUTPUT / "costs.json").read_text())[spec.fingerprint]


def test_its_seconds_count_from_the_start_of_the_process(plain: tuple[dict, dict]):
    result, costs = plain
    told = Told.model_validate(result[MEASURED])
    assert costs["seconds"] < told.seconds < costs["seconds"] + 60
    assert result["seconds"] <= costs["seconds"] + 0.01


def test_its_memory_is_that_of_its_costs_and_its_machine_the_processor(plain: tuple[dict, dict]):
    result, costs = plain
    told = Told.model_validate(result[MEASURED])
    assert (told.peak_bytes, told.device, told.precision, told.size) == (costs["bytes"], processor_name(), None, None)


def test_a_process_is_as_old_as_its_parent_sees_it_whatever_the_time_of_day():
    program = "from worker.measuring import seconds_since_start as s; import time; time.time = lambda: 0; print(s())"
    began = time.monotonic()
    told = float(subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout)
    took = time.monotonic() - began
    assert 0 < told <= took + 0.02  # a tick of /proc/PID/stat is 0.01 seconds
