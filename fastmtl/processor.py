"""What a machine's processor is called. Torch-free."""

from __future__ import annotations

import platform
from pathlib import Path

CPUINFO = Path("/proc/cpuinfo")


def processor_name() -> str:
    """Return the processor's name, for people."""
    return cpuinfo("model name") or platform.processor() or platform.machine()


def cpuinfo(field: str) -> str:
    """Return the first value of a field of /proc/cpuinfo; empty where there is none."""
    if not CPUINFO.exists():
        return ""
    lines = (line.partition(":") for line in CPUINFO.read_text().splitlines())
    return next((value.strip() for name, _, value in lines if name.strip() == field), "")
