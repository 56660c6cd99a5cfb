"""What the embedded stack takes while nobody asks anything, and how soon it is there.

    python benchmarks/speed/idle.py

Starts `fastmtl serve` on a fresh home and waits for its first answer, as often as there are turns; then the whole
embedded stack, API and worker, which is left alone for `--wait` seconds and whose processes are then weighed: RSS, PSS
(a page that two processes share counts half in each) and what is a process's own alone.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

import kit
import psutil
from requests import Service

from app.embedded import EmbeddedStack

MIB = 2**20
KINDS = ("pss", "rss", "uss")


def first_answer(port: int) -> None:
    """Start the API on a fresh home and wait until it answers."""
    with tempfile.TemporaryDirectory() as home:
        Service(Path(home), port).stop()


def weighed(wait: float) -> dict[str, dict[str, float]]:
    """Return the MiB of every process of the stack at rest, and of all together."""
    with tempfile.TemporaryDirectory() as home, EmbeddedStack(Path(home), port=0):
        time.sleep(wait)
        found: dict[str, dict[str, float]] = {}
        for process in psutil.Process().children(recursive=True):
            command = process.cmdline()
            name = next((each for each in ("serve", "worker") if each in command), " ".join(command[1:4]))
            name = f"{name} {process.pid}" if name in found else name
            memory = process.memory_full_info()
            found[name] = {kind: round(getattr(memory, kind) / MIB, 1) for kind in KINDS}
    together = {kind: round(sum(each[kind] for each in found.values()), 1) for kind in KINDS}
    return {**found, "together": together}


def main() -> None:
    """Measure and write down."""
    parser = kit.parser(__doc__)
    parser.add_argument("--wait", type=float, default=30)
    parser.add_argument("--port", type=int, default=18_792)
    given = parser.parse_args()
    os.environ["FASTMTL_CALIBRATE"] = "false"  # a worker's first minute, not its rest
    about = kit.machine()
    command = [sys.executable, "-m", "app.cli", "--help"]
    took = kit.in_turn(
        {
            "first_answer": partial(first_answer, given.port),
            "help": partial(subprocess.run, command, check=True, stdout=subprocess.DEVNULL),
        },
        given.turns,
    )
    seconds = {name: kit.spread(each) for name, each in took.items()}
    kit.write("idle", {"mib": weighed(given.wait), "seconds": seconds, "machine": about}, given.results)


if __name__ == "__main__":
    main()
