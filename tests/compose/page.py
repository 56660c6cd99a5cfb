"""The table in docs/operating.md that tells what the last run of all parts saw."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from results import machine

ROOT = Path(__file__).parent.parent.parent
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


def write(outcomes: Sequence[Outcome], date: str, path: Path = PAGE) -> None:
    """Put the table in the place of the last one's."""
    path.write_text(filled(path.read_text(), table(outcomes, date)))


def table(outcomes: Sequence[Outcome], date: str) -> str:
    """Return the table with what it was made on."""
    lines = [f"{date}, on {machine()}, without a GPU.", "", "| tried | seconds | seen |", "| --- | --- | --- |"]
    for each in outcomes:
        seen = re.sub(r"\s+", " ", each.seen).replace("|", "\\|")
        lines.append(f"| {each.told} | {each.seconds} | {seen if each.passed else f'**failed**: {seen[:500]}'} |")
    return "\n".join(lines)


def filled(text: str, between: str) -> str:
    """Return the page with something else between the marks."""
    head, _, rest = text.partition(MARKS[0])
    _, found, tail = rest.partition(MARKS[1])
    assert found, f"{PAGE} has no {' ... '.join(MARKS)}"
    return f"{head}{MARKS[0]}\n\n{between}\n\n{MARKS[1]}{tail}"
