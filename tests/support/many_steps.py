"""A database full of steps: 200 jobs of ten tenants, 50 of them under way, each of shards and a step that needs all."""

from __future__ import annotations

from sqlalchemy import text

from app.db import Database

JOBS, ENDED, TENANTS = 200, 150, 10
BIG = ("steps", "job_steps", "step_needs", "events", "artifacts", "datasets")
NOW, LATER = "'2026-01-01 12:00:00.000000'", "'2027-01-01 12:00:00.000000'"
SPEC = """'{"kind": "score", "name": "s", "version": 1, "params": {}, "datasets": [], "needs": [], "cost": 1}'"""


class Dialect:
    """What the two databases say differently."""

    def __init__(self, name: str) -> None:
        self._postgres = name == "postgresql"

    def numbers(self, count: int) -> str:
        if self._postgres:
            return f"WITH numbers(i) AS (SELECT * FROM generate_series(0, {count - 1}))"
        following = f"SELECT i + 1 FROM numbers WHERE i < {count - 1}"
        return f"WITH RECURSIVE numbers(i) AS (SELECT 0 UNION ALL {following})"

    def id(self, number: str) -> str:
        return f"lpad(to_hex({number}), 32, '0')::uuid" if self._postgres else f"printf('%032x', {number})"

    def moment(self, expression: str) -> str:
        return f"({expression})::timestamptz" if self._postgres else f"({expression})"


def fill(database: Database, steps: int) -> None:
    """Write so many steps: of ended jobs all done; of the others half done, 20 running, the rest queued."""
    said = Dialect(database.engine.dialect.name)
    with database.transaction() as session:
        for table, (count, values) in _rows(said, steps // JOBS).items():
            columns = ", ".join(f'"{column}"' for column in values)
            rows = f"{said.numbers(count)} SELECT {', '.join(values.values())} FROM numbers"
            session.execute(text(f"INSERT INTO {table} ({columns}) {rows}"))
    with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("ANALYZE"))


def _rows(said: Dialect, size: int) -> dict[str, tuple[int, dict[str, str]]]:
    """Return of each table how many rows, and each column's value in the i-th of them."""
    job, place, last = f"(i % {JOBS})", f"(i / {JOBS})", f"(i / {JOBS} = {size - 1})"
    step_id, job_id, tenant_id = said.id("i + 1"), said.id(f"{job} + 1"), said.id(f"{job} % {TENANTS} + 1000")
    status = (
        f"CASE WHEN {job} < {ENDED} OR {place} < {size // 2} THEN 'succeeded' WHEN {last} THEN 'waiting' "
        f"WHEN {place} < {size // 2 + 20} THEN 'running' ELSE 'queued' END"
    )
    now = said.moment(NOW)
    steps = {
        **{"id": step_id, "tenant_id": tenant_id, "fingerprint": "'f' || i", "spec": SPEC, "status": status},
        **{"kind": f"CASE WHEN {last} THEN 'rank' ELSE 'score' END", "needs_device": f"NOT {last}"},
        **{"line": job_id, "urgency": "4", "priority": "5", "fence": "1", "attempts": "1", "worker": "'eve'"},
        **{"created_at": now, "rung_at": now},
        "lease_until": said.moment(f"CASE WHEN {status} = 'running' THEN {LATER} END"),
        "started_at": said.moment(f"CASE WHEN {status} IN ('running', 'succeeded') THEN {NOW} END"),
    }
    jobs = {
        **{"id": job_id, "tenant_id": tenant_id, "name": "'j'", "config": "'{}'", "priority": "5", "last_event": "0"},
        **{"status": f"CASE WHEN i < {ENDED} THEN 'succeeded' ELSE 'running' END", "created_at": now},
    }
    links = {"job_id": job_id, "position": place, "step_id": step_id, "name": "'s' || i", "reused": "false"}
    needs = {"step_id": said.id(f"{JOBS * (size - 1)} + {job} + 1"), "needs_id": step_id}
    files = {"step_id": step_id, "name": "'f'", "storage_key": "'k'", "bytes": "1", "sha256": "'s'"}
    return {
        "tenants": (TENANTS, {"id": said.id("i + 1000"), "name": "'tenant ' || i", "created_at": now}),
        "jobs": (JOBS, jobs),
        "steps": (size * JOBS, steps),
        "job_steps": (size * JOBS, links),
        "step_needs": ((size - 1) * JOBS, needs),
        "artifacts": (size * JOBS, files),
    }
