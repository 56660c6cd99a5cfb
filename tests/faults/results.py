"""docs/faults.json holds the figures of the last full run of every test; docs/faults.md is made of nothing else."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import time
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

import psutil
from accounts import STACKS, Account, Point

ROOT = Path(__file__).parent.parent.parent
RESULTS = ROOT / "docs" / "faults.json"
PAGE = ROOT / "docs" / "faults.md"
HEAD = """# Faults

What happens when things break: each test below breaks the running service on purpose and counts what was lost. The
figures are those of the last full run. `make test-faults` runs all of it and writes this page; short forms
are part of `make test` and `make test-slow`. Do not edit it by hand: a test holds it to [faults.json](faults.json).

Two stacks are broken in the same way: *embedded* is SQLite and a folder as broker, *full* is PostgreSQL and Redis.
"""
NOT_YET = "not run yet"


def record(point: Point, stack: str, account: Account, seconds: float, path: Path = RESULTS) -> None:
    """Put a run's figures in the place of the last one's."""
    results = read(path)
    results.setdefault(str(point.number), {})[stack] = {
        "date": datetime.now(UTC).date().isoformat(),
        "commit": _commit(),
        "machine": machine(),
        "seconds": round(seconds),
        "done": account.done,
        "passed": not account.failures,
        "figures": [asdict(figure) for figure in account.figures],
    }
    ordered = {number: results[number] for number in sorted(results, key=int)}
    path.write_text(json.dumps(ordered, indent=1, ensure_ascii=False) + "\n")


def read(path: Path = RESULTS) -> dict:
    """Return what is recorded, by number of the test and stack."""
    return json.loads(path.read_text()) if path.exists() else {}


def page(points: Sequence[Point], results: dict) -> str:
    """Return the page."""
    sections = [_section(point, results.get(str(point.number), {})) for point in points]
    return "\n".join([HEAD, _summary(points, results), *sections])


def machine() -> str:
    """Say what it ran on."""
    names = [line.partition(":")[2].strip() for line in _lines(Path("/proc/cpuinfo")) if line.startswith("model name")]
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    gigabytes = round(psutil.virtual_memory().total / 2**30)
    name = names[0] if names else platform.processor() or platform.machine()
    return f"{name}, {cores} cores, {gigabytes} GiB, {platform.system()}, Python {platform.python_version()}"


def stopwatch() -> float:
    """Return seconds since some moment."""
    return time.monotonic()


def _summary(points: Sequence[Point], results: dict) -> str:
    lines = ["| | what is broken | embedded | full |", "|---|---|---|---|"]
    for point in points:
        found = results.get(str(point.number), {})
        cells = [_verdict(found[stack]) if stack in found else _absent(point, stack) for stack in STACKS]
        lines.append(f"| {point.number} | [{point.title}](#{_anchor(point)}) | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _section(point: Point, found: dict) -> str:
    lines = [f"## {point.number}. {point.title}", ""]
    for stack in [stack for stack in point.stacks if stack in found]:
        run = found[stack]
        lines += [
            f"*{stack}* ({run['date']}, commit {run['commit']}, {run['seconds']} s on {run['machine']}): {run['done']}",
            "",
        ]
    if not found:
        return "\n".join([*lines, NOT_YET.capitalize() + ".", ""])
    lines += ["| figure | required | embedded | full |", "|---|---|---|---|"]
    by_stack = {stack: {each["name"]: each for each in found.get(stack, {}).get("figures", ())} for stack in STACKS}
    for name in dict.fromkeys(name for figures in by_stack.values() for name in figures):
        one = next(figures[name] for figures in by_stack.values() if name in figures)
        cells = [_cell(figures.get(name)) for figures in by_stack.values()]
        lines.append(f"| {name} | {one['required'] or ''} | {' | '.join(cells)} |")
    return "\n".join([*lines, ""])


def _cell(figure: dict | None) -> str:
    if figure is None:
        return ""
    shown = f"{figure['measured']:,g}" if abs(figure["measured"]) < 1e6 else f"{figure['measured']:,.0f}"
    return shown if figure["passed"] else f"**{shown}, not as required**"


def _verdict(run: dict) -> str:
    return f"{'passed' if run['passed'] else '**failed**'}, {run['date']}"


def _absent(point: Point, stack: str) -> str:
    return NOT_YET if stack in point.stacks else "the same"


def _anchor(point: Point) -> str:
    """Return the heading's anchor as it is made of `## 1. Title`."""
    kept = [letter for letter in f"{point.number}. {point.title}".lower() if letter.isalnum() or letter in " -_"]
    return "".join(kept).replace(" ", "-")


def _commit() -> str:
    """Return the short commit, with a plus where files differ from it."""
    told = [
        subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True).stdout.strip()
        for arguments in (
            ["rev-parse", "--short=10", "HEAD"],
            ["status", "--porcelain", "--untracked-files=no", "--", "app", "fastmtl", "worker", "migrations", "tests"],
        )
    ]
    return told[0] + ("+" if told[1] else "") if told[0] else "unknown"


def _lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []
