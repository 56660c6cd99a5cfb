"""What the process of a step says of itself when it is done: on what it ran, how long and in how much memory."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import psutil

from fastmtl import cost, pipeline
from fastmtl.plan import Json, StepSpec
from fastmtl.processor import processor_name
from fastmtl.size import size_at

MEASURED = "measured"
"""Its key in a step's result."""
STARTTIME = 22
"""Field of /proc/PID/stat: when the process started, in ticks since the machine's start."""


def measured(spec: StepSpec, result: Json, output: Path, device: str) -> Json:
    """Return {device, precision, groups, seconds, peak_bytes, size}: `app.measurements.Told` as JSON.

    Seconds count from the start of the process; memory is the device's.
    """
    own = cost.read(output)[spec.fingerprint]
    read = result.get("read")
    size = size_at(read["encoder"]) if read else None
    return {
        **(_machine(device, spec.params.get("precision", "auto")) if pipeline.needs_torch(spec) else plain_machine()),
        "seconds": round(seconds_since_start(), 3),
        "peak_bytes": own["device_bytes"] or own["bytes"],
        "size": size and size._asdict(),
    }


def seconds_since_start() -> float:
    """Return for how long this process has been running.

    By clocks that nobody sets, on Linux: psutil reckons a process's start from the time of day, which on machines whose
    clock was corrected after their start is off by as much, by 0.7 seconds on one and for all steps alike.
    """
    if sys.platform != "linux":
        return max(0.001, time.time() - psutil.Process().create_time())
    after_name = Path("/proc/self/stat").read_text().rpartition(")")[2].split()  # proc(5): from the third field on
    started = int(after_name[STARTTIME - 3]) / os.sysconf("SC_CLK_TCK")
    return max(0.001, time.clock_gettime(time.CLOCK_BOOTTIME) - started)


def plain_machine() -> Json:
    """Return what is told of the machine of a step without torch."""
    return {"device": processor_name(), "precision": None, "groups": 1}


def _machine(device: str, precision: str) -> Json:
    from fastmtl.device import describe  # here: steps without torch start in half a second instead of four

    machine = describe(device, precision)  # type: ignore[arg-type]
    return {"device": f"{machine.name}, {machine.precision}", "precision": precision, "groups": machine.groups}
