"""A thousand simulated workers and a job of 100,000 shards against a real PostgreSQL and Redis.

    python benchmarks/scale/simulate.py

Every claim, beat, look and finish is the service's own, and so are the sweeps; only the device is simulated: a shard
takes as long as its rows take at `--rows-per-second`. The first `--seconds` of the scoring are simulated, then so many
shards are marked as done that the end of the job is simulated too. Writes results/scale_simulation.json.

A worker looks whether its step is still its own once in LOOK_SECONDS here, not once a second as it does in truth: the
thousand looks a second are read beside, by what one costs.
"""

from __future__ import annotations

import argparse
import heapq
import json
import os
import statistics
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Callable
from pathlib import Path

import psutil
import redis
from sqlalchemy import func, select, update

sys.path.insert(0, str(Path(__file__).parents[2] / "tests" / "support"))
from servers import Server, start_postgres, start_redis

from app.clock import now
from app.db import Database
from app.jobs import Claim, Jobs, StoredFile
from app.models import Artifact, Event, Job, JobStep, Status, Step, StepNeed, Tenant
from app.queue import QUEUES, Queue
from app.settings import Settings
from fastmtl.plan import StepSpec

RESULTS = Path(__file__).parents[1] / "results"
LOOK_SECONDS = 10.0
THREADS = 8
"""Of this program: so many conversations with the database at a time."""


class Clock:
    """Adds up what calls take, by name."""

    def __init__(self) -> None:
        self.took: dict[str, list[float]] = {}
        self._lock = threading.Lock()

    def time(self, name: str, act: Callable[[], object]) -> object:
        """Make a call and note what it took."""
        began = time.perf_counter()
        result = act()
        with self._lock:
            self.took.setdefault(name, []).append(time.perf_counter() - began)
        return result

    def told(self) -> dict[str, dict[str, float]]:
        """Return of every call how often it was made and what it took, milliseconds."""
        found = {}
        for name, each in self.took.items():
            ordered = sorted(each)
            found[name] = {
                "calls": len(each),
                "median_ms": round(1000 * statistics.median(ordered), 2),
                "p99_ms": round(1000 * ordered[int(0.99 * (len(ordered) - 1))], 2),
                "worst_ms": round(1000 * ordered[-1], 2),
                "seconds": round(sum(each), 3),
            }
        return found


class Fleet:
    """Simulated workers: what each does next, and when, stands in one heap that a few threads work off."""

    def __init__(self, jobs: Jobs, workers: int, shard_seconds: float) -> None:
        self._jobs, self._shard_seconds = jobs, shard_seconds
        self.clock = Clock()
        self.waited, self.finished, self.errors = [0.0] * workers, 0, []
        """Seconds that each worker stood at a claim or a finish, waiting to be heard included."""
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._next, self._lock, self._over = 0, threading.Condition(), False
        began = time.monotonic()
        for worker in range(workers):
            self._at(began, lambda worker=worker: self._claim(worker, time.monotonic()))

    def run(self, seconds: float | None) -> float:
        """Let them work for so long, or until no step is left; return the seconds."""
        began, self._over = time.monotonic(), False
        threads = [threading.Thread(target=self._serve, args=(began, seconds)) for _ in range(THREADS)]
        sweeper = threading.Thread(target=self._sweep)
        for thread in [*threads, sweeper]:
            thread.start()
        for thread in threads:
            thread.join()
        self._over = True
        sweeper.join()
        return time.monotonic() - began

    def start_counting(self) -> dict[str, dict[str, float]]:
        """Return what calls took so far, and count anew."""
        told, self.clock, self.waited = self.clock.told(), Clock(), [0.0] * len(self.waited)
        return told

    def _at(self, when: float, act: Callable[[], None]) -> None:
        with self._lock:
            self._next += 1
            heapq.heappush(self._due, (when, self._next, act))
            self._lock.notify()

    def _serve(self, began: float, seconds: float | None) -> None:
        while seconds is None or time.monotonic() - began < seconds:
            with self._lock:
                if not self._due:
                    if seconds is None:
                        return
                    self._lock.wait(0.5)
                    continue
                when, _, act = self._due[0]
                if (delay := when - time.monotonic()) > 0:
                    self._lock.wait(min(delay, 0.5))
                    continue
                heapq.heappop(self._due)
            try:
                act()
            except Exception as error:  # a simulation tells of what went wrong and goes on
                self.errors.append(repr(error))

    def _claim(self, worker: int, asked: float) -> None:
        claim = self.clock.time("claim", lambda: self._jobs.claim_next(f"worker-{worker}"))
        self.waited[worker] += time.monotonic() - asked
        if claim is None:
            return
        assert isinstance(claim, Claim)
        began = time.monotonic()
        seconds = self._shard_seconds if claim.spec.kind == "score" else 0.0
        self._at(began + min(LOOK_SECONDS, seconds), lambda: self._look(worker, claim, began + seconds))

    def _look(self, worker: int, claim: Claim, until: float) -> None:
        at = time.monotonic()
        if at < until:
            self.clock.time("beat", lambda: self._jobs.beat(claim, {"done": 1, "total": 2, "unit": "rows"}))
            self.clock.time("look", lambda: self._jobs.holds(claim))
            self._at(min(until, at + LOOK_SECONDS), lambda: self._look(worker, claim, until))
            return
        prefix = f"steps/{claim.step_id}/{claim.fence}"
        files = [StoredFile(name, f"{prefix}/{name}", 1, "0" * 64) for name in ("probabilities.npy", "pieces.json")]
        result = {"counts": {}, "digest": "", "rows": 1, "device": "simulated"}
        self.clock.time("finish", lambda: self._jobs.finish(claim, files, result))
        self.waited[worker] += time.monotonic() - until
        self.finished += 1
        asked = time.monotonic()
        self._at(asked, lambda: self._claim(worker, asked))

    def _sweep(self) -> None:
        """Sweep as often as workers do together; that others ask in vain whether it is time is left out."""
        while not self._over:
            if self.clock.time("asked whether to sweep", self._jobs.is_due):
                self.clock.time("sweep", self._jobs.sweep)
            time.sleep(0.5)


def plan(shards: int) -> list[StepSpec]:
    """Return the steps of a job of so many shards."""
    training = StepSpec("discriminator", "discriminator", 1, {})
    scores = [
        StepSpec(
            "score",
            f"score {i + 1}/{shards}",
            1,
            {"pieces": [["d" * 64, i, i + 1]]},
            ("d" * 64,),
            (training.fingerprint,),
        )
        for i in range(shards)
    ]
    rank = StepSpec("rank", "rank", 1, {}, needs=(training.fingerprint, *(each.fingerprint for each in scores)))
    chosen = StepSpec("select", "select", 1, {}, needs=(rank.fingerprint,))
    return [training, *scores, rank, chosen]


def bytes_of(database: Database) -> dict[str, dict[str, float]]:
    """Return rows and bytes a row, indexes included, of the tables that grow with the steps."""
    found = {}
    with database.reading() as session:
        for table in (Step, StepNeed, JobStep, Artifact, Event):
            rows = session.scalars(select(func.count()).select_from(table)).one()
            size = session.scalars(select(func.pg_total_relation_size(table.__tablename__))).one()
            found[table.__tablename__] = {"rows": rows, "bytes_per_row": round(size / max(rows, 1))}
    return found


def server_seconds(server: Server) -> float:
    """Return the processor seconds of a server and all its processes so far."""
    assert server.process is not None
    root = psutil.Process(server.process.pid)
    return sum(sum(each.cpu_times()[:4]) for each in [root, *root.children(recursive=True)] if each.is_running())


def fast_forward(database: Database, left: int) -> int:
    """Mark queued shards as done, all but so many, those that come last; return how many."""
    with database.transaction() as session:
        queued = select(Step.id).where(Step.status == Status.QUEUED, Step.kind == "score")
        kept = queued.order_by(Step.id.desc()).limit(left).subquery()
        done = update(Step).where(Step.kind == "score", Step.status == Status.QUEUED, Step.id.not_in(select(kept)))
        result = session.execute(
            done.values(status=Status.SUCCEEDED, finished_at=now()).execution_options(synchronize_session=False)
        )
        return int(result.rowcount)


def simulate(asked: argparse.Namespace, postgres: Server, broker: Server, home: Path) -> dict[str, object]:
    """Run the whole job; return what was measured."""
    settings = Settings(home=home, database_url=postgres.url, broker_url=broker.url)
    database, queue, clock = Database(settings.database), Queue(settings), Clock()
    database.migrate()
    jobs, tenant = Jobs(database, queue, settings), uuid.uuid4()
    with database.transaction() as session:
        session.add(Tenant(id=tenant, name="simulated", created_at=now()))
    job = Job(id=uuid.uuid4(), tenant_id=tenant, name="simulated", config={}, priority=5)
    clock.time("create the job", lambda: jobs.create(job, [], plan(asked.shards)))
    training = jobs.claim_next("worker-0")
    assert training is not None
    clock.time("finish the training: all shards are queued", lambda: jobs.finish(training, [], {}))
    seconds = asked.shard_rows / asked.rows_per_second
    fleet, began = Fleet(jobs, asked.workers, seconds), time.monotonic()
    fleet.run(seconds)  # until the first shards are done: a thousand workers come at once
    rush = fleet.start_counting()
    steady = _steady(fleet, postgres, asked)
    fleet.start_counting()
    skipped = fast_forward(database, asked.left)
    ended = fleet.run(None)
    with database.reading() as session:
        status = session.get_one(Job, job.id).status
    result = {
        "asked": {name: value for name, value in vars(asked).items() if name != "results"},
        "shard_seconds": seconds,
        "job": status,
        "errors": fleet.errors[:5],
        "once_ms": {name: each["worst_ms"] for name, each in clock.told().items()},
        "rush": rush,
        "steady": steady,
        "end": {"skipped": skipped, "seconds": round(ended, 1), "calls": fleet.clock.told()},
        "tables": bytes_of(database),
        "messages_left": messages(broker),
        "seconds": round(time.monotonic() - began, 1),
        "machine": {"cores": os.cpu_count(), "load": [round(each, 2) for each in os.getloadavg()]},
    }
    queue.close()
    database.close()
    return result


def _steady(fleet: Fleet, postgres: Server, asked: argparse.Namespace) -> dict[str, object]:
    """Let the fleet score for a while, when all are at work; return how it went."""
    begun, used = fleet.finished, server_seconds(postgres)
    took = fleet.run(asked.seconds)
    calls = fleet.clock.told()
    return {
        "seconds": round(took, 1),
        "shards": fleet.finished - begun,
        "share_of_workers_time_in_claim_and_finish": round(sum(fleet.waited) / (asked.workers * took), 5),
        "share_of_time_in_sweeps": round(calls["sweep"]["seconds"] / took, 5),
        "cores_of_the_database": round((server_seconds(postgres) - used) / took, 3),
        "calls": calls,
    }


def messages(server: Server) -> dict[str, int]:
    """Return how many bells hang in each queue."""
    with redis.Redis.from_url(server.url) as client:
        return {queue: int(client.llen(queue)) for queue in QUEUES["all"]}  # type: ignore[arg-type]


def main() -> None:
    """Start the servers, simulate, keep the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", type=int, default=1_000)
    parser.add_argument("--shards", type=int, default=100_000)
    parser.add_argument("--shard-rows", type=int, default=2_000_000)
    parser.add_argument("--rows-per-second", type=float, default=20_000, help="of a device")
    parser.add_argument("--seconds", type=float, default=300, help="of the scoring that are simulated")
    parser.add_argument("--left", type=int, default=1_000, help="shards of the end that is simulated")
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder for the result")
    asked = parser.parse_args()
    postgres, broker = start_postgres(), start_redis()
    try:
        with tempfile.TemporaryDirectory() as home:
            result = simulate(asked, postgres, broker, Path(home))
    finally:
        postgres.stop()
        broker.stop()
    text = json.dumps(result, indent=1)
    print(text)
    (asked.results / "scale_simulation.json").write_text(text + "\n")


if __name__ == "__main__":
    main()
