"""What the benchmarks of speed share: rows to work on, the machine's own rate, and how a result is told.

A figure is a ratio between two things measured in turn in one process, so that what else the machine does weighs on
both; its spread is that of the turns.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import psutil
import pyarrow.parquet as pq
import torch

from fastmtl.device import describe
from fastmtl.tokens import Tokens

TASKS = ("rte", "mrpc", "stsb", "cola", "sst2", "mnli", "qqp", "qnli")
RESULTS = Path(__file__).parent.parent / "results"


class Texts(NamedTuple):
    """Rows of one task."""

    task: str
    text_a: list[str]
    text_b: list[str] | None
    labels: list[str | float]

    def __len__(self) -> int:
        return len(self.text_a)


def read(data: Path, task: str, rows: int | None, seed: int = 0, part: str = "train") -> Texts:
    """Read random rows of a part of a task, all where it has no more."""
    table = pq.read_table(data / task / f"{part}.parquet", columns=["text_a", "text_b", "label"])
    if rows is not None and rows < table.num_rows:
        table = table.take(np.sort(np.random.default_rng(seed).permutation(table.num_rows)[:rows]))
    second = table["text_b"].to_pylist()
    return Texts(task, table["text_a"].to_pylist(), None if None in second else second, table["label"].to_pylist())


def some(texts: Texts, count: int) -> Texts:
    """Return random rows of a task."""
    return rows(texts, np.sort(np.random.default_rng(0).permutation(len(texts))[:count]))


def rows(texts: Texts, kept: npt.NDArray[np.int64]) -> Texts:
    """Return some rows of a task."""
    return Texts(
        texts.task,
        [texts.text_a[row] for row in kept],
        [texts.text_b[row] for row in kept] if texts.text_b else None,
        [texts.labels[row] for row in kept],
    )


def in_proportion(data: Path, rows: int) -> list[Texts]:
    """Read about `rows` rows of all eight tasks together, of each in proportion to its size."""
    sizes = [pq.read_metadata(data / task / "train.parquet").num_rows for task in TASKS]
    return [read(data, task, round(rows * size / sum(sizes))) for task, size in zip(TASKS, sizes, strict=True)]


def matmul_rate(device: str, dtype: torch.dtype, size: int = 2_048, repeats: int = 20) -> float:
    """Return the best GFLOP/s of [size, 384] x [384, 1536], on a GPU of [16 size, 768] x [768, 3072]."""
    shape = (size, 384, 1_536) if device == "cpu" else (16 * size, 768, 3_072)
    left, right = (torch.randn(pair, dtype=dtype, device=device) for pair in (shape[:2], shape[1:]))
    took = []
    with torch.inference_mode():
        for _ in range(repeats + 2):
            began = time.perf_counter()
            for _ in range(10):
                left @ right
            if device != "cpu":
                torch.cuda.synchronize()
            took.append((time.perf_counter() - began) / 10)
    return 2 * shape[0] * shape[1] * shape[2] / min(took[2:]) / 1e9


def encoder_flops(encoder: torch.nn.Module, tokens: Tokens | int) -> float:
    """Return the counted arithmetic of reading real tokens: 2 a weight and token, embeddings and attention left out."""
    layers = [(name, layer) for name, layer in encoder.named_modules() if isinstance(layer, torch.nn.Linear)]
    weights = sum(layer.weight.numel() for name, layer in layers if not name.startswith("pooler"))
    return 2.0 * weights * (tokens if isinstance(tokens, int) else len(tokens.ids))


def seconds(act: Callable[[], object]) -> float:
    """Return how long something takes."""
    began = time.perf_counter()
    act()
    return time.perf_counter() - began


def in_turn(acts: dict[str, Callable[[], object]], turns: int) -> dict[str, list[float]]:
    """Return the seconds of each act, done `turns` times in turn: what the machine does besides weighs on all."""
    took: dict[str, list[float]] = {name: [] for name in acts}
    for _ in range(turns):
        for name, act in acts.items():
            took[name].append(seconds(act))
    return took


def spread(values: Sequence[float], digits: int = 2) -> dict[str, float]:
    """Return median, lowest and highest."""
    return {
        "median": round(statistics.median(values), digits),
        "low": round(min(values), digits),
        "high": round(max(values), digits),
    }


def machine(device: str = "cpu") -> dict[str, object]:
    """Describe what a result was measured on."""
    found = describe(device, "auto")
    return {
        "device": found.name,
        "precision": found.precision,
        "cores": os.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30),
        "torch": torch.__version__,
        "load_at_start": round(psutil.getloadavg()[0], 2),
    }


def write(name: str, result: dict[str, object], folder: Path = RESULTS) -> None:
    """Print a result and keep it as NAME.json."""
    text = json.dumps(result, indent=1)
    print(text)
    (folder / f"{name}.json").write_text(text + "\n")


def parser(doc: str | None) -> argparse.ArgumentParser:
    """Return a parser with what every benchmark takes."""
    made = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--turns", type=int, default=3, help="how often each side is measured")
    made.add_argument("--results", type=Path, default=RESULTS, help="folder for the result")
    return made
