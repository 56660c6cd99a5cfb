"""How much the API's memory grows while a large file is uploaded.

    python benchmarks/upload_memory.py --mib 1024

Starts `fastmtl serve` on a scratch folder, streams a CSV of that size to it, and reads the process's peak resident
memory before and after. Prints one line of JSON.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2
import psutil

from app.embedded import EmbeddedStack

TEXT = "the parcel came late and the box was open " * 100
MIB = 2**20


def rows(size: int) -> Iterator[bytes]:
    """Yield a CSV of about `size` bytes in pieces of a MiB."""
    yield b"text,label\n"
    written, number, piece = 0, 0, b""
    while written < size:
        piece += f"{number} {TEXT},{number % 2}\n".encode()
        number += 1
        if len(piece) >= MIB:
            written += len(piece)
            yield piece
            piece = b""


def peak(pid: int) -> int:
    """Return the peak resident memory of a process, bytes."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))


def measure(mib: int) -> dict[str, float]:
    """Upload `mib` MiB; return growth and speed."""
    with tempfile.TemporaryDirectory() as home, EmbeddedStack(Path(home), port=0) as stack:
        api = next(p for p in psutil.process_iter() if _is_api(p, home))
        key = {"Authorization": f"Bearer {stack.key}"}
        httpx2.get(f"{stack.url}/v1/datasets", headers=key).raise_for_status()
        before, began = peak(api.pid), time.monotonic()
        answer = httpx2.post(f"{stack.url}/v1/datasets", content=rows(mib * MIB), timeout=900, headers=key)
        answer.raise_for_status()
        seconds = time.monotonic() - began
        return {
            "mib": mib,
            "rows": answer.json()["rows"],
            "peak_before_mib": round(before / MIB, 1),
            "growth_mib": round((peak(api.pid) - before) / MIB, 1),
            "seconds_with_parsing": round(seconds, 1),
        }


def _is_api(process: psutil.Process, home: str) -> bool:
    try:
        return "serve" in process.cmdline() and process.environ().get("FASTMTL_HOME") == home
    except (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
        return False


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mib", type=int, default=1024)
    print(json.dumps(measure(parser.parse_args().mib)))
