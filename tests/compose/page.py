"""The table in docs/operating.md that tells what the last run of every part saw; docs/compose.json holds its rows."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass
from pathlib import Path

from results import machine

ROOT = Path(__file__).parent.parent.parent
RESULTS = ROOT / "docs" / "compose.json"
PAGE = ROOT / "docs" / "operating.md"
MARKS = ("<!-- compose -->", "<!-- /compose -->")


@dataclass(frozen=True)
class Outcome:
    """How one part went."""

    told: str
    """What was tried."""
    passed: bool
    seconds: int
    seen: str
    date: str
    machine: str


def outcome(told: str, passed: bool, seconds: float, seen: str, date: str) -> Outcome:
    """Return what is kept of a part that has just been tried here."""
    return Outcome(told, passed, round(seconds), re.sub(r"\s+", " ", seen).strip()[:2000], date, machine())


def record(name: str, new: Outcome, order: list[str]) -> None:
    """Put a part's row in the place of its last one, and write the table."""
    kept = read() | {name: asdict(new)}
    ordered = {each: kept[each] for each in order if each in kept}
    RESULTS.write_text(json.dumps(ordered, indent=1, ensure_ascii=False) + "\n")
    PAGE.write_text(filled(PAGE.read_text(), table(ordered)))


def read() -> dict[str, dict]:
    """Return the rows by the names of their parts."""
    return json.loads(RESULTS.read_text()) if RESULTS.exists() else {}


def table(rows: dict[str, dict]) -> str:
    """Return the table."""
    machines = " and ".join(dict.fromkeys(row["machine"] for row in rows.values()))
    lines = [
        f"On {machines}, with the CPU override.",
        "",
        "| tried | when | seconds | seen |",
        "| --- | --- | --- | --- |",
    ]
    for row in rows.values():
        seen = row["seen"].replace("|", "\\|")
        seen = seen if row["passed"] else f"**failed**: {seen[:500]}"
        lines.append(f"| {row['told']} | {row['date']} | {row['seconds']} | {seen} |")
    return "\n".join(lines)


def filled(text: str, between: str) -> str:
    """Return the page with something else between the marks."""
    head, _, rest = text.partition(MARKS[0])
    _, found, tail = rest.partition(MARKS[1])
    assert found, f"{PAGE} has no {' ... '.join(MARKS)}"
    return f"{head}{MARKS[0]}\n\n{between}\n\n{MARKS[1]}{tail}"
