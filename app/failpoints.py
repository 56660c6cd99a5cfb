"""Marked points at which a test breaks this process; without FASTMTL_FAILPOINTS a mark costs one comparison.

FASTMTL_FAILPOINTS names a folder. A test orders a fault by writing one of `Action` into FOLDER/POINT. The first process
that reaches the point takes the order, by renaming it to FOLDER/taken/POINT~PID~NANOSECONDS, and obeys: an order is
obeyed once, and the test knows by whom and when.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from enum import StrEnum
from pathlib import Path

VARIABLE = "FASTMTL_FAILPOINTS"
FOLDER = os.environ.get(VARIABLE)
TAKEN = "taken"
MORE_THAN_THERE_IS = 2**60
"""Bytes that no machine has."""


class Action(StrEnum):
    """What happens to the process that takes the order."""

    KILL = "kill"
    STOP = "stop"
    """It stands still until it is sent SIGCONT."""
    SEGV = "segv"
    RAISE = "raise"
    OOM = "oom"
    """The allocator, torch's where it is loaded, is asked for more than there is, and says so in its own way."""
    HANG = "hang"
    """It sleeps for ever."""


class Ordered(RuntimeError):
    """A fault that a test ordered."""


def reach(point: str) -> None:
    """Break here if a test wants it."""
    if FOLDER is not None:
        _obey(Path(FOLDER), point)


def _obey(folder: Path, point: str) -> None:
    """Take the point's order, if there is one and no other process takes it first."""
    order = folder / point
    taken = folder / TAKEN / f"{point}~{os.getpid()}~{time.time_ns()}"
    try:
        order.rename(taken)
    except FileNotFoundError:
        return
    action = Action(taken.read_text())
    if action is Action.RAISE:
        raise Ordered(point)
    if action is Action.OOM:
        _allocate(MORE_THAN_THERE_IS)
    if action is Action.HANG:
        while True:
            time.sleep(3600)
    ends_by = {Action.KILL: signal.SIGKILL, Action.STOP: signal.SIGSTOP, Action.SEGV: signal.SIGSEGV}
    os.kill(os.getpid(), ends_by[action])


def _allocate(size: int) -> object:
    """Fail as the step's own allocations would. This module loads no torch."""
    torch = sys.modules.get("torch")
    return torch.empty(size, dtype=torch.uint8) if torch else bytearray(size)
