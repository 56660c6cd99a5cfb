"""A large upload in parts over a connection that is cut again and again: what it costs the API, as figures.

    python tests/support/cut_upload.py URL KEY FILE CUT ...     uploads a file through those cuts, prints the dataset

`upload_with_cuts` does the whole of it: a served API, a file, the client in a process of its own, so that its work does
not stand in the way of what is measured.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2
import numpy as np
from cutting import cutting
from serving import ApiProcess, api_process

from fastmtl.client import Client

MIB = 2**20
TEXT = "the parcel came late and the box was open " * 100
PROBE_SECONDS = 0.02
ROOT = Path(__file__).resolve().parents[2]


def upload_with_cuts(
    mebibytes: int, cuts: int, folder: Path, seed: int = 0, **settings: str
) -> dict[str, float | int | bool]:
    """Upload a CSV of so many MiB with so many cuts at random places; return what was measured.

    `growth_mib` is how much the API's peak of resident memory rose, the health figures are of requests every 20 ms from
    the first byte until the file has become a dataset.
    """
    file, digest = folder / "large.csv", hashlib.sha256()
    with file.open("wb") as out:
        for piece in _rows(mebibytes * MIB):
            out.write(piece)
            digest.update(piece)
    draw = random.Random(seed)
    places = sorted(draw.randrange(file.stat().st_size) for _ in range(cuts))
    with api_process(folder / "home", **settings) as api:
        _warm_up(api)
        before = api.peak
        health = _Health(api)
        began = time.monotonic()
        with health:
            told = _upload(api, file, places)
        seconds = time.monotonic() - began
        figures = {
            "mib": round(file.stat().st_size / MIB),
            "cuts": told["cuts"],
            "digest_equal": told["sha256"] == digest.hexdigest(),
            "rows": told["rows"],
            "seconds": round(seconds, 1),
            "memory_before_mib": round(before / MIB, 1),
            "growth_mib": round((api.peak - before) / MIB, 1),
            "left_files": len(api.left()),
            **health.figures(),
        }
    file.unlink()
    return figures


class _Health:
    """Asks for the API's health again and again, in a thread: the client's process has its own lock."""

    def __init__(self, api: ApiProcess) -> None:
        self._url = f"{api.url}/v1/health"
        self._milliseconds: list[float] = []
        self._failed = 0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._ask)

    def __enter__(self) -> _Health:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def figures(self) -> dict[str, float | int]:
        """Return how long it took."""
        median, p99 = np.quantile(self._milliseconds, [0.5, 0.99])
        return {
            "health_requests": len(self._milliseconds),
            "health_failed": self._failed,
            "health_p50_ms": round(float(median), 1),
            "health_p99_ms": round(float(p99), 1),
            "health_max_ms": round(max(self._milliseconds), 1),
        }

    def _ask(self) -> None:
        with httpx2.Client(timeout=30) as client:
            while not self._over.wait(PROBE_SECONDS):
                began = time.perf_counter()
                try:
                    self._failed += client.get(self._url).status_code != 200
                except httpx2.TransportError:
                    self._failed += 1
                self._milliseconds.append(1000 * (time.perf_counter() - began))


def _warm_up(api: ApiProcess) -> None:
    """Let the API load what its first upload loads."""
    body = b"text,label\n" + b"".join(b"a parcel %d,%d\n" % (row, row % 2) for row in range(100))
    httpx2.post(f"{api.url}/v1/datasets", content=body, headers=api.headers, timeout=60).raise_for_status()


def _upload(api: ApiProcess, file: Path, cuts: list[int]) -> dict[str, str | int]:
    key = api.headers["Authorization"].removeprefix("Bearer ")
    command = [sys.executable, __file__, api.url, key, str(file), *map(str, cuts)]
    path = os.pathsep.join([str(ROOT), str(Path(__file__).parent)])
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": path})
    assert done.returncode == 0, done.stderr[-2000:]
    told: dict[str, str | int] = json.loads(done.stdout)
    return told


def _rows(size: int) -> Iterator[bytes]:
    """Yield a CSV of about `size` bytes, a MiB at a time."""
    yield b"text,label\n"
    written = number = 0
    while written < size:
        piece = b""
        while len(piece) < MIB:
            piece += f"{number} {TEXT},{number % 2}\n".encode()
            number += 1
        written += len(piece)
        yield piece


def main() -> None:
    """Upload a file through cuts; print its dataset's digest and rows, and how often it was cut."""
    url, key, file, *cuts = sys.argv[1:]
    with cutting(url, [int(cut) for cut in cuts]) as cutter, Client(cutter.url, key) as client:
        dataset = client.upload(file, resumable=True)
        sys.stdout.write(json.dumps({"sha256": dataset["sha256"], "rows": dataset["rows"], "cuts": cutter.done}))


if __name__ == "__main__":
    main()
