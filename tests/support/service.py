"""An API in this process, whose jobs are worked by hand."""

from __future__ import annotations

import functools
import io
import json
import tempfile
import threading
import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import uvicorn
from fastapi import FastAPI
from fastapi.testclient import TestClient
from lives import CHAIN, NOON, Bell, new_job
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from app.db import Database
from app.events import EventType, add
from app.jobs import Claim, Jobs
from app.main import create_app
from app.server import Server
from app.settings import Settings
from app.state import State

CSV = "text,label\nthe cat runs,yes\nthe dog runs,no\na bird sings,no\n"


class Api:
    """Client and parts of a running application."""

    def __init__(self, client: TestClient, home: Path) -> None:
        self.client, self.home = client, home
        self.parts: State = client.app.state.parts  # type: ignore[attr-defined]
        self.key = self.parts.settings.first_key.read_text().strip()
        client.headers["Authorization"] = f"Bearer {self.key}"
        self.jobs: Jobs = self.parts.jobs

    def upload(self, body: str | bytes = CSV, **options: str) -> dict:
        answer = self.client.post("/v1/datasets", params=options, content=body)
        assert answer.status_code == 201, answer.text
        return answer.json()

    def request(self, rows: int = 40, **config: object) -> dict:
        """A job's request over two fresh datasets of `rows` rows each."""
        ids = [self.upload(many(rows, name), name=name)["id"] for name in ("primary", "other")]
        return {"primary": ids[0], "auxiliary": ids[1:], "config": {"seen_rows": "include", "budget": 5, **config}}

    def submit(self, **config: object) -> dict:
        answer = self.client.post("/v1/jobs", json=self.request(**config))
        assert answer.status_code == 202, answer.text
        return answer.json()

    def plain_job(self) -> dict:
        """A job of three steps without datasets: quick to have, where nobody asks what it is about."""
        tenant = self.parts.keys.tenant("default")
        return {"id": str(self.jobs.create(new_job(tenant.id), [], CHAIN))}

    def job(self, job: dict) -> dict:
        return self.client.get(f"/v1/jobs/{job['id']}").json()

    def claim(self, job: dict, name: str) -> Claim:
        """Claim a queued step by its name in the job."""
        step = next(each for each in self.job(job)["steps"] if each["name"] == name)
        claim = self.jobs.claim(uuid.UUID(step["id"]), "by hand")
        assert claim is not None, f"{name} is {step['status']}"
        return claim

    def finish(self, job: dict, name: str, files: dict[str, bytes] | None = None, result: dict | None = None) -> None:
        """Finish a step with these files."""
        claim = self.claim(job, name)
        with self.parts.storage.incoming() as folder:
            for path, content in (files or {}).items():
                (folder / path).parent.mkdir(parents=True, exist_ok=True)
                (folder / path).write_bytes(content)
            stored = self.parts.storage.store_folder(folder, f"steps/{claim.step_id}/{claim.fence}")
        assert self.jobs.finish(claim, stored, result or {})

    def choose(self, job: dict) -> None:
        """Finish the steps up to the selection: rows 4, 3, 2, 1, 0 of `other`."""
        self.finish(job, "discriminator")
        self.finish(job, "score 1/1")
        self.finish(job, "rank")
        self.finish(job, "leakage")
        counts = {"rows": 40, "seen": 0, "leaked": 0, "eligible": 40, "selected": 5, "share": 1.0, "random_share": 1.0}
        result = {"digest": "d" * 64, "counts": {"other": counts}}
        files = {"selection.parquet": selection(), "counts.json": json.dumps(result).encode(), **scored()}
        self.finish(job, "select", files, result)

    def explain(self, job: dict) -> None:
        """Finish the step that explains the chosen rows: the k-th is nearest to rows k and 0 of the primary."""
        table = pq.read_table(io.BytesIO(selection()))
        table = table.append_column("percentile", pa.array([100.0, 80.0, 60.0, 40.0, 20.0]))
        table = table.append_column("nearest_rows", pa.array([[rank, 0] for rank in range(1, 6)]))
        table = table.append_column("similarities", pa.array([[0.5, 0.25]] * 5, pa.list_(pa.float32())))
        sink = pa.BufferOutputStream()
        pq.write_table(table, sink)
        self.finish(job, "explain", {"explanations.parquet": sink.getvalue().to_pybytes()})

    def tell(self, job: dict, *kinds: EventType, **data: object) -> None:
        """Append events to a job's log."""
        with self.parts.database.transaction() as session:
            for kind in kinds:
                add(session, uuid.UUID(job["id"]), kind, data, NOON)

    def end(self, job: dict) -> None:
        """Bring a job to its end."""
        self.jobs.cancel(uuid.UUID(job["id"]))

    def events(self, job: dict, after: int = 0) -> list[dict]:
        """Every event of a job, as pages tell it."""
        return self.client.get(f"/v1/jobs/{job['id']}/events?limit=200&after={after}").json()["items"]

    def scrape(self) -> list[Metric]:
        """Ask for the metrics as Prometheus does; the service must have been started with a port for them."""
        port = self.client.app.state.metrics_port  # type: ignore[attr-defined]
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=30) as answer:
            return list(text_string_to_metric_families(answer.read().decode()))

    def traces(self) -> list[str]:
        """Every stored file, and how many rows the tables hold: what a refused request must leave as it was."""
        files = [str(path) for path in (self.home / "storage").rglob("*") if path.is_file()]
        held = [self.client.get(f"/v1/{name}?limit=200").json()["items"] for name in ("datasets", "jobs")]
        return sorted(files) + [each["id"] for items in held for each in items]


def many(rows: int, word: str) -> str:
    return "text,label\n" + "".join(f"{word} number {row},{('yes', 'no')[row % 2]}\n" for row in range(rows))


def selection(key: str = "other") -> bytes:
    table = pa.table(
        {
            "rank": np.arange(1, 6),
            "dataset": [key] * 5,
            "row": np.arange(4, -1, -1),
            "score": np.linspace(0.75, 0.25, 5, dtype=np.float32),
        }
    )
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink)
    return sink.getvalue().to_pybytes()


def scored() -> dict[str, bytes]:
    """The other files of the step that chose: 40 rows of `other`, row 5 the best of the rest, row 6 a leak."""
    rows = np.arange(40)
    scores = np.where(rows < 5, 0.25 + 0.125 * rows, 0.2 - 0.001 * rows).astype(np.float32)
    everything = {"dataset": ["other"] * 40, "row": rows, "score": scores, "seen": rows == 7, "selected": rows < 5}
    subset = {
        **{"dataset": ["other"] * 5, "row": rows[:5], "rank": 5 - rows[:5], "score": scores[:5]},
        **{"text_a": [f"other number {row}" for row in range(5)], "text_b": pa.nulls(5, pa.string())},
        **{"label": [("yes", "no")[row % 2] for row in range(5)]},
    }
    leaks = {"dataset": ["other"], "row": [6], "held_row": [0], "similarity": pa.array([1.0], pa.float32())}
    tables = {"scores.parquet": everything, "subset.parquet": subset, "leaks.parquet": leaks}
    return {name: _written(pa.table(table)) for name, table in tables.items()}


def _written(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink)
    return sink.getvalue().to_pybytes()


def api(home: Path, **settings: object) -> TestClient:
    """Return a client of an embedded service over a migrated database; use it as a context manager."""
    made = Settings(home=home, **settings)
    prepare(made)
    return TestClient(create_app(made, Bell()), raise_server_exceptions=False)


def prepare(settings: Settings) -> None:
    """Put empty tables into a home that has none, as the first start would: copying takes a hundredth of migrating."""
    file = settings.home / "fastmtl.sqlite3"
    if settings.database == f"sqlite:///{file.absolute()}" and not file.exists():
        settings.home.mkdir(parents=True, exist_ok=True)
        file.write_bytes(_migrated())


@functools.cache
def _migrated() -> bytes:
    """Return the file of a migrated, empty SQLite database."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "migrated.sqlite3"
        database = Database(f"sqlite:///{file}")
        database.migrate()
        database.close()
        return file.read_bytes()


@contextmanager
def served(app: FastAPI, port: int = 0) -> Iterator[str]:
    """Serve an application on a port of this machine, already started by another; it has stopped on leaving."""
    config = uvicorn.Config(app, host="127.0.0.1", port=port, log_config=None, access_log=False, lifespan="off")
    server = Server(config, app) if hasattr(app.state, "parts") else uvicorn.Server(config)
    socket = config.bind_socket()
    thread = threading.Thread(target=server.run, kwargs={"sockets": [socket]})
    thread.start()
    try:
        yield f"http://127.0.0.1:{socket.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(20)
    assert not thread.is_alive(), "the server waits for an answer that does not end"
