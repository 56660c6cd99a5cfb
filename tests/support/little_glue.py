"""A made-up folder in GLUE's form: eight tasks of a few rows, in words that the tiny encoders know."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from tiny import WORDS

PAIRS = {
    "rte": ("sentence1", "sentence2"),
    "mrpc": ("sentence1", "sentence2"),
    "stsb": ("sentence1", "sentence2"),
    "mnli": ("premise", "hypothesis"),
    "qqp": ("question1", "question2"),
    "qnli": ("question", "sentence"),
}
SINGLES = ("cola", "sst2")
CLASSES = {"mnli": 3}
ROWS = 40
HELD = 20


def table(task: str, rows: int, part: str = "train", *, plain: bool = False) -> pa.Table:
    """Return rows of a task, the same every time; `plain` calls the columns text_a, text_b and label."""
    draw = random.Random(f"{task} {part}")
    first, second = ("text_a", "text_b") if plain else PAIRS.get(task, ("sentence", None))
    columns: dict[str, list[Any]] = {first: [" ".join(draw.choices(WORDS, k=6)) for _ in range(rows)]}
    if second:
        pair = task in PAIRS
        columns[second] = [" ".join(draw.choices(WORDS, k=5)) if pair else None for _ in range(rows)]
    labels = [row % CLASSES.get(task, 2) for row in range(rows)]
    columns["label"] = [round(draw.random() * 5, 2) for _ in range(rows)] if task == "stsb" else labels
    if part == "test":
        columns["label"] = [-1] * rows
    return pa.table({**columns, "idx": list(range(rows))})


def write(folder: Path, task: str, part: str, rows: int, name: str | None = None, *, plain: bool = False) -> Path:
    path = folder / task / f"{name or part}.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table(task, rows, part, plain=plain), path)
    return path


def little_glue(folder: Path, *, shards: bool = False) -> Path:
    """Write train and validation of all tasks; `shards` names the files as the hub does."""
    for task in (*PAIRS, *SINGLES):
        for part, rows in (("train", ROWS), ("validation", HELD)):
            held = "validation_matched" if (task, part) == ("mnli", "validation") else part
            write(folder, task, part, rows, f"{held}-00000-of-00001" if shards else None)
    return folder
