"""docs/operating.md says what the code does: every metric, and names of settings and events that there are."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from lives import CHAIN, World
from prometheus_client import CollectorRegistry, Metric

from app.db import Database
from app.metrics import RequestMetrics
from app.settings import Settings
from app.standing import Standing
from app.tracing import Tracing
from worker.attempts import Attempt
from worker.metrics import WorkerMetrics
from worker.supervisor import Outcome

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "operating.md").read_text()
SOURCE = "\n".join(path.read_text() for folder in ("app", "worker") for path in sorted((ROOT / folder).rglob("*.py")))
HEAD = "| metric | of | type | labels | meaning |\n| --- | --- | --- | --- | --- |\n"


class Fast:
    """A step's process that counts rows."""

    progress = {"unit": "rows", "per_second": 1.0}  # noqa: RUF012


def of_api(database: Database, home: Path) -> list[Metric]:
    """Every metric of an API that has something to tell."""
    registry = CollectorRegistry()
    requests = RequestMetrics(registry)
    requests.seconds.labels(route="other", method="GET", status="2xx").observe(1)
    world = World(database)
    world.create(CHAIN)
    registry.register(Standing(database, Settings(home=home)))
    return list(registry.collect())


def of_worker(folder: Path, monkeypatch: pytest.MonkeyPatch) -> list[Metric]:
    """Every metric of a worker that runs a step on a GPU."""
    program = folder / "nvidia-smi"
    program.write_text("#!/bin/sh\necho '0, 1, 2'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    registry = CollectorRegistry()
    metrics = WorkerMetrics(registry)
    attempt = Attempt("score", Tracing())
    metrics.step_ended(attempt, 1.0)
    attempt.watch(Fast(), lambda: Outcome.DONE)
    metrics.step_began(attempt)
    metrics.swept(0)
    return list(registry.collect())


def row(metric: Metric, of: str) -> str:
    name = metric.name + ("_total" if metric.type == "counter" else "")
    labels = sorted({label for sample in metric.samples for label in sample.labels} - {"le"})
    told = ", ".join(f"`{label}`" for label in labels)
    return f"| `{name}` | {of} | {metric.type} | {told} | {metric.documentation} |".replace("|  |", "| |")


def test_every_metric_stands_in_the_table_as_the_code_has_it(sqlite_url, tmp_path, monkeypatch):
    database = Database(sqlite_url)
    rows = [row(metric, "API") for metric in of_api(database, tmp_path)]
    rows += [row(metric, "worker") for metric in of_worker(tmp_path, monkeypatch)]
    database.close()
    table = HEAD + "\n".join(rows) + "\n"
    assert re.search(r"<!-- metrics -->\n\n(.*)\n<!-- /metrics -->", PAGE, re.DOTALL)[1] == table


def test_every_metric_that_is_named_anywhere_is_in_the_table():
    table = set(re.findall(r"^\| `(fastmtl_\w+)`", PAGE, re.MULTILINE))
    named = {re.sub("_(count|sum|bucket)$", "", name) for name in re.findall(r"(?<!/)\bfastmtl_\w+", PAGE)}
    assert named == table


def test_every_setting_that_is_named_is_one():
    fields = Settings.model_fields.items()
    known = {f"FASTMTL_{name.upper()}{end}" for name, _ in fields for end in ("", "_FILE")}
    assert set(re.findall(r"\bFASTMTL_[A-Z_]+\b", PAGE)) <= known


def test_every_event_that_is_named_is_logged():
    table = PAGE.partition("| event | meaning |")[2].partition("\n\n")[0]
    named = set(re.findall(r"`([a-z]+(?:\.[a-z_]+)?)`", "".join(line.split("|")[1] for line in table.splitlines()[2:])))
    assert len(named) > 5 and {name for name in named if f'"{name}"' not in SOURCE} == set()


def test_every_file_that_is_linked_exists():
    assert [link for link in re.findall(r"\]\(([^)#:]+)\)", PAGE) if not (ROOT / "docs" / link).exists()] == []
