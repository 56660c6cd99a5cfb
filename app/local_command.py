"""`fastmtl select`: the whole path in this process, shown on the terminal."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path

from pydantic import ValidationError
from rich.console import Console
from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bars
from rich.text import Text

from app.show import Json, arms_table, selection_table, sentences
from fastmtl.config import JobConfig
from fastmtl.encoders import KNOWN
from fastmtl.errors import FastMTLError, InvalidConfig, InvalidDataset
from fastmtl.local import Result, select_rows
from fastmtl.plan import Progress, StepSpec


def run_select(
    primary: Path,
    auxiliary: Sequence[Path],
    validation: Path | None,
    output: Path,
    config_file: Path | None,
    options: Json,
    device: str,
    train: bool,
) -> int:
    """Select, train, show; return the exit status: 0, or 2 for what the user can mend."""
    console = Console(highlight=False, markup=False)
    try:
        known = dict(KNOWN)
        if options["encoder"] and Path(options["encoder"]).is_dir():
            known[options["encoder"]] = f"folder:{Path(options['encoder']).absolute()}"
        config = read_config(config_file, options)
        with Bars(
            TextColumn("{task.description:<28}", markup=False),
            BarColumn(30),
            TextColumn("{task.percentage:>3.0f} %"),
            TimeRemainingColumn(),
            console=console,
        ) as bars:
            result = select_rows(
                primary,
                auxiliary,
                output,
                validation=validation,
                config=config,
                known_encoders=known,
                device=device,
                train=train,
                progress=lambda step: _bar(bars, step),
            )
    except InvalidDataset as error:
        _refuse(console, error.problems)
        return 2
    except (FastMTLError, OSError) as error:
        _refuse(console, [error])
        return 2
    _show(console, result, config)
    return 0


def _refuse(console: Console, reasons: Iterable[object]) -> None:
    """Say what is wrong, a line each."""
    for reason in reasons:
        console.print(Text.assemble(("error:", "red"), f" {reason}"))


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

    def progress(done: int, total: int, unit: str, message: str = "") -> None:
        bars.update(task, completed=done, total=total)

    return progress


def _show(console: Console, result: Result, config: JobConfig) -> None:
    for key, summary in result.summaries.items():
        for warning in summary.warnings:
            console.print(f"note on {key}: {warning}")
    console.print(selection_table(result.counts, f"{config.budget:,} rows chosen"))
    if result.report:
        report = json.loads((result.folder / "report.json").read_text())
        console.print(arms_table(report))
        for sentence in sentences(report):
            console.print(f"- {sentence}")
    if result.reused:
        console.print(f"Found done before: {', '.join(result.reused)}.")
    console.print(f"Files: {result.folder.absolute()}")
