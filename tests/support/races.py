"""Many clients that send the same request at the same moment."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import httpx2

GIVE_UP_SECONDS = 120


@dataclass
class Race:
    """What came of it."""

    keys: int
    at_once: int
    seconds: float = 0.0
    requests: int = 0
    jobs: set[str] = field(default_factory=set)
    bodies: dict[str, set[bytes]] = field(default_factory=dict)
    """By key: what was answered in the end."""
    statuses: Counter[int] = field(default_factory=Counter)

    def figures(self) -> dict[str, object]:
        """What a report says of it."""
        return {
            "keys": self.keys,
            "at once": self.at_once,
            "requests": self.requests,
            "answers": {str(status): count for status, count in sorted(self.statuses.items())},
            "jobs answered": len(self.jobs),
            "keys with more than one answer": sum(len(bodies) > 1 for bodies in self.bodies.values()),
            "seconds": round(self.seconds, 1),
        }


def race(url: str, api_key: str, body: bytes, keys: Sequence[str], at_once: int) -> Race:
    """Submit a job under each key from `at_once` clients at once; each asks again while it is told to."""
    found, began = Race(len(keys), at_once), time.monotonic()
    headers = {"Authorization": f"Bearer {api_key}", "Content-Type": "application/json"}
    start, lock = threading.Barrier(at_once), threading.Lock()

    def run(_: int) -> None:
        with httpx2.Client(base_url=url, timeout=GIVE_UP_SECONDS, headers=headers) as client:
            for key in keys:
                start.wait(GIVE_UP_SECONDS)
                client.headers["Idempotency-Key"] = key
                statuses, answer = until_answered(client, body)
                with lock:
                    found.statuses.update(statuses)
                    found.requests += len(statuses)
                    found.jobs.add(answer.json()["id"])
                    found.bodies.setdefault(key, set()).add(answer.content)

    with ThreadPoolExecutor(at_once) as pool:
        list(pool.map(run, range(at_once)))
    found.seconds = time.monotonic() - began
    return found


def until_answered(client: httpx2.Client, body: bytes) -> tuple[list[int], httpx2.Response]:
    """Submit a job again and again while it is in flight; return every status on the way, and the answer."""
    statuses, until, wait_seconds = [], time.monotonic() + GIVE_UP_SECONDS, 0.05
    while True:
        answer = client.post("/v1/jobs", content=body)
        statuses.append(answer.status_code)
        if answer.status_code == 202:
            return statuses, answer
        assert answer.status_code == 409, answer.text
        assert time.monotonic() < until, "still in flight"
        time.sleep(wait_seconds)
        wait_seconds = min(1.0, 2 * wait_seconds)
