"""Scoring on one worker of one thread and on two, in turn; and on two of which one is killed and a third comes.

    python benchmarks/scale/workers.py

A job of some 50,000-row shards on a tiny encoder, over the API and real workers, each turn on a deployment of its own.
What is timed begins with the first claim of a shard and ends with the last one's end, the starts of their processes
included. Every turn's probabilities are compared by digest. Writes results/scale_workers.json.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import statistics
import sys
import tempfile
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import select

sys.path.insert(0, str(Path(__file__).parents[2] / "tests" / "support"))
from processes import Processes
from tiny import write_encoder
from worlds import about_animals, write_csv

from app.db import Database
from app.models import Artifact, JobStep, Status, Step
from fastmtl.client import Client
from fastmtl.methods.discriminator import SHARD_ROWS

RESULTS = Path(__file__).parents[1] / "results"
CONFIG = {
    "encoder": {"name": "tiny", "max_length": 24},
    "budget": 20,
    "discriminator": {"rows_per_task": 20, "epochs": 1, "batch_size": 8},
    "precision": "fp32",
    "compare": [],
    "leak_guard": "off",
}


@dataclass(frozen=True)
class Turn:
    """What one arrangement of workers took."""

    seconds: float
    digests: dict[str, str]
    """SHA-256 of each shard's probabilities, by the shard's fingerprint."""
    attempts: int


def turn(folder: Path, files: Sequence[Path], encoder: Path, workers: int, kill: bool = False) -> Turn:
    """Score everything on a new deployment with so many workers."""
    home = folder / f"home-{uuid.uuid4()}"
    environment = {
        "FASTMTL_HOME": str(home),
        "FASTMTL_ENCODERS": json.dumps({"tiny": f"folder:{encoder}"}),
        **{"FASTMTL_DEVICE": "cpu", "FASTMTL_THREADS": "1", "OMP_NUM_THREADS": "1", "FASTMTL_CALIBRATE": "false"},
        **{"FASTMTL_LEASE_SECONDS": "6", "FASTMTL_HEARTBEAT_SECONDS": "2", "FASTMTL_SWEEP_SECONDS": "1"},
    }
    with Processes(environment) as processes:
        client = Client(processes.url, (home / "api-key").read_text().strip(), timeout_seconds=900)
        primary, *auxiliary = [client.upload(path)["id"] for path in files]
        job = uuid.UUID(str(client.submit(primary, auxiliary, config=CONFIG)["id"]))
        processes.start_workers(workers)
        database = Database(f"sqlite:///{(home / 'fastmtl.sqlite3').absolute()}")
        while any(step.status != Status.SUCCEEDED for step in scored(database, job)):
            if kill and sum(step.status == Status.SUCCEEDED for step in scored(database, job)) >= 2:
                os.kill(random.Random(0).choice(processes.workers), signal.SIGKILL)
                processes.start_workers(workers + 1)  # the one that was killed comes back, too
                kill = False
            time.sleep(1.0)
        found = told(database, job)
        client.cancel(str(job))
        client.close()
        database.close()
    return found


def scored(database: Database, job: uuid.UUID) -> list[Step]:
    """Return the score steps of a job."""
    with database.reading() as session:
        mine = select(Step).join(JobStep, JobStep.step_id == Step.id).where(JobStep.job_id == job, Step.kind == "score")
        return list(session.scalars(mine))


def told(database: Database, job: uuid.UUID) -> Turn:
    """Return how the scoring went."""
    steps = scored(database, job)
    named = {step.id: step.fingerprint for step in steps}
    with database.reading() as session:
        files = select(Artifact).where(Artifact.step_id.in_(named), Artifact.name == "probabilities.npy")
        digests = {named[file.step_id]: file.sha256 for file in session.scalars(files)}
    begun = min(step.started_at for step in steps if step.started_at)
    ended = max(step.finished_at for step in steps if step.finished_at)
    return Turn((ended - begun).total_seconds(), digests, sum(step.attempts for step in steps))


def main() -> None:
    """Measure and keep the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shards", type=int, default=6)
    parser.add_argument("--turns", type=int, default=2)
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder for the result")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        encoder = write_encoder("bert", folder / "tiny")
        rows = SHARD_ROWS * asked.shards
        files = [
            write_csv(folder / "primary.csv", "text_a,label", about_animals(1_000, 1)),
            write_csv(folder / "many.csv", "text_a,label", about_animals(rows - 1_000, 2)),
        ]
        load = os.getloadavg()
        turns: dict[str, list[Turn]] = {"one": [], "two": []}
        for _ in range(asked.turns):
            turns["one"].append(turn(folder, files, encoder, workers=1))
            turns["two"].append(turn(folder, files, encoder, workers=2))
        broken = turn(folder, files, encoder, workers=2, kill=True)
    every = [*turns["one"], *turns["two"], broken]
    ratios = [one.seconds / two.seconds for one, two in zip(turns["one"], turns["two"], strict=True)]
    result = {
        "rows": rows,
        "shards": len(every[0].digests),
        "seconds": {name: [round(each.seconds, 1) for each in found] for name, found in turns.items()},
        "ratio": {
            "median": round(statistics.median(ratios), 2),
            "low": round(min(ratios), 2),
            "high": round(max(ratios), 2),
        },
        "bits_equal": all(each.digests == every[0].digests for each in every),
        "killed": {"seconds": round(broken.seconds, 1), "attempts": broken.attempts},
        "machine": {"cores": os.cpu_count(), "load_at_start": [round(each, 2) for each in load]},
    }
    text = json.dumps(result, indent=1)
    print(text)
    (asked.results / "scale_workers.json").write_text(text + "\n")


if __name__ == "__main__":
    main()
