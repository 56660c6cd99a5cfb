"""`fastmtl reproduce`: the paper's protocol, from GLUE's files to the table, shown on the terminal."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bars
from rich.table import Table

from app.local_command import read_config
from app.show import Json
from fastmtl.artifacts import Cache
from fastmtl.config import JobConfig, Precision
from fastmtl.encoders import KNOWN, Known
from fastmtl.errors import FastMTLError, InvalidConfig, InvalidDataset
from fastmtl.plan import Progress, StepSpec
from fastmtl.reproduce import glue, protocol, submission, table
from fastmtl.reproduce.protocol import AS_PUBLISHED, DISCRIMINATORS, OURS, Grid, Run
from fastmtl.reproduce.runs import Bench, RunLog, Space, Told, carry_out
from fastmtl.reproduce.table import Row

HUB = "hub"
SHOWN_ROWS = 300
"""Rows of each task in the figure of TD-MTDNN's space."""
PIPED_WIDTH = 140


@dataclass(frozen=True)
class Request:
    """What the user asks for."""

    data: str
    """A folder, or `hub`."""
    output: Path
    primaries: Sequence[str] = ()
    """As written, as are the next three: each may hold several with commas between; the protocol's where empty."""
    methods: Sequence[str] = ()
    budgets: Sequence[str] = ()
    seeds: Sequence[str] = ()
    max_rows: int = 0
    config: Path | None = None
    preset: str | None = None
    encoder: str | None = None
    device: str = "auto"
    revision: str | None = None
    as_published: bool = False
    submission: bool = False
    keep_models: bool = False
    as_json: bool = False
    """Whether results.json is printed, and everything else goes to standard error."""

    @property
    def protocol(self) -> protocol.Protocol:
        """Under which name the runs are kept."""
        return AS_PUBLISHED if self.as_published else OURS


@dataclass(frozen=True)
class Tools:
    """What needs the hub, torch or matplotlib: the command hands it in, so that this module loads none of them."""

    fetch: Callable[[Sequence[str], str | None], Path]
    """Takes patterns of files and a revision, None for the usual one (fastmtl/reproduce/hub.py)."""
    predict: Callable[[Path, Sequence[str], Sequence[str] | None, str, Precision], list[str] | list[float]]
    """Takes a step's folder, two texts a row, a device and a precision (fastmtl/reproduce/network.py)."""
    draw: Callable[[Sequence[Row], Space | None, int, Path], list[Path]] | None = None
    """Takes rows, TD-MTDNN, a seed and a folder (fastmtl/reproduce/figures.py); None where none is asked for."""


def run_reproduce(request: Request, tools: Tools) -> int:
    """Run what is not finished and show the whole; return the exit status: 0, or 2 for what the user can mend."""
    looks = (sys.stderr if request.as_json else sys.stdout).isatty()
    width = None if looks else PIPED_WIDTH
    console = Console(highlight=False, stderr=request.as_json, force_terminal=looks, width=width)
    try:
        _reproduce(request, tools, console)
        if request.as_json:
            sys.stdout.write((request.output / "results.json").read_text())
    except InvalidDataset as error:
        for problem in error.problems:
            console.print(f"[red]error:[/red] {escape(str(problem))}")
        return 2
    except (FastMTLError, OSError) as error:
        console.print(f"[red]error:[/red] {escape(str(error))}")
        return 2
    except KeyboardInterrupt:
        console.print("Stopped. The same command goes on from here.")
        return 130
    return 0


def _reproduce(request: Request, tools: Tools, console: Console) -> None:
    config, known = _settings(request)
    grid = _grid(request, config)
    folder = Path(request.data)
    if request.data == HUB:
        folder = tools.fetch(_hub_patterns(grid, request.submission), request.revision)
    if request.submission:
        submission.check(folder, grid.primaries)
    data = glue.prepare(folder, request.output / "data", grid.primaries, request.max_rows)
    console.print(f"Training rows: {', '.join(data.sizes())}.")
    planned = {name: protocol.runs(grid, config, name, data, known) for name in (OURS, AS_PUBLISHED)}
    runs, log = planned[request.protocol], RunLog(request.output / "runs.jsonl")

    with _bars(console, len(runs)) as (progress, told):
        bench = Bench(Cache(request.output / "cache"), data.datasets, request.device, progress)
        carry_out(runs, log, bench, keeps_model=lambda run: _keeps_model(run, grid, request), told=told)
        listed = _tabulate(request, console, [*planned[OURS], *planned[AS_PUBLISHED]], log, grid, data, config)
        if tools.draw:
            files = tools.draw(listed, _space(runs, bench, data), grid.seeds[0], request.output / "figures")
            console.print(f"Figures: {', '.join(str(path) for path in files)}")
        if request.submission:
            _submit(request, tools, console, listed, runs, grid, bench, folder)


def _settings(request: Request) -> tuple[JobConfig, Known]:
    """Return the config that the grid varies, and the encoders: a folder may be named in place of a known one."""
    known = dict(KNOWN)
    if request.encoder and Path(request.encoder).is_dir():
        known[request.encoder] = f"folder:{Path(request.encoder).absolute()}"
    options = {"budget": None, "seed": None, "loss": None, "preset": request.preset, "encoder": request.encoder}
    return read_config(request.config, options), known


def _grid(request: Request, config: JobConfig) -> Grid:
    """Read the lists. Raises InvalidConfig naming what is no number, and what `protocol.grid` raises."""
    return protocol.grid(
        _split(request.primaries) or glue.PRIMARIES,
        _split(request.methods) or protocol.METHODS,
        _numbers("budgets", request.budgets) or protocol.BUDGETS,
        _numbers("seeds", request.seeds) or protocol.SEEDS,
        config,
    )


def _split(written: Sequence[str]) -> list[str]:
    return [part.strip() for each in written for part in each.split(",") if part.strip()]


def _numbers(name: str, written: Sequence[str]) -> list[int]:
    parts = _split(written)
    if wrong := [part for part in parts if not part.removeprefix("-").isdecimal()]:
        raise InvalidConfig(name, f"{name}: whole numbers are needed, found {wrong[0]!r}")
    return [int(part) for part in parts]


def _hub_patterns(grid: Grid, with_test: bool) -> list[str]:
    """Return patterns of the files that a grid reads."""
    validation = [f"{primary}/validation-*.parquet" for primary in grid.primaries]
    test = [f"{primary}/test-*.parquet" for primary in grid.primaries if with_test]
    return [*(f"{task}/train-*.parquet" for task in glue.TASKS), *validation, *test]


def _keeps_model(run: Run, grid: Grid, request: Request) -> bool:
    """Whether a run's fine-tuned model may still be wanted: a submission takes one of the first seed's."""
    return request.keep_models or (request.submission and run.budget is not None and run.seed == grid.seeds[0])


@contextmanager
def _bars(console: Console, total: int) -> Iterator[tuple[Callable[[StepSpec], Progress], Told]]:
    """Show the whole and the step at work as bars in a terminal; elsewhere one line a finished run."""
    columns = (TextColumn("{task.description:<40}"), BarColumn(30), TextColumn("{task.percentage:>3.0f} %"))
    with Bars(*columns, TimeRemainingColumn(), console=console, disable=not console.is_terminal) as bars:
        whole, one = bars.add_task(f"{total} runs", total=total), bars.add_task("", total=None, visible=False)

        def progress(step: StepSpec) -> Progress:
            bars.reset(one, description=step.name, total=None, visible=True)

            def moved(done: int, total: int, unit: str, message: str = "") -> None:
                bars.update(one, completed=done, total=total)

            return moved

        def told(number: int, run: Run, record: Json, before: bool) -> None:
            bars.update(whole, completed=number)
            bars.update(one, visible=False)
            console.print(f"  {number:>4} of {total}  {_told(run, record, before)}")

        yield progress, told


def _told(run: Run, record: Json, before: bool) -> str:
    """`RTE, CE-TD, 1,000 rows, seed 0: accuracy 61.2, 34 s`."""
    budget = f", {run.budget:,} rows" if run.budget else ""
    values = [(name, record["metrics"][name]) for name in table.METRICS[run.primary]]
    result = ", ".join(f"{name} {'-' if value is None else f'{100 * value:.1f}'}" for name, value in values)
    place = f"{glue.TASKS[run.primary].name}, {run.arm}{budget}, seed {run.seed}"
    took = "finished before" if before else f"{record['seconds']:,.0f} s"
    return f"{place}: {result}, {took}"


def _tabulate(
    request: Request, console: Console, runs: Sequence[Run], log: RunLog, grid: Grid, data: glue.Glue, config: JobConfig
) -> list[Row]:
    """Write and show the table of all runs that are asked for and finished, under either protocol."""
    records = log.read()
    listed = table.rows(runs, records)
    used = [records[run.key] for run in runs if run.key in records]
    notes = table.write(request.output, listed, used, grid, data, config.model_dump(mode="json"))
    shown = Table(title="The paper's protocol", title_justify="left")
    for name in table.HEADER:
        shown.add_column(name, justify="right" if name in ("budget", "seconds", "time of full", "seeds") else "left")
    for row in listed:
        shown.add_row(*table.cells(row))
    console.print(shown)
    for note in notes:
        console.print(f"- {note}")
    console.print(f"Files: {request.output.absolute()}: table.md, table.csv, results.json, runs.jsonl")
    return listed


def _space(runs: Sequence[Run], bench: Bench, data: glue.Glue) -> Space | None:
    """Return the TD-MTDNN of the first run that has one; None where none was asked for."""
    run = next((run for run in runs if run.arm in DISCRIMINATORS), None)
    if run is None:
        return None
    step = next(step for step in run.steps if step.kind == "discriminator")
    folder = bench.folder_of(protocol.needed(run.steps, step))
    return Space(folder, data.train, SHOWN_ROWS, bench.device, run.config.precision)


def _submit(
    request: Request,
    tools: Tools,
    console: Console,
    listed: Sequence[Row],
    runs: Sequence[Run],
    grid: Grid,
    bench: Bench,
    folder: Path,
) -> None:
    """Predict the test rows of every primary with its best budget's model, of the first seed."""
    chosen: dict[str, Run] = {}
    for primary in grid.primaries:
        row = submission.best(listed, primary, request.protocol)
        if row is None:
            raise InvalidConfig("submission", f"{primary}: no run has a metric to choose a model by")
        place = (primary, row.arm, row.budget, grid.seeds[0])
        chosen[primary] = next(run for run in runs if (run.primary, run.arm, run.budget, run.seed) == place)
        console.print(f"{glue.TASKS[primary].name}: predicted by {row.arm} with {row.budget:,} rows, the best here.")

    def predict(primary: str, text_a: list[str], text_b: list[str]) -> list[str] | list[float]:
        run = chosen[primary]
        return tools.predict(bench.folder_of(run.steps), text_a, text_b, bench.device, run.config.precision)

    files = submission.write(request.output / "submission.zip", folder, grid.primaries, predict)
    console.print(f"Submission: {(request.output / 'submission.zip').absolute()}. {submission.still_wanted(files)}")
