"""Select: turn the scores of all auxiliary rows into exactly K of them (paper, section 3.3).

Reads   what the `rank` step, the selector's own and, last, the leak guard left behind, and the auxiliary datasets
Writes  selection.parquet  K rows: rank (from 1), dataset (key), row, score; best first
        scores.parquet     every auxiliary row: dataset, row, score, seen, selected
        leaks.parquet      rows that were kept out, and the primary's own such rows: dataset, row, held_row, similarity
        subset.parquet     the chosen rows, ready to train on: dataset, row, rank, score, text_a, text_b, label
        counts.json        by dataset: rows, seen, leaked, eligible, selected, and the shares of selection and pool;
                           where a cascade scored, what that expects of itself

Torch-free.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import overload

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from fastmtl import cascade, selectors
from fastmtl.datasets import Dataset, TaskKind, dataset_of
from fastmtl.errors import BudgetTooLarge
from fastmtl.methods import Scored
from fastmtl.plan import Json, StepSpec, TaskRef, Workspace, folders
from fastmtl.selectors import Pool, Scores, Selection
from fastmtl.steps import rank
from fastmtl.steps.leakage import SCHEMA as LEAKS
from fastmtl.telling import Standing

Mask = npt.NDArray[np.bool_]

ROWS_AT_ONCE = 65_536
TEXTS_AT_ONCE = 8_192
SCORES = pa.schema(
    [
        pa.field("dataset", pa.string()),
        pa.field("row", pa.int64()),
        pa.field("score", pa.float32()),
        pa.field("seen", pa.bool_()),
        pa.field("selected", pa.bool_()),
    ]
)
SUBSET = pa.schema(
    [
        pa.field("dataset", pa.string()),
        pa.field("row", pa.int64()),
        pa.field("rank", pa.int64()),
        pa.field("score", pa.float32()),
        pa.field("text_a", pa.string()),
        pa.field("text_b", pa.string()),
        pa.field("label", pa.string()),
    ]
)


def run(spec: StepSpec, workspace: Workspace) -> Json:
    """Leave out what is not eligible, select; a budget of null takes every eligible row."""
    params = spec.params
    auxiliary = [TaskRef(**each) for each in params["auxiliary"]]
    ranking, *inputs = folders(workspace, spec)
    found = pq.read_table(inputs.pop() / "leaks.parquet") if params["guarded"] else LEAKS.empty_table()
    leaked = [_leaked(found, task) for task in auxiliary]
    scored = rank.read(ranking, [task.digest for task in auxiliary])
    left_out = [
        leaks | each.seen if params["seen_rows"] == "exclude" else leaks
        for leaks, each in zip(leaked, scored, strict=True)
    ]
    eligible = [~mask for mask in left_out]
    budget = params["budget"] or max(1, sum(int(mask.sum()) for mask in eligible))
    _check_budget(budget, eligible, leaked)
    selector = selectors.get(params["selector"])
    pool = Pool(
        scores=_Eligible(scored, eligible),
        primary=TaskRef(**params["primary"]),
        auxiliary=auxiliary,
        datasets=workspace.datasets,
        inputs=inputs,
        seed=params["seed"],
        options=selector.Options(**params["options"]),
        progress=Standing(workspace.progress).beside("choosing"),
    )
    selection = selector.select(pool, budget)

    keys = [task.key for task in auxiliary]
    _write_selection(workspace.output / "selection.parquet", keys, selection)
    _write_scores(workspace.output / "scores.parquet", keys, scored, selection)
    _write_subset(workspace, auxiliary, selection)
    listed = _write_leaks(workspace.output / "leaks.parquet", found, [params["primary"], *params["auxiliary"]])
    result = {
        "digest": digest(keys, selection),
        "counts": _counts(keys, scored, leaked, eligible, selection),
        "primary_leaks": listed.count(params["primary"]["key"]),
        **({"cascade": cascade.counted(told, selection.scores)} if (told := cascade.read([ranking])) else {}),
    }
    (workspace.output / "counts.json").write_text(json.dumps(result, indent=1))
    return result


class _Eligible(Sequence[Scores]):
    """The scores of each dataset with NaN where a row is not eligible, made when they are asked for."""

    def __init__(self, scored: Sequence[Scored], eligible: Sequence[Mask]) -> None:
        self._scored = scored
        self._eligible = eligible

    def __len__(self) -> int:
        return len(self._scored)

    @overload
    def __getitem__(self, index: int) -> Scores: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[Scores]: ...

    def __getitem__(self, index: int | slice) -> Scores | Sequence[Scores]:
        if isinstance(index, slice):
            return _Eligible(self._scored[index], self._eligible[index])
        return np.where(self._eligible[index], self._scored[index].scores, np.float32(np.nan))


def digest(keys: Sequence[str], selection: Selection) -> str:
    """Return the SHA-256 of `KEY TAB ROW NEWLINE` of every chosen row in order of rank."""
    lines = hashlib.sha256()
    for dataset, row in zip(selection.datasets.tolist(), selection.rows.tolist(), strict=True):
        lines.update(f"{keys[dataset]}\t{row}\n".encode())
    return lines.hexdigest()


def _leaked(found: pa.Table, task: TaskRef) -> Mask:
    """Return which rows of a dataset are leaks, [n]."""
    mask = np.zeros(task.rows, dtype=np.bool_)
    mask[found["row"].to_numpy()[np.array(found["dataset"].to_pylist(), dtype=object) == task.digest]] = True
    return mask


def _check_budget(budget: int, eligible: Sequence[Mask], leaked: Sequence[Mask]) -> None:
    """Raise BudgetTooLarge where what the leak guard left is too little; all else was checked with the request."""
    pool = sum(int(mask.sum()) for mask in eligible)
    if budget > pool:
        rows, leaks = sum(len(mask) for mask in leaked), sum(int(mask.sum()) for mask in leaked)
        raise BudgetTooLarge(budget, pool, rows - pool - leaks, leaks)


def _counts(
    keys: Sequence[str],
    scored: Sequence[Scored],
    leaked: Sequence[Mask],
    eligible: Sequence[Mask],
    selection: Selection,
) -> Json:
    """Count by dataset; `random_share` is what a uniform draw from the eligible rows would give on average."""
    pool = sum(int(mask.sum()) for mask in eligible)
    chosen = np.bincount(selection.datasets, minlength=len(keys))
    return {
        key: {
            "rows": len(each.scores),
            "seen": int(each.seen.sum()),
            "leaked": int(leaks.sum()),
            "eligible": int(mask.sum()),
            "selected": int(count),
            "share": int(count) / len(selection.rows),
            "random_share": int(mask.sum()) / pool,
        }
        for key, each, leaks, mask, count in zip(keys, scored, leaked, eligible, chosen, strict=True)
    }


def _write_selection(path: Path, keys: Sequence[str], selection: Selection) -> None:
    table = pa.table(
        {
            "rank": np.arange(1, len(selection.rows) + 1),
            "dataset": np.array(keys, dtype=object)[selection.datasets],
            "row": selection.rows,
            "score": selection.scores,
        }
    )
    pq.write_table(table, path, compression="zstd")


def _write_scores(path: Path, keys: Sequence[str], scored: Sequence[Scored], selection: Selection) -> None:
    """Write every row of every dataset, some thousands at a time."""
    with pq.ParquetWriter(path, SCORES, compression="zstd") as writer:
        for index, (key, each) in enumerate(zip(keys, scored, strict=True)):
            selected = np.zeros(len(each.scores), dtype=np.bool_)
            selected[selection.rows[selection.datasets == index]] = True
            for start in range(0, len(selected), ROWS_AT_ONCE):
                rows = np.arange(start, min(start + ROWS_AT_ONCE, len(selected)))
                columns = [[key] * len(rows), rows, each.scores[rows], each.seen[rows], selected[rows]]
                writer.write_table(pa.table(columns, schema=SCORES))


def _write_leaks(path: Path, found: pa.Table, tasks: Sequence[Json]) -> list[str]:
    """Write the leaks under the keys of the job, in the order of its datasets; return the key of each."""
    parts = []
    for task in tasks:
        mine = found.filter(pc.field("dataset") == task["digest"])
        parts.append(mine.set_column(0, "dataset", pa.array([task["key"]] * mine.num_rows, pa.string())))
    table = pa.concat_tables(parts)
    pq.write_table(table, path, compression="zstd")
    keys: list[str] = table["dataset"].to_pylist()
    return keys


def _write_subset(workspace: Workspace, auxiliary: Sequence[TaskRef], selection: Selection) -> None:
    """Write the chosen rows with their texts and labels, dataset by dataset, rows rising."""
    with pq.ParquetWriter(workspace.output / "subset.parquet", SUBSET, compression="zstd") as writer:
        for index, task in enumerate(auxiliary):
            dataset = dataset_of(workspace, task.digest)
            for ranks in _pieces(selection, index):
                rows = selection.rows[ranks]
                text_a, text_b = dataset.texts(rows)
                columns = [[task.key] * len(rows), rows, ranks + 1, selection.scores[ranks]]
                columns += [text_a, text_b or [None] * len(rows), _labels(dataset, rows)]
                writer.write_table(pa.table(columns, schema=SUBSET))


def _pieces(selection: Selection, index: int) -> Iterator[npt.NDArray[np.int64]]:
    """Yield the ranks (from 0) of a dataset's chosen rows, in order of row, some thousands at a time."""
    ranks = np.flatnonzero(selection.datasets == index)
    ranks = ranks[np.argsort(selection.rows[ranks], kind="stable")]
    for start in range(0, len(ranks), TEXTS_AT_ONCE):
        yield ranks[start : start + TEXTS_AT_ONCE]


def _labels(dataset: Dataset, rows: npt.NDArray[np.int64]) -> list[str]:
    """Return labels as the user wrote them: class names, or numbers."""
    labels = dataset.labels(rows).tolist()
    return [str(x) for x in labels] if dataset.kind == TaskKind.REGRESSION else [dataset.classes[x] for x in labels]
