"""No statement of a step's life reads a whole table, however many steps there are: what is planned is looked at.

The long form has a million steps.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import NamedTuple

import pytest
from lives import Bell, Clock
from many_steps import BIG, fill
from sqlalchemy import event

from app.db import Database
from app.events import EventType
from app.jobs import Jobs, News
from app.settings import Settings

SHORT, LONG = 40_000, 1_000_000


class Said(NamedTuple):
    """A statement, and what it was given."""

    statement: str
    parameters: object


@pytest.fixture(params=[SHORT, pytest.param(LONG, marks=pytest.mark.slow)])
def full(request: pytest.FixtureRequest, migrated_url: str) -> Iterator[Database]:
    database = Database(migrated_url)
    fill(database, request.param)
    yield database
    database.close()


def test_claiming_beating_finishing_and_sweeping_read_no_whole_table(full: Database):
    jobs = Jobs(full, Bell(), Settings(lease_seconds=30, max_attempts=3), Clock())
    said: dict[str, Said] = {}

    def note(_connection, _cursor, statement: str, parameters: object, *_) -> None:
        said.setdefault(statement, Said(statement, parameters))

    event.listen(full.engine, "before_cursor_execute", note)
    first, second, third = (jobs.claim_next("ada", takes) for takes in ("all", "gpu", "all"))
    jobs.beat(first, {"done": 1}, [News(EventType.STEP_WARNING, {"message": "slow"})])
    jobs.holds(first)
    jobs.finish(first, [], {})
    jobs.fail(second, {"type": "internal", "message": "no"}, again=True)
    jobs.give_back(third)
    jobs.is_due()
    jobs.sweep()
    event.remove(full.engine, "before_cursor_execute", note)
    assert len(said) > 20
    assert {each.statement: found for each in said.values() if (found := scanned(full, each))} == {}


def scanned(database: Database, said: Said) -> list[str]:
    """Return the large tables that a statement would read from one end to the other."""
    if not re.match(r"\s*(SELECT|UPDATE|INSERT|DELETE|WITH)", said.statement):
        return []
    explain = {"sqlite": "EXPLAIN QUERY PLAN ", "postgresql": "EXPLAIN (FORMAT JSON) "}[database.engine.dialect.name]
    with database.engine.connect() as connection:
        rows = connection.exec_driver_sql(explain + said.statement, said.parameters).all()
    if database.engine.dialect.name == "sqlite":
        steps = [row[-1] for row in rows]
        return [each for each in steps if re.match(rf"SCAN ({'|'.join(BIG)})(_\d+)?\b", each)]
    plan = rows[0][0]
    return [node["Relation Name"] for node in nodes((json.loads(plan) if isinstance(plan, str) else plan)[0]["Plan"])]


def nodes(plan: dict) -> Iterator[dict]:
    """Yield the nodes of a plan that read a large table, or an index of it, whole."""
    if plan["Node Type"].endswith("Scan") and "Index Cond" not in plan and "Recheck Cond" not in plan:
        if plan.get("Relation Name") in BIG:
            yield plan
    for inner in plan.get("Plans", ()):
        yield from nodes(inner)
