"""The whole path in this process, with no service: files in, selected rows and a report out.

result = select_rows("rte.csv", ["mnli.parquet", "qqp.tsv"], "out", config=JobConfig(preset="small", budget=500))
result.counts      # by dataset: how many rows were chosen of how many
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from fastmtl import encoders, pipeline
from fastmtl.artifacts import Cache
from fastmtl.canonical import convert
from fastmtl.config import JobConfig
from fastmtl.datasets import Columns, Dataset, Summary
from fastmtl.errors import InvalidDataset, Problem
from fastmtl.hub import fetch
from fastmtl.hub_names import is_hub_name
from fastmtl.plan import Json, Progress, StepSpec, TaskRef, Workspace, silent

USER_FILES = ("selection.parquet", "scores.parquet", "subset.parquet", "leaks.parquet", "counts.json")
REPORT_FILES = ("report.html", "report.json", "figures.json")


@dataclass(frozen=True)
class Source:
    """A file of the user's, or the name of a split on the hub, and which of its columns hold what."""

    path: Path | str
    columns: Columns = field(default_factory=Columns)


@dataclass(frozen=True)
class Result:
    """What a local selection leaves behind."""

    folder: Path
    """selection.parquet, scores.parquet, subset.parquet, leaks.parquet, counts.json, explanations.parquet,
    report.html, report.json, figures.json, figures/ and model/."""
    digest: str
    """Of the chosen rows in order of rank: the same input, config, seed and device give the same."""
    counts: Json
    """By dataset: rows, seen, leaked, eligible, selected, share, random_share."""
    report: Json | None
    """Metric of every arm and the verdict; None where only the selection was asked for."""
    summaries: dict[str, Summary]
    """What was read, by dataset."""
    sources: dict[str, str]
    """Of datasets from the hub the name with the commit that was read; sources.json says the same."""
    reused: tuple[str, ...]
    """Names of the steps that were found done."""


def select_rows(
    primary: Path | str | Source,
    auxiliary: Sequence[Path | str | Source],
    output: Path | str,
    *,
    validation: Path | str | Source | None = None,
    config: JobConfig | None = None,
    known_encoders: encoders.Known = encoders.KNOWN,
    cache: Path | None = None,
    device: str = "auto",
    train: bool = True,
    progress: Callable[[StepSpec], Progress] = lambda _step: silent,
) -> Result:
    """Choose auxiliary rows for the primary and, unless `train` is False, train on them and say what it was worth.

    A dataset is a file, or a split on the Hugging Face hub by its name: "hub:nyu-mll/glue/rte#train".
    Finished steps are kept in `cache` (default: `output`/.cache) and not computed twice. Raises InvalidDataset,
    InvalidConfig and what else is in `fastmtl.errors`.
    """
    output = Path(output)
    kept = Cache(cache or output / ".cache")
    given = [_source(primary), *map(_source, auxiliary)] + ([_source(validation)] if validation else [])
    with kept.writing() as scratch:
        read = _read(given, scratch)
        digests = {each.summary.digest: each.path for each in read.values()}
        refs = [TaskRef(key, each.summary.digest, each.summary.rows) for key, each in read.items()]
        tasks = pipeline.Tasks(refs[0], tuple(refs[1 : 1 + len(auxiliary)]), refs[-1] if validation else None)
        if tasks.validation:
            check_validation(read[tasks.primary.key].path, read[tasks.validation.key].path)
        steps = pipeline.plan(config or JobConfig(), tasks, known_encoders)
        if not train:
            last = next(index for index, step in enumerate(steps) if step.name == "select")
            steps = [step for index, step in enumerate(steps) if index <= last or step.kind in ("explain", "map")]
        folders, results, reused = run_steps(steps, kept, digests, device, progress)
    _publish(steps, folders, output)
    sources = {key: each.source for key, each in read.items() if each.source}
    if sources:
        (output / "sources.json").write_text(json.dumps(sources, indent=2) + "\n")
    chosen = next(results[step.fingerprint] for step in steps if step.name == "select")
    return Result(
        folder=output,
        digest=chosen["digest"],
        counts=chosen["counts"],
        report=results[steps[-1].fingerprint] if train else None,
        summaries={key: each.summary for key, each in read.items()},
        sources=sources,
        reused=reused,
    )


def run_steps(
    steps: Sequence[StepSpec],
    kept: Cache,
    datasets: Mapping[str, Path],
    device: str,
    progress: Callable[[StepSpec], Progress],
) -> tuple[dict[str, Path], dict[str, Json], tuple[str, ...]]:
    """Compute the steps in order, skipping those that were done before.

    Returns the folders and the results by fingerprint, and the names of the steps that were skipped; `datasets` are
    canonical files by digest.
    """
    from fastmtl.device import choose_device  # here: listing and planning need no torch

    device = choose_device(device)
    kept.tokens.mkdir(exist_ok=True)
    folders: dict[str, Path] = {}
    results: dict[str, Json] = {}
    reused = []
    for step in steps:
        found = kept.find(step.fingerprint)
        if found:
            reused.append(step.name)
        else:
            with kept.writing() as folder:
                inputs = {need: folders[need] for need in step.needs}
                tokens = {digest: kept.tokens / digest for digest in datasets}
                result = pipeline.run(step, Workspace(datasets, inputs, folder, device, progress(step), tokens=tokens))
                found = kept.keep(folder, step.fingerprint, result), result
        folders[step.fingerprint], results[step.fingerprint] = found
    return folders, results, tuple(reused)


def check_validation(primary: Path, validation: Path) -> None:
    """Raise InvalidDataset where a canonical validation file does not fit its primary: kind, pairs, classes."""
    ours, theirs = Dataset.open(primary), Dataset.open(validation)
    if (ours.kind, ours.pair) != (theirs.kind, theirs.pair):
        told = [f"{'pairs' if each.pair else 'single texts'}, {each.kind}" for each in (ours, theirs)]
        raise InvalidDataset([Problem(f"the primary holds {told[0]}, the validation file {told[1]}")])
    if strange := sorted(set(theirs.classes) - set(ours.classes)):
        raise InvalidDataset(
            [Problem(f"classes {strange} of the validation file are not among the primary's {list(ours.classes)}")]
        )


def _source(given: Path | str | Source) -> Source:
    return given if isinstance(given, Source) else Source(given)


class _Read(NamedTuple):
    """A dataset in the canonical form."""

    path: Path
    summary: Summary
    source: str | None


def _read(given: Sequence[Source], scratch: Path) -> dict[str, _Read]:
    """Bring every file into the canonical form; its key is the file's name, made unique."""
    read: dict[str, _Read] = {}
    for index, source in enumerate(given):
        target = scratch / f"{index}.parquet"
        try:
            path, key, origin = _located(source, scratch / str(index))
            summary = convert(path, target, columns=source.columns)
            read[key if key not in read else f"{key}@{index}"] = _Read(target, summary, origin)
        except InvalidDataset as error:
            raise InvalidDataset(
                [Problem(f"{source.path}: {problem}") for problem in error.problems], error.total
            ) from error
    return read


def _located(source: Source, folder: Path) -> tuple[Path, str, str | None]:
    """Return a dataset's file, what it is called and, where it is fetched from the hub into the folder, from where."""
    if isinstance(source.path, str) and is_hub_name(source.path):
        folder.mkdir()
        fetched = fetch(source.path, folder, source.columns)
        return fetched.path, fetched.title, fetched.source
    path = Path(source.path)
    return path, path.stem if path.stem not in ("train", "validation") else path.parent.name, None


def _publish(steps: Sequence[StepSpec], folders: dict[str, Path], output: Path) -> None:
    """Copy what a user wants to see next to each other."""
    output.mkdir(parents=True, exist_ok=True)
    for step in steps:
        folder = folders[step.fingerprint]
        if step.name == "select":
            for name in USER_FILES:
                shutil.copy2(folder / name, output / name)
        elif step.name == f"finetune ({pipeline.SELECTION})":
            shutil.copytree(folder / "model", output / "model", dirs_exist_ok=True)
        elif step.kind == "explain":
            shutil.copy2(folder / "explanations.parquet", output / "explanations.parquet")
        elif step.kind == "map":
            shutil.copy2(folder / "map.parquet", output / "map.parquet")
        elif step.kind == "report":
            for name in REPORT_FILES:
                shutil.copy2(folder / name, output / name)
            shutil.copytree(folder / "figures", output / "figures", dirs_exist_ok=True)
