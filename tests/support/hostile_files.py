"""Hostile files, all of them, and what sending one to a served API does."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass

import httpx2
from hostile import MIB, Hostile
from hostile_binary import BINARY
from hostile_parquet import PARQUET
from hostile_text import TEXT
from serving import ApiProcess, peak

FILES = {**TEXT, **BINARY, **{f"Parquet: {name}": file for name, file in PARQUET.items()}}
MAX_SECONDS = 10
MAX_PARSER_BYTES = 2048 * MIB
MAX_GROWTH_BYTES = 64 * MIB


def small_file(client: httpx2.Client) -> float:
    """Upload two rows and return how many seconds that took."""
    began = time.monotonic()
    client.post("/v1/datasets", content=b"text,label\na,1\nb,0\n").raise_for_status()
    return time.monotonic() - began


def in_time(client: httpx2.Client, seconds: float) -> bool:
    """Whether that is as quick as it should be; a machine that is busy with others is given as much more as it needs.

    Two rows take less than a second where nothing else runs.
    """
    return seconds <= MAX_SECONDS or seconds <= MAX_SECONDS * small_file(client)


class Watch:
    """Looks after the processes that read uploads: the most memory that any of them had."""

    def __init__(self, process: ApiProcess) -> None:
        self._process = process
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look)
        self.peak = 0

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._over.wait(0.01):
            self.peak = max([self.peak, *(peak(pid) or 0 for pid in self._process.parsers())])


@dataclass(frozen=True)
class Attempt:
    """What became of one file."""

    seconds: float
    in_time: bool
    parser_bytes: int
    """The most memory that any process which read it had."""
    growth_bytes: int
    """Of the API's own process."""
    wrong: list[str]
    """What is not as it should be, in words: the answer, what is left, who is hurt."""


def attempt(process: ApiProcess, client: httpx2.Client, file: Hostile) -> Attempt:
    """Send a file, and look at all that it could have hurt."""
    chunks = list(file.chunks()) if not file.slow else file.chunks()
    before, began = process.memory, time.monotonic()
    with Watch(process) as watch:
        answer = client.post("/v1/datasets", params=file.options, headers=file.headers, content=iter(chunks))
    seconds = time.monotonic() - began
    healthy = client.get("/v1/health", timeout=1).status_code == 200
    faults = {
        f"left: {process.left()}": bool(process.left()),
        f"still running: {process.parsers()}": bool(process.parsers()),
        "the API does not answer": not healthy,
    }
    wrong = _misanswered(answer, file) + [said for said, so in faults.items() if so]
    return Attempt(seconds, in_time(client, seconds), watch.peak, process.memory - before, wrong)


def _misanswered(answer: httpx2.Response, file: Hostile) -> list[str]:
    """Say what an answer lacks that it should have."""
    told = (answer.status_code, answer.headers["Content-Type"])
    if told != (file.status, "application/problem+json"):
        return [f"answered {told}: {answer.text[:200]}"]
    problem = answer.json()
    wrong = [] if file.told in problem["detail"] else [f"does not say {file.told!r}: {problem['detail']}"]
    return wrong + ["a message is too long" for each in problem.get("errors", []) if len(each["message"]) > 2000]
