"""The leak guard on real rows: which planted leaks it finds, how often it speaks of others, what it finds unplanted.

Of each GLUE validation set 200 rows are planted, changed in one of several ways, among 3,000 training rows of another
task. Caught is the share of planted rows that are found at their own row; a false alarm is an unplanted row that is
reported although it overlaps with no held-out row by the guard's own measure, compared with every one of them.

    python benchmarks/leaks.py --data GLUE

GLUE is a folder with TASK/{train,validation}.parquet. Prints one line of JSON a task, then the natural leaks.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from fastmtl.leakage import NEAR, LeakGuard, Row, normalise, similarity

TASKS = ("rte", "mrpc", "stsb", "cola", "sst2", "qnli")
NATURAL = (("mrpc", "stsb"), ("stsb", "mrpc"), ("cola", "cola"))
PLANTED, OTHERS = 200, 3_000
LONG = 60
"""Characters from which one wrong letter leaves four fifths of the shingles."""

Change = Callable[[Row, np.random.Generator], Row]


def capitals(row: Row, _: np.random.Generator) -> Row:
    """SHOUT, and end with a mark."""
    return row[0].upper() + "!", row[1] and row[1].upper()


def turned(row: Row, _: np.random.Generator) -> Row:
    """Turn a pair round."""
    return (row[1], row[0]) if row[1] is not None else row


def spaced(row: Row, _: np.random.Generator) -> Row:
    """Put commas and double spaces between words."""
    return row[0].replace(" ", ",  "), row[1] and row[1].replace(" ", " ,")


def mistyped(row: Row, generator: np.random.Generator) -> Row:
    """Change one letter of the first text."""
    place = int(generator.integers(0, len(row[0])))
    return row[0][:place] + "q" + row[0][place + 1 :], row[1]


CHANGES: dict[str, Change] = {each.__name__: each for each in (capitals, turned, spaced, mistyped)}


def rows_of(path: Path, count: int | None = None, seed: int = 0) -> list[Row]:
    """Return all rows, or so many drawn ones."""
    table = pq.read_table(path, columns=["text_a", "text_b"])
    if count is not None:
        table = table.take(np.random.default_rng(seed).permutation(table.num_rows)[:count])
    return list(zip(table["text_a"].to_pylist(), table["text_b"].to_pylist(), strict=True))


def measure(data: Path, task: str, seed: int) -> dict[str, object]:
    """Plant, search, count."""
    generator = np.random.default_rng(seed)
    held = rows_of(data / task / "validation.parquet")
    host = TASKS[(TASKS.index(task) + 1) % len(TASKS)]
    others = rows_of(data / host / "train.parquet", OTHERS, seed)
    drawn = generator.permutation(len(held))[:PLANTED].tolist()
    began = time.monotonic()
    guard = LeakGuard(held, near=True)
    caught = {}
    for name, change in CHANGES.items():
        found = guard.find([change(held[row], generator) for row in drawn])
        right = [
            leak is not None and _same(held[leak.held_row], held[row]) for leak, row in zip(found, drawn, strict=True)
        ]
        caught[name] = sum(right) / len(right)
        if name == "mistyped":
            long = [each for each, row in zip(right, drawn, strict=True) if len(held[row][0]) >= LONG]
            caught["mistyped, 60 characters or more"] = sum(long) / len(long) if long else None
    reported = [row for row, leak in zip(others, guard.find(others), strict=True) if leak]
    seconds = time.monotonic() - began
    keys = [normalise(row) for row in held]
    false = sum(max(similarity(normalise(row), key) for key in keys) < NEAR for row in reported)
    return {
        "held": task,
        "rows": len(held),
        "host": host,
        "planted": len(drawn),
        "caught": caught,
        "unplanted": len(others),
        "reported": len(reported),
        "false_alarms": false,
        "seed": seed,
        "seconds": round(seconds, 1),
    }


def natural(data: Path, held: str, host: str) -> dict[str, object]:
    """Count the held-out rows of one task that stand in the training rows of another, exactly and nearly."""
    rows, others = rows_of(data / held / "validation.parquet"), rows_of(data / host / "train.parquet")
    leaks = [leak for leak in LeakGuard(rows, near=True).find(others) if leak]
    there = {normalise(row) for row in others}
    exact = sum(normalise(row) in there for row in rows)
    return {"held": held, "host": host, "held_rows_found_exactly": exact, "training_rows_kept_out": len(leaks)}


def _same(one: Row, other: Row) -> bool:
    return normalise(one) == normalise(other)


def main() -> None:
    """Measure all tasks and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    for task in TASKS:
        print(json.dumps(measure(given.data, task, given.seed)), flush=True)
    for held, host in NATURAL:
        print(json.dumps(natural(given.data, held, host)), flush=True)


if __name__ == "__main__":
    main()
