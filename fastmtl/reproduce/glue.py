"""GLUE as a folder: where each task's files stand, what their columns are called, and its rows in canonical form.

    FOLDER/TASK/{train,validation,test}.parquet, or the hub's own shards, train-00000-of-00001.parquet

Columns are text_a, text_b, label or GLUE's own (sentence1 and sentence2, question and sentence, ...). Torch-free.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from fastmtl.arms import Tasks
from fastmtl.canonical import convert
from fastmtl.columns import Columns, resolve
from fastmtl.datasets import TaskKind
from fastmtl.errors import FastMTLError, InvalidDataset, Problem
from fastmtl.local import check_validation
from fastmtl.plan import TaskRef


@dataclass(frozen=True)
class GlueTask:
    """What is known of a task of GLUE before its files are opened."""

    name: str
    train_rows: int
    """As GLUE has it, to tell where a folder holds a part."""
    validation_rows: int
    pair: bool = True
    kind: TaskKind = TaskKind.CLASSIFICATION


TASKS: Mapping[str, GlueTask] = {
    "rte": GlueTask("RTE", 2_490, 277),
    "mrpc": GlueTask("MRPC", 3_668, 408),
    "stsb": GlueTask("STS-B", 5_749, 1_500, kind=TaskKind.REGRESSION),
    "cola": GlueTask("CoLA", 8_551, 1_043, pair=False),
    "sst2": GlueTask("SST-2", 67_349, 872, pair=False),
    "mnli": GlueTask("MNLI", 392_702, 9_815),
    "qqp": GlueTask("QQP", 363_846, 40_430),
    "qnli": GlueTask("QNLI", 104_743, 5_463),
}
PRIMARIES = ("rte", "mrpc", "stsb")
"""The tasks that the protocol chooses rows for: GLUE's small ones."""
OTHER_NAMES = {("mnli", "validation"): ("validation_matched",), ("mnli", "test"): ("test_matched",)}
SAMPLE_SEED = 0


@dataclass(frozen=True)
class Prepared:
    """One file of a task in canonical form."""

    path: Path
    digest: str
    rows: int
    glue_rows: int
    """Rows that GLUE has."""
    empty: int
    """Rows that were left out because a text of theirs is empty."""


@dataclass(frozen=True)
class Glue:
    """All tasks, prepared; every job of the protocol is made of these."""

    train: Mapping[str, Prepared]
    validation: Mapping[str, Prepared]
    """Of the primaries."""

    @property
    def datasets(self) -> dict[str, Path]:
        """Canonical files by digest."""
        return {each.digest: each.path for each in (*self.train.values(), *self.validation.values())}

    def tasks(self, primary: str) -> Tasks:
        """Return the datasets of a job for one primary: every other task is an auxiliary."""
        refs = {name: TaskRef(name, each.digest, each.rows) for name, each in self.train.items()}
        held = self.validation[primary]
        auxiliary = tuple(ref for name, ref in refs.items() if name != primary)
        return Tasks(refs[primary], auxiliary, TaskRef(f"{primary} validation", held.digest, held.rows))

    def sizes(self) -> list[str]:
        """Return how many training rows were used of each task: `RTE (2,490)`, `MNLI (25,475 of 392,702)`."""
        return [_size(TASKS[name].name, each) for name, each in self.train.items()]

    def measured_on(self) -> list[str]:
        """Return how many validation rows each primary was measured on, in the same form."""
        return [_size(TASKS[name].name, each) for name, each in self.validation.items()]


def prepare(folder: Path, target: Path, primaries: Sequence[str], max_rows: int) -> Glue:
    """Write the canonical files of all tasks into `target`.

    Of a task that is not among the primaries at most `max_rows` training rows are taken, drawn with a fixed seed; 0
    takes all. The primaries stay whole, so that the jobs of all of them share one set of files. Raises InvalidDataset
    naming the file that is missing or wrong; all are looked for before any is read.
    """
    train = {name: locate(folder, name, "train") for name in TASKS}
    validation = {name: locate(folder, name, "validation") for name in primaries}
    target.mkdir(parents=True, exist_ok=True)
    glue = Glue(
        train={
            name: _prepare(name, paths, target / f"{name}.parquet", 0 if name in primaries else max_rows, "train")
            for name, paths in train.items()
        },
        validation={
            name: _prepare(name, paths, target / f"{name}-validation.parquet", 0, "validation")
            for name, paths in validation.items()
        },
    )
    for name, held in glue.validation.items():
        check_validation(glue.train[name].path, held.path)
    return glue


def locate(folder: Path, task: str, part: str) -> list[Path]:
    """Return the files of a task's part, in their order. Raises InvalidDataset naming what is missing."""
    names = (part, *OTHER_NAMES.get((task, part), ()))
    for name in names:
        plain = folder / task / f"{name}.parquet"
        if plain.is_file():
            return [plain]
        if shards := sorted((folder / task).glob(f"{name}-*-of-*.parquet")):
            _check_shards(shards)
            return shards
    raise InvalidDataset(
        [
            Problem(
                f"{folder / task / part}.parquet is not there: a folder of GLUE holds TASK/train.parquet of "
                f"{', '.join(TASKS)}, and TASK/validation.parquet of the primaries"
            )
        ]
    )


def read(task: str, paths: Sequence[Path], *, labelled: bool = True) -> pa.Table:
    """Return the columns text_a, text_b (of a pair), label (where `labelled`) and idx (where there is one)."""
    return pa.concat_tables([_read_one(task, path, labelled) for path in paths], promote_options="permissive")


def _size(name: str, prepared: Prepared) -> str:
    whole = prepared.rows == prepared.glue_rows
    return f"{name} ({prepared.rows:,})" if whole else f"{name} ({prepared.rows:,} of {prepared.glue_rows:,})"


def _check_shards(shards: Sequence[Path]) -> None:
    """Refuse a part of which a shard is missing."""
    promised = shards[0].stem.rpartition("-of-")[2]
    if promised.isdigit() and int(promised) != len(shards):
        told = f"{shards[0]} is one of {int(promised)} shards, and {len(shards)} are there: all are needed"
        raise InvalidDataset([Problem(told)])


def _read_one(task: str, path: Path, labelled: bool) -> pa.Table:
    try:
        table = pq.read_table(path)
        found = resolve(Columns(), table.column_names if labelled else [*table.column_names, "label"])
    except InvalidDataset as error:
        raise InvalidDataset([Problem(f"{path}: {problem}") for problem in error.problems]) from error
    except pa.ArrowException as error:
        raise InvalidDataset([Problem(f"{path} is not a Parquet file that can be read: {error}")]) from error
    if TASKS[task].pair and found.text_b is None:
        told = f"{path}: {TASKS[task].name} holds pairs of texts, and only one text column is there: {found.text_a!r}"
        raise InvalidDataset([Problem(told)])
    wanted = {"text_a": found.text_a, "label": found.label if labelled else None}
    wanted |= {"text_b": found.text_b} if TASKS[task].pair else {}
    wanted |= {"idx": "idx"} if "idx" in table.column_names else {}
    return pa.table({name: table[column] for name, column in wanted.items() if column is not None})


def _prepare(task: str, paths: Sequence[Path], target: Path, max_rows: int, part: str) -> Prepared:
    """Read, leave out rows with an empty text, draw, and write the canonical file."""
    known = TASKS[task]
    table = read(task, paths)
    filled = _filled(table)
    rows = np.flatnonzero(filled)
    if max_rows and len(rows) > max_rows:
        drawn = np.random.default_rng([SAMPLE_SEED, list(TASKS).index(task)]).permutation(len(rows))[:max_rows]
        rows = rows[np.sort(drawn)]
    columns = ["text_a", *(["text_b"] if known.pair else []), "label"]
    with tempfile.TemporaryDirectory(prefix=".reading-", dir=target.parent) as scratch:
        plain = Path(scratch) / "plain.parquet"
        pq.write_table(table.select(columns).take(pa.array(rows)), plain)
        try:
            summary = convert(plain, target, kind=known.kind)
        except FastMTLError as error:
            raise InvalidDataset([Problem(f"{paths[0]}: {error}")]) from error
    glue_rows = known.train_rows if part == "train" else known.validation_rows
    return Prepared(target, summary.digest, summary.rows, glue_rows, int((~filled).sum()))


def _filled(table: pa.Table) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Return which rows have text in every text column, [n]; GLUE's QQP has some that do not."""
    filled = np.ones(table.num_rows, dtype=np.bool_)
    for name in ("text_a", "text_b"):
        if name in table.column_names:
            trimmed = pc.utf8_trim_whitespace(table[name].cast(pa.string()))
            filled &= pc.fill_null(pc.greater(pc.utf8_length(trimmed), 0), False).to_numpy()
    return filled
