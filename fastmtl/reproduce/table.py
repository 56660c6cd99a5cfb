"""The one table: means and standard deviations over seeds, seconds, and time against full MT-DNN. Torch-free."""

from __future__ import annotations

import csv
import io
import json
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path
from statistics import fmean, stdev

from fastmtl.plan import Json
from fastmtl.reproduce.glue import TASKS, Glue
from fastmtl.reproduce.protocol import AS_PUBLISHED, ENDS, FULL, PRIMARY_ONLY, Grid, Run

METRICS: Mapping[str, tuple[str, ...]] = {
    "rte": ("accuracy",),
    "mrpc": ("accuracy", "f1"),
    "stsb": ("pearson", "spearman"),
}
"""What the paper reports of each primary; a run is judged by the first."""
HEADER = ("task", "protocol", "trained with", "budget", "metrics", "result", "seeds", "seconds", "time of full")
VERSIONS = ("fastmtl", "torch", "transformers", "tokenizers", "numpy", "scikit-learn")
PERCENT = 100


@dataclass(frozen=True)
class Figure:
    """One metric over seeds; None where it is not defined."""

    mean: float | None
    sd: float | None
    """Sample standard deviation; None of one training."""


@dataclass(frozen=True)
class Row:
    """A line of the table."""

    primary: str
    protocol: str
    arm: str
    budget: int | None
    """None of the two ends."""
    metrics: dict[str, Figure]
    trainings: int
    """Different ones: a run that only repeats another's steps under another seed is not counted again."""
    planned: int
    """Seeds asked for."""
    seconds: float
    """Mean of a run's, all its steps included, also those that it shares with other runs."""
    relative_time: float | None
    """Those seconds by full MT-DNN's, of the same task and protocol."""

    @property
    def judged_by(self) -> Figure:
        """The metric that budgets are compared by."""
        return self.metrics[METRICS[self.primary][0]]


def rows(runs: Sequence[Run], records: Mapping[str, Json]) -> list[Row]:
    """Return a row for every arm and budget with a finished run, the two ends of a task first.

    `runs` may be those of both protocols; their rows then stand side by side.
    """
    groups: dict[tuple[str, str, int | None], dict[str, list[Run]]] = {}
    for run in runs:
        groups.setdefault((run.primary, run.arm, run.budget), {}).setdefault(run.protocol, []).append(run)
    order = list(dict.fromkeys(run.primary for run in runs))
    found = [
        _row(alike, [records[run.key] for run in alike if run.key in records])
        for place in sorted(groups, key=lambda place: (order.index(place[0]), place[1] not in ENDS))
        for alike in groups[place].values()
    ]
    listed = [row for row in found if row is not None]
    full = {(row.primary, row.protocol): row.seconds for row in listed if row.arm == FULL}
    return [_beside_full(row, full.get((row.primary, row.protocol))) for row in listed]


def cells(row: Row) -> list[str]:
    """Return a row as a reader sees it, under HEADER: metrics in percent, mean ± standard deviation."""
    return [
        TASKS[row.primary].name,
        row.protocol,
        row.arm,
        "" if row.budget is None else f"{row.budget:,}",
        " / ".join(row.metrics),
        " / ".join(_shown(figure) for figure in row.metrics.values()),
        f"{row.trainings}" if row.trainings == row.planned else f"{row.trainings} of {row.planned}",
        f"{row.seconds:,.0f}",
        "" if row.relative_time is None else f"{row.relative_time:.3f}",
    ]


def notes(listed: Sequence[Row], records: Sequence[Json], wanted: Grid, glue: Glue) -> list[str]:
    """Say what a reader must know before trusting the table."""
    machines = sorted({f"{each['machine']['name']} ({each['machine']['precision']})" for each in records})
    told = [
        f"Training rows: {', '.join(glue.sizes())}. Measured on validation rows: {', '.join(glue.measured_on())}.",
        "Result: percent, mean ± sample standard deviation over the trainings of different seeds; one training has "
        "none.",
        "Seconds: all steps of a run, those that it shares with others (discriminator, scores) in full; "
        f"time of full: the same by those of {FULL}.",
        f"{PRIMARY_ONLY} is trained once a seed, with as many optimiser steps as a budget of {wanted.budgets[0]:,} "
        f"makes; {FULL} takes every auxiliary row in every epoch.",
        f"Machine: {'; '.join(machines)}.",
    ]
    if len(machines) > 1:
        told.append("The runs were made on several machines: their seconds cannot be compared.")
    if any(row.protocol == AS_PUBLISHED for row in listed):
        told.append(
            "as published: the epoch is chosen on the validation rows that are then reported, which flatters; no row "
            "that also stands among them is kept out; every training has seed 0, so its spread is that of the "
            "selection alone."
        )
    if short := sum(row.trainings < row.planned for row in listed):
        told.append(f"{short} of {len(listed)} lines rest on fewer trainings than there are seeds.")
    if empty := sum(each.empty for each in (*glue.train.values(), *glue.validation.values())):
        told.append(f"{empty} rows with an empty text were left out.")
    return told


def write(
    output: Path, listed: Sequence[Row], records: Sequence[Json], wanted: Grid, glue: Glue, config: Json
) -> list[str]:
    """Write table.md, table.csv and results.json, each whole or not at all; return the notes under the table."""
    told = notes(listed, records, wanted, glue)
    _write(output / "table.md", _markdown(listed, told))
    _write(output / "table.csv", _csv(listed))
    results = {
        "grid": asdict(wanted),
        "config": config,
        "data": {"training": glue.sizes(), "validation": glue.measured_on()},
        "digests": {name: each.digest for name, each in glue.train.items()},
        "machines": _machines(records),
        "versions": {"python": platform.python_version(), **{name: version(name) for name in VERSIONS}},
        "rows": [asdict(row) for row in listed],
        "notes": told,
    }
    _write(output / "results.json", json.dumps(results, indent=1))
    return told


def _machines(records: Sequence[Json]) -> list[Json]:
    """Return each machine once; what was free on it changes from run to run."""
    found: list[Json] = []
    for record in records:
        machine = {name: value for name, value in record["machine"].items() if name != "free_bytes"}
        found += [machine] if machine not in found else []
    return found


def _row(alike: Sequence[Run], found: Sequence[Json]) -> Row | None:
    if not found:
        return None
    first = alike[0]
    different = list({record["fingerprint"]: record for record in found}.values())
    return Row(
        primary=first.primary,
        protocol=first.protocol,
        arm=first.arm,
        budget=first.budget,
        metrics={name: _figure([each["metrics"][name] for each in different]) for name in METRICS[first.primary]},
        trainings=len(different),
        planned=len({run.steps[-1].fingerprint for run in alike}),
        seconds=fmean(each["seconds"] for each in different),
        relative_time=None,
    )


def _beside_full(row: Row, full_seconds: float | None) -> Row:
    relative = row.seconds / full_seconds if full_seconds else None
    return replace(row, relative_time=relative)


def _figure(values: Sequence[float | None]) -> Figure:
    known = [value for value in values if value is not None]
    if len(known) < len(values):
        return Figure(None, None)
    return Figure(fmean(known), stdev(known) if len(known) > 1 else None)


def _shown(figure: Figure) -> str:
    """`61.2 ± 0.8`, in percent."""
    if figure.mean is None:
        return "-"
    spread = "" if figure.sd is None else f" ± {PERCENT * figure.sd:.1f}"
    return f"{PERCENT * figure.mean:.1f}{spread}"


def _markdown(listed: Sequence[Row], told: Sequence[str]) -> str:
    lines = [HEADER, ["---"] * len(HEADER), *map(cells, listed)]
    return "\n".join(["| " + " | ".join(line) + " |" for line in lines] + ["", *(f"- {note}" for note in told), ""])


def _csv(listed: Sequence[Row]) -> str:
    """One column a number; a metric that a task does not have is empty."""
    names = list(dict.fromkeys(name for metrics in METRICS.values() for name in metrics))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    columns = [f"{name}_{part}" for name in names for part in ("mean", "sd")]
    writer.writerow(["task", "protocol", "arm", "budget", *columns, "seeds", "seconds", "relative_time"])
    for row in listed:
        figures = [row.metrics.get(name, Figure(None, None)) for name in names]
        numbers = [number for figure in figures for number in (figure.mean, figure.sd)]
        writer.writerow(
            [row.primary, row.protocol, row.arm, row.budget, *numbers, row.trainings, row.seconds, row.relative_time]
        )
    return text.getvalue()


def _write(path: Path, text: str) -> None:
    partial = path.with_name(f"{path.name}.part")
    partial.write_text(text, encoding="utf-8")
    os.replace(partial, path)
