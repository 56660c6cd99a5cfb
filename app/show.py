"""What the command shows of a job: its progress while it runs, and a table of what came out."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn
from rich.table import Table

from fastmtl.arms import described

Json = dict[str, Any]


def follow(states: Iterable[Json], console: Console) -> Json:
    """Show a job's progress until it is over; return its last state.

    In a terminal a bar a step with rate and time left; elsewhere one line when a step is done.
    """
    columns = (
        TextColumn("{task.description:<28}", markup=False),
        BarColumn(30),
        TextColumn("{task.percentage:>3.0f} %"),
        TextColumn("{task.fields[told]}", markup=False),
    )
    last: Json = {}
    shown: dict[str, TaskID] = {}
    done: set[str] = set()
    with Progress(*columns, console=console, disable=not console.is_terminal) as bars:
        whole = bars.add_task("whole job", total=1.0, told="")
        for last in states:
            left = last["seconds_left"]
            bars.update(whole, completed=last["progress"], told="" if left is None else f"about {clock(left)} left")
            for step in last["steps"]:
                _show_step(step, bars, shown, done, console)
    return last


def selection_table(counts: Json, title: str) -> Table:
    """Return a table of the chosen rows by dataset, beside what a random draw of as many would take."""
    table = Table(title=title, title_justify="left")
    for name in ("auxiliary dataset", "rows", "eligible", "chosen", "share", "random draw", "times random"):
        table.add_column(name, justify="left" if name == "auxiliary dataset" else "right")
    for key, count in sorted(counts.items(), key=lambda item: -item[1]["selected"]):
        share, random = count["share"], count["random_share"]
        times = f"{share / random:.1f}" if random else "-"
        table.add_row(
            key,
            f"{count['rows']:,}",
            f"{count['eligible']:,}",
            f"{count['selected']:,}",
            f"{100 * share:.1f} %",
            f"{100 * random:.1f} %",
            times,
        )
    return table


def arms_table(report: Json) -> Table:
    """Return a table of what every arm reached on the same rows: means over the repetitions, and what choosing took."""
    first = report["arms"]["selection"]
    repeats = len(first["repeats"])
    seeds = f", mean ± standard deviation of {repeats} seeds" if repeats > 1 else ""
    title = f"The primary, on {first['rows']['measured']} {first['measured_on']} rows{seeds}"
    table = Table(title=title, title_justify="left")
    table.add_column("trained with")
    for metric in first["metrics"]:
        table.add_column(metric, justify="right")
    table.add_column("chosen in", justify="right")
    for arm, found in report["arms"].items():
        cost = report["costs"].get(arm)
        figures = [_figure(found["metrics"][metric], found["spread"][metric]) for metric in first["metrics"]]
        table.add_row(described(arm), *figures, clock(cost["seconds"]) if cost else "")
    return table


def sentences(report: Json) -> list[str]:
    """Return what a report says in words, the recommendation first."""
    told = [report["recommendation"]] if report["recommendation"] else []
    curve = report["budget_curve"]
    if curve:
        told.append(
            f"A budget of {curve['recommended']:,} is the smallest within one standard error of the best, "
            f"{curve['best']:,}."
        )
    effects = report["datasets"] or {}
    told += [f"{key}: {each['meaning']} ({100 * each['value']:+.1f} points)." for key, each in effects.items()]
    return [*told, *(text[0].upper() + text[1:] for text in report["verdict"]), *report["notes"]]


def _figure(mean: float | None, spread: float | None) -> str:
    """`61.2 ± 0.8`, in percent."""
    if mean is None:
        return "-"
    return f"{100 * mean:.1f}" if spread is None else f"{100 * mean:.1f} ± {100 * spread:.1f}"


def _show_step(step: Json, bars: Progress, shown: dict[str, TaskID], done: set[str], console: Console) -> None:
    """Update a step's bar, and say once when it is done."""
    name = step["name"]
    if step["status"] == "succeeded" and name not in done:
        done.add(name)
        if name in shown:
            bars.remove_task(shown.pop(name))
        told = "done before, reused" if step["reused"] else f"done in {clock(step['seconds'] or 0)}"
        console.print(f"  {name:<28} {told}", highlight=False)
    progress = step["progress"]
    if step["status"] != "running":
        return
    if name not in shown:
        shown[name] = bars.add_task(name, total=None, told="starting")
    if progress:
        bars.update(shown[name], total=progress["total"], completed=progress["done"], told=_rate(progress))


def _rate(progress: Json) -> str:
    """`1,234 rows/s, 0:12 left, epoch 1 of 3`."""
    rate, left = progress["per_second"], progress["seconds_left"]
    told = [f"{rate:,.0f} {progress['unit']}/s" if rate else "", f"{clock(left)} left" if left is not None else ""]
    return ", ".join(part for part in [*told, progress["message"]] if part)


def clock(seconds: float) -> str:
    """`0:07`, `12:34`, `1:02:03`."""
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}" if hours else f"{minute}:{second:02}"
