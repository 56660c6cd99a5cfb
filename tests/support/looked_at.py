"""Files of a job to be looked at: two auxiliary datasets of six rows, scores in row groups, three rows chosen."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from app.job_files import JobFiles, Member
from app.storage import FolderStorage, Stored
from fastmtl.canonical import convert
from fastmtl.config import JobConfig

ANIMALS, SHOPS = uuid.UUID(int=1), uuid.UUID(int=2)
SCORES = {"animals": (0.9, 0.1, 0.8, 0.4, np.nan, 0.7), "shops": (0.2, 0.95, 0.6, 0.6, 0.3, 0.0)}
"""NaN: not eligible. Row 3 of shops has trained the method, row 5 of animals is a leak."""
SEEN, LEAKED = ("shops", 3), ("animals", 5)
CHOSEN = (("shops", 1, 0.95), ("animals", 0, 0.9), ("animals", 2, 0.8))


def write_dataset(folder: Path, name: str, lines: list[str], header: str = "text,label") -> Path:
    """Write a dataset's canonical file."""
    source, target = folder / f"{name}.csv", folder / f"{name}.parquet"
    source.write_text("\n".join([header, *lines]))
    convert(source, target)
    return target


def job_files(folder: Path, *, explained: bool = True, chosen: tuple = CHOSEN, **config: Any) -> JobFiles:
    """Write all of it."""
    paths = {
        "primary": write_dataset(folder, "primary", [f"mine {row},{'no' if row % 2 else 'yes'}" for row in range(4)]),
        "animals": write_dataset(folder, "animals", [f"Cat {row},c{row % 2}" for row in range(6)]),
        "shops": write_dataset(folder, "shops", [f"order {row} by cat,{row / 2 + 0.25}" for row in range(6)]),
    }
    ids = {"primary": uuid.UUID(int=3), "animals": ANIMALS, "shops": SHOPS}
    members = {key: Member(key, ids[key], 6, stored(path)) for key, path in paths.items()}
    selection, explanations = folder / "selection.parquet", folder / "explanations.parquet"
    write_selection(selection, chosen)
    if explained:
        why = {"percentile": [100.0, 90.0, 80.0][: len(chosen)]}
        why |= {"nearest_rows": [[1, 0]] * len(chosen), "similarities": [[0.5, 0.25]] * len(chosen)}
        write_selection(explanations, chosen, why)
    return JobFiles(
        job_id=uuid.UUID(int=9),
        digest="d" * 64,
        config=JobConfig(**config),
        primary=members.pop("primary"),
        auxiliary=members,
        selection=stored(selection),
        scores=stored(_scores(folder / "scores.parquet", {(key, row) for key, row, _ in chosen})),
        subset=stored(_subset(folder / "subset.parquet", chosen)),
        leaks=stored(_leaks(folder / "leaks.parquet")),
        explanations=stored(explanations) if explained else None,
        map=None,
    )


def stored(path: Path) -> Stored:
    """Return a file as one of a store that its folder is."""
    return Stored(FolderStorage(path.parent), path.name, "")


def write_selection(path: Path, chosen: tuple, more: Mapping[str, list] | None = None) -> None:
    """Write the chosen rows, two to a row group."""
    keys, rows, scores = zip(*chosen, strict=True)
    table = {"rank": range(1, len(chosen) + 1), "dataset": keys, "row": rows, "score": np.array(scores, np.float32)}
    pq.write_table(pa.table({name: list(column) for name, column in {**table, **(more or {})}.items()}), path, 2)


def _scores(path: Path, chosen: set[tuple[str, int]]) -> Path:
    """Four rows to a row group, as few as that, so that the datasets share one."""
    rows = [(key, row, score) for key, scores in SCORES.items() for row, score in enumerate(scores)]
    table = pa.table(
        {
            "dataset": [key for key, _, _ in rows],
            "row": [row for _, row, _ in rows],
            "score": pa.array([score for _, _, score in rows], pa.float32()),
            "seen": [(key, row) == SEEN for key, row, _ in rows],
            "selected": [(key, row) in chosen for key, row, _ in rows],
        }
    )
    pq.write_table(table, path, 4)
    return path


def _subset(path: Path, chosen: tuple) -> Path:
    """By dataset, rows rising, as the step writes it."""
    rows = sorted((key, row, rank) for rank, (key, row, _) in enumerate(chosen, 1))
    texts = [f"Cat {row}" if key == "animals" else f"order {row} by cat" for key, row, _ in rows]
    table = {"rank": [rank for _, _, rank in rows], "text_a": texts, "text_b": pa.nulls(len(rows), pa.string())}
    pq.write_table(pa.table(table), path)
    return path


def _leaks(path: Path) -> Path:
    pq.write_table(pa.table({"dataset": [LEAKED[0]], "row": [LEAKED[1]]}), path)
    return path
