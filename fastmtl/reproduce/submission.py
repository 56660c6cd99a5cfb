"""Predictions on GLUE's test rows, in the form of its leaderboard: one TSV a task in a ZIP archive. Torch-free.

Only what was predicted is written. The leaderboard takes an archive with a file for every task of GLUE: those of the
tasks that were not predicted are for the user to add.
"""

from __future__ import annotations

import os
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from fastmtl.errors import InvalidDataset, Problem
from fastmtl.reproduce.glue import TASKS, locate, read
from fastmtl.reproduce.table import Row

Predict = Callable[[str, list[str], list[str]], list[str] | list[float]]
"""Takes a primary and its test rows' two texts; returns the names of classes, or values."""

NAMES: Mapping[str, Mapping[str, str]] = {
    "rte": {"0": "entailment", "1": "not_entailment"},
    "mrpc": {"0": "0", "1": "1"},
}
"""What the leaderboard calls the classes."""
HIGHEST = 5.0
"""STS-B's labels lie from 0 to 5."""
BASELINES = ("random", "random_balanced")
ALSO_WANTED = ("CoLA", "SST-2", "RTE", "MRPC", "STS-B", "QQP", "MNLI-m", "MNLI-mm", "QNLI", "WNLI", "AX")
EPOCH = (1980, 1, 1, 0, 0, 0)
"""ZIP's first moment: the same predictions are the same bytes."""


def check(folder: Path, primaries: Sequence[str]) -> None:
    """Raise InvalidDataset where the test rows of a primary are missing."""
    for primary in primaries:
        try:
            locate(folder, primary, "test")
        except InvalidDataset as error:
            told = (
                f"{error}. A submission needs the test rows of every primary: add {primary}/test.parquet, or leave "
                f"{primary} out of --primaries"
            )
            raise InvalidDataset([Problem(told)]) from error


def best(listed: Sequence[Row], primary: str, protocol: str) -> Row | None:
    """Return the line whose selection did best on the validation rows; random draws only where nothing else was run.

    Of equal ones the smaller budget, then the one that stands first. None where the metric is not defined.
    """
    chosen = [row for row in listed if (row.primary, row.protocol) == (primary, protocol) and row.budget is not None]
    candidates = [row for row in chosen if row.arm not in BASELINES] or chosen
    known = [row for row in candidates if row.judged_by.mean is not None]
    return max(known, key=lambda row: (row.judged_by.mean, -(row.budget or 0)), default=None)


def write(target: Path, folder: Path, primaries: Sequence[str], predict: Predict) -> list[str]:
    """Predict and write the archive; return the files in it."""
    files = {f"{TASKS[primary].name}.tsv": _tsv(folder, primary, predict) for primary in primaries}
    partial = target.with_name(f"{target.name}.part")
    with zipfile.ZipFile(partial, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in files.items():
            archive.writestr(zipfile.ZipInfo(name, EPOCH), text)
    os.replace(partial, target)
    return list(files)


def still_wanted(files: Sequence[str]) -> str:
    """Say which files of the leaderboard's archive are not in this one."""
    there = [name.removesuffix(".tsv") for name in files]
    missing = ", ".join(f"{name}.tsv" for name in ALSO_WANTED if name not in there)
    return (
        f"The archive holds {', '.join(files)}: what was predicted, and nothing else. The GLUE leaderboard also wants "
        f"{missing}; they were not predicted here and are not made up. Add them before you submit."
    )


def _tsv(folder: Path, primary: str, predict: Predict) -> str:
    table = read(primary, locate(folder, primary, "test"), labelled=False)
    table = table.take(pa.array(_order(table)))
    text_a, text_b = (
        ["" if text is None else text for text in table[name].to_pylist()] for name in ("text_a", "text_b")
    )
    said: Sequence[str | float] = predict(primary, text_a, text_b)
    lines = [f"{index}\t{_label(primary, value)}" for index, value in enumerate(said)]
    return "\n".join(["index\tprediction", *lines]) + "\n"


def _order(table: pa.Table) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Return the rows in GLUE's order: by idx where it counts them from 0, else as they stand."""
    as_they_stand = np.arange(table.num_rows)
    if "idx" not in table.column_names:
        return as_they_stand
    numbers = table["idx"].to_numpy()
    order = np.argsort(numbers, kind="stable")
    return order if np.array_equal(numbers[order], as_they_stand) else as_they_stand


def _label(primary: str, value: str | float) -> str:
    if primary not in NAMES:
        return f"{min(max(float(value), 0.0), HIGHEST):.3f}"
    return NAMES[primary].get(str(value), str(value))
