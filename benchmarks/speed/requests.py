"""How long a request waits: POST /v1/jobs and GET of a job's status, at a steady rate, with many jobs in the table.

    python benchmarks/speed/requests.py --jobs 10000 --rates 25 50 100 --seconds 30

Starts private PostgreSQL and Redis from this machine's binaries and `fastmtl serve` on them, then sends requests at
their times whether or not earlier ones were answered: waiting is counted from when a request was due. No worker runs:
jobs stay queued. One request in `--submit-every` submits a new job, the others ask for a random one.

The table is filled by submitting `--submitted` jobs over the API, of which the database then makes `--jobs` by copying
all their rows (copies.py). Every job has steps of its own and three that all of them share, as jobs on the same data
sets do. Afterwards ANALYZE runs, as PostgreSQL does by itself after a while.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import httpx2
import kit
import numpy as np
from copies import multiply

sys.path.insert(0, str(Path(__file__).parents[2] / "tests" / "support"))
from servers import start_postgres, start_redis

ROWS = 200
AT_ONCE = 8
KEPT_SECONDS = 2
"""An idle connection is not used again after that: the server closes it after five."""


def csv(task: int) -> bytes:
    """Return a small dataset."""
    lines = [f"row {row} of task {task} says {row * task % 97},{'ab'[row % 2]}" for row in range(ROWS)]
    return ("text,label\n" + "\n".join(lines) + "\n").encode()


class Service:
    """The API, on PostgreSQL and Redis where they are given."""

    def __init__(self, home: Path, port: int, postgres: str | None = None, redis: str | None = None) -> None:
        environment = {
            **os.environ,
            "FASTMTL_HOME": str(home),
            "FASTMTL_PORT": str(port),
            "FASTMTL_RATE_LIMIT": "off",
            **({"FASTMTL_DATABASE_URL": postgres} if postgres else {}),
            **({"FASTMTL_BROKER_URL": redis} if redis else {}),
        }
        with (home / "serve.log").open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "app.cli", "serve"], env=environment, stdout=log, stderr=log
            )
        self.url = f"http://127.0.0.1:{port}/v1"
        began = time.monotonic()
        while True:
            try:
                httpx2.get(f"{self.url}/health", timeout=2).raise_for_status()
                break
            except httpx2.HTTPError:
                if time.monotonic() - began > 60:
                    raise
                time.sleep(0.05)
        self.headers = {"Authorization": f"Bearer {(home / 'api-key').read_text().strip()}"}

    def stop(self) -> None:
        """End it."""
        self._process.terminate()
        self._process.wait(20)


class Load:
    """Requests of one client."""

    def __init__(self, client: httpx2.AsyncClient, datasets: list[str]) -> None:
        self._client = client
        self._primary, *self._auxiliary = datasets
        self._seed = 0
        self.jobs: list[str] = []
        self.refused: list[str] = []

    async def submit(self) -> None:
        """Submit a job of its own seed: only what does not depend on that it shares with the others."""
        self._seed += 1
        config = {"budget": 50, "seed": self._seed, "discriminator": {"rows_per_task": 50}}
        body = {"primary": self._primary, "auxiliary": self._auxiliary, "config": config}
        answer = await self._client.post("/jobs", json=body)
        if answer.status_code == 202:
            self.jobs.append(answer.json()["id"])
        else:
            self.refused.append(answer.text)

    async def ask(self) -> None:
        """Ask for a random job's status."""
        answer = await self._client.get(f"/jobs/{random.choice(self.jobs)}")
        if answer.status_code != 200:
            self.refused.append(answer.text)

    async def fill(self, count: int) -> None:
        """Submit until there are so many jobs."""
        left = iter(range(count - len(self.jobs)))

        async def some() -> None:
            for _ in left:
                await self.submit()

        await asyncio.gather(*(some() for _ in range(AT_ONCE)))

    async def steadily(self, rate: float, seconds: float, submit_every: int) -> dict[str, list[float]]:
        """Return what every request waited from when it was due, in ms."""
        waited: dict[str, list[float]] = {"POST /v1/jobs": [], "GET /v1/jobs/{id}": []}
        began = time.perf_counter()

        async def one(number: int) -> None:
            due = began + number / rate
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            submits = number % submit_every == 0
            await (self.submit() if submits else self.ask())
            name = "POST /v1/jobs" if submits else "GET /v1/jobs/{id}"
            waited[name].append(1_000 * (time.perf_counter() - due))

        await asyncio.gather(*(one(number) for number in range(int(rate * seconds))))
        return waited


async def measure(service: Service, given: argparse.Namespace, postgres: str) -> dict[str, object]:
    """Fill the table, then load."""
    limits = httpx2.Limits(max_connections=200, max_keepalive_connections=200, keepalive_expiry=KEPT_SECONDS)
    settings = {"base_url": service.url, "headers": service.headers, "limits": limits}
    async with httpx2.AsyncClient(**settings, timeout=httpx2.Timeout(60, pool=None)) as client:
        datasets = []
        for task in range(4):
            answer = await client.post("/datasets", content=csv(task), params={"name": f"task-{task}", "format": "csv"})
            answer.raise_for_status()
            datasets.append(answer.json()["id"])
        load = Load(client, datasets)
        await load.fill(given.submitted)
        assert not load.refused, load.refused[:3]
        load.jobs = multiply(postgres, given.jobs // given.submitted)
        found = []
        for rate in given.rates:
            jobs = len(load.jobs)
            waited = await load.steadily(rate, given.seconds, given.submit_every)
            ms = {name: told(each) for name, each in waited.items()}
            found.append({"rate": rate, "submit_every": given.submit_every, "jobs_at_start": jobs, "ms": ms})
    assert not load.refused, load.refused[:3]
    return {"jobs": given.jobs, "submitted": given.submitted, "seconds": given.seconds, "loads": found}


def told(waited: list[float]) -> dict[str, float]:
    """Return how many there were, and percentiles."""
    percentiles = {f"p{p}": round(float(np.percentile(waited, p)), 1) for p in (50, 90, 99, 100)}
    return {"requests": len(waited), **percentiles}


def main() -> None:
    """Measure and write down."""
    parser = kit.parser(__doc__)
    parser.add_argument("--jobs", type=int, default=10_000)
    parser.add_argument("--submitted", type=int, default=200, help="jobs that the others are copies of")
    parser.add_argument("--rates", type=float, nargs="+", default=[25, 50, 100], help="requests a second")
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--submit-every", type=int, default=10)
    parser.add_argument("--port", type=int, default=18_790)
    given = parser.parse_args()
    about = kit.machine()
    postgres, redis = start_postgres(), start_redis()
    try:
        with tempfile.TemporaryDirectory() as home:
            service = Service(Path(home), given.port, postgres.url, redis.url)
            try:
                found = asyncio.run(measure(service, given, postgres.url))
            finally:
                service.stop()
    finally:
        postgres.stop()
        redis.stop()
    kit.write("requests", {**found, "machine": about}, given.results)


if __name__ == "__main__":
    main()
