"""The data that a demonstration runs on: a folder of the user's, GLUE from the hub, or the examples."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from fastmtl.canonical import convert
from fastmtl.datasets import Columns, Dataset, TaskKind

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
GLUE = "nyu-mll/glue"
GLUE_TASKS = ("rte", "mrpc", "stsb", "cola", "sst2", "mnli", "qqp", "qnli")
GLUE_VALIDATION = {"mnli": "validation_matched"}
HUB_SECONDS = 5
SAMPLE_SEED = 0


class NoData(Exception):
    """The folder does not hold what a demonstration needs; the message says what it should look like."""


@dataclass(frozen=True)
class DemoTask:
    """Files of one task."""

    name: str
    train: Path
    validation: Path | None


@dataclass(frozen=True)
class DemoData:
    """What the demonstration uses and how to call it."""

    told: str
    primary: DemoTask
    auxiliary: tuple[DemoTask, ...]


def find(folder: Path | None, primary: str | None, cache: Path) -> DemoData:
    """Return the folder's tasks if one is given, else GLUE where the hub can be reached, else the examples."""
    if folder is not None:
        return _arranged(f"the folder {folder}", _tasks(folder), primary)
    if fetched := _fetch_glue(cache / "glue"):
        return _arranged("GLUE from the Hugging Face hub", _tasks(fetched), primary or "rte")
    told = "the project's own examples (GLUE could not be reached on the Hugging Face hub)"
    return _arranged(told, _tasks(EXAMPLES), primary or "support_entailment")


def sample(path: Path, max_rows: int | None, scratch: Path) -> tuple[Path, int]:
    """Return a file with at most `max_rows` of a file's rows, drawn with a fixed seed, and how many rows there were."""
    canonical = scratch / "canonical.parquet"
    # GLUE calls QNLI's first text `question` and names no text of two columns alike: inference covers all of it.
    rows = convert(path, canonical, columns=Columns()).rows
    if max_rows is None or rows <= max_rows:
        return path, rows
    dataset = Dataset.open(canonical)
    drawn = np.sort(np.random.default_rng(SAMPLE_SEED).permutation(rows)[:max_rows])
    text_a, text_b = dataset.texts(drawn)
    labels = dataset.labels(drawn).tolist()
    if dataset.kind == TaskKind.CLASSIFICATION:
        labels = [dataset.classes[label] for label in labels]
    columns = {"text_a": text_a, **({"text_b": text_b} if text_b else {}), "label": labels}
    target = scratch / "sample.parquet"
    pq.write_table(pa.table(columns), target)
    return target, rows


def _tasks(folder: Path) -> list[DemoTask]:
    """Return every task folder below `folder` that holds a train file."""
    tasks = []
    for task in sorted(path for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []:
        train, validation = _one(task, "train"), _one(task, "validation")
        if train:
            tasks.append(DemoTask(task.name, train, validation))
    if len(tasks) < 2:
        raise NoData(
            f"{folder} holds {len(tasks)} tasks, and a selection needs at least 2: one folder a task, in each a file "
            "train.csv, .tsv, .jsonl or .parquet, and for the primary a file validation.* too"
        )
    return tasks


def _one(folder: Path, stem: str) -> Path | None:
    """Return the folder's file of that stem."""
    return next((path for path in sorted(folder.glob(f"{stem}.*")) if path.is_file()), None)


def _arranged(told: str, tasks: Sequence[DemoTask], primary: str | None) -> DemoData:
    """Choose the primary: the one that is named, else rte, else the smallest file that has a validation file."""
    names = [task.name for task in tasks]
    if primary is not None and primary not in names:
        raise NoData(f"there is no task {primary!r} in {told}; there are {', '.join(names)}")
    small = sorted((task for task in tasks if task.validation), key=lambda task: task.train.stat().st_size)
    usual = "rte" if "rte" in names else (small[0].name if small else names[0])
    chosen = primary or usual
    first = next(task for task in tasks if task.name == chosen)
    return DemoData(told, first, tuple(task for task in tasks if task is not first))


def _fetch_glue(folder: Path) -> Path | None:
    """Fetch GLUE's Parquet files from the hub into `folder`; None where it cannot be reached."""
    if os.environ.get("HF_HUB_OFFLINE") == "1":
        return None
    endpoint = os.environ.get("HF_ENDPOINT", "https://huggingface.co").rstrip("/")
    try:
        with httpx2.Client(base_url=endpoint, timeout=HUB_SECONDS, follow_redirects=True) as hub:
            for task in GLUE_TASKS:
                _fetch(hub, task, "train", folder)
                _fetch(hub, task, GLUE_VALIDATION.get(task, "validation"), folder)
    except httpx2.HTTPError:
        return None
    return folder


def _fetch(hub: httpx2.Client, task: str, split: str, folder: Path) -> None:
    """Fetch one split, unless it is there already."""
    target = folder / task / f"{split.partition('_')[0]}.parquet"
    if target.exists():
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_suffix(".part")
    with hub.stream("GET", f"/datasets/{GLUE}/resolve/main/{task}/{split}-00000-of-00001.parquet") as response:
        response.raise_for_status()
        with partial.open("wb") as file:
            for chunk in response.iter_bytes():
                file.write(chunk)
    partial.replace(target)
