"""Why an attempt at a step came to nothing, in words for its user, and whether another may end otherwise."""

from __future__ import annotations

import signal
from pathlib import Path

from fastmtl.plan import Json

VMSTAT = Path("/proc/vmstat")


def failure(kind: str, message: str) -> Json:
    """Return what is written of an attempt that failed."""
    return {"type": kind, "message": message}


def not_stored(told: str, error: OSError) -> Json:
    """Return what is written where the storage did not give or take a file."""
    return failure("storage", f"{told}: {error.strerror or error}")


def stalled(seconds: float) -> Json:
    """Return what is written of a process that said nothing for so long."""
    message = (
        f"the step's process said nothing for {seconds:g} seconds, as if it hung, and was ended. If steps are only "
        "that slow here, set FASTMTL_STALL_SECONDS higher"
    )
    return failure("step-stalled", message)


def died(returncode: int, *, of_memory: bool) -> Json:
    """Return what is written of a process that ended without a word."""
    if of_memory:
        message = (
            "the machine ran out of memory and ended the step's process. Each attempt after such an end computes half "
            "as much at once; where none is left, make config.encoder.max_length smaller, use a smaller encoder, or a "
            "machine with more memory"
        )
    elif returncode == -signal.SIGKILL:
        message = "the step's process was killed, most likely because the machine ran out of memory"
    else:
        name = signal.Signals(-returncode).name if returncode < 0 else f"status {returncode}"
        message = f"the step's process ended with {name}; the worker's log has the details"
    return failure("process-died", message)


def memory_kills(vmstat: Path = VMSTAT) -> int | None:
    """Return how many processes the kernel has ended for want of memory, of a container's or the machine's.

    It counts those of all containers since it started. None where it does not say.
    """
    try:
        lines = vmstat.read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) for line in lines if line.startswith("oom_kill ")), None)
