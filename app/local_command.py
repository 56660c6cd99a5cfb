"""`fastmtl select`: the whole path in this process, shown on the terminal."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError
from rich.console import Console, RenderableType
from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bars

from app.show import Json, arms_table, selection_table, sentences
from app.terminal import Terminal, run
from fastmtl.config import JobConfig
from fastmtl.encoders import KNOWN
from fastmtl.errors import InvalidConfig
from fastmtl.hub_names import is_hub_name
from fastmtl.local import Result, select_rows
from fastmtl.plan import Progress, StepSpec


@dataclass(frozen=True)
class LocalRequest:
    """What the user asks for; each dataset is a file or a name on the hub."""

    primary: str
    auxiliary: Sequence[str]
    validation: str | None
    output: Path
    config: Path | None
    options: Json
    """Options of the command that win over the file."""
    device: str
    train: bool


def run_select(request: LocalRequest, *, as_json: bool = False) -> int:
    """Select, train, show; return the exit status."""
    terminal = Terminal(as_json=as_json)

    def command() -> None:
        encoder = request.options["encoder"]
        known = dict(KNOWN)
        if encoder and Path(encoder).is_dir():
            known[encoder] = f"folder:{Path(encoder).absolute()}"
        config = read_config(request.config, request.options)
        for given in (request.primary, *request.auxiliary, request.validation):
            if is_hub_name(given):
                terminal.note(f"{given} is taken from the hub, or its cache")
        with _bars(terminal.told) as bars:
            result = select_rows(
                request.primary,
                request.auxiliary,
                request.output,
                validation=request.validation,
                config=config,
                known_encoders=known,
                device=request.device,
                train=request.train,
                progress=lambda step: _bar(bars, step),
            )
        _show(terminal, result, config)

    return run(terminal, command)


def _bars(console: Console) -> Bars:
    """Return bars for a terminal; in a pipe a step is a line."""
    columns = (
        TextColumn("{task.description:<28}", markup=False),
        BarColumn(30),
        TextColumn("{task.percentage:>3.0f} %"),
        TimeRemainingColumn(),
    )
    return Bars(*columns, console=console, disable=not console.is_terminal)


def read_config(path: Path | None, options: Json) -> JobConfig:
    """Return the file's config with the options over it. Raises InvalidConfig naming the field."""
    try:
        given: Json = json.loads(path.read_text()) if path else {}
    except ValueError as error:
        raise InvalidConfig("config", f"{path} is not JSON: {error}") from error
    if not isinstance(given, dict):
        raise InvalidConfig("config", f"{path} holds no JSON object but {type(given).__name__}")
    for name in ("budget", "preset", "seed", "method", "selector", "compare", "repeats", "budget_curve"):
        if options.get(name) is not None:
            given[name] = options[name]
    if options["encoder"]:
        given["encoder"] = {**given.get("encoder", {}), "name": options["encoder"]}
    if options["loss"]:
        given["discriminator"] = {**given.get("discriminator", {}), "loss": options["loss"]}
    try:
        return JobConfig.model_validate(given)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"])
        raise InvalidConfig(field, f"{field}: {first['msg']}, found {first['input']!r}") from error


def _bar(bars: Bars, step: StepSpec) -> Progress:
    """Return a progress that moves a bar of its own."""
    task = bars.add_task(step.name, total=None)
    if not bars.console.is_terminal:
        bars.console.print(f"  {step.name}")

    def progress(done: int, total: int, unit: str, message: str = "") -> None:
        bars.update(task, completed=done, total=total)

    return progress


def _show(terminal: Terminal, result: Result, config: JobConfig) -> None:
    for key, summary in result.summaries.items():
        for warning in summary.warnings:
            terminal.note(f"note on {key}: {warning}")
    for key, source in result.sources.items():
        terminal.note(f"{key} is {source}")
    report: Json | None = json.loads((result.folder / "report.json").read_text()) if result.report else None
    shown: list[RenderableType] = [selection_table(result.counts, f"{config.budget:,} rows chosen")]
    if report:
        shown += [arms_table(report), *(f"- {sentence}" for sentence in sentences(report))]
    if result.reused:
        shown.append(f"Found done before: {', '.join(result.reused)}.")
    raw: Json = {"folder": str(result.folder.absolute()), "digest": result.digest, "counts": result.counts}
    raw["sources"] = result.sources
    raw |= {"report": report, "reused": list(result.reused)}
    shown.append(f"Files: {result.folder.absolute()}")
    if report:
        shown.append(f"Report: {result.folder.absolute() / 'report.html'}")
    terminal.result(raw, *shown)
