"""What trained networks say: TD-MTDNN's features of a few rows of each task, and predictions of rows without labels.

Letters: n rows · H hidden width.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from transformers import PreTrainedTokenizerBase
from transformers.utils import logging

from fastmtl.config import Precision
from fastmtl.datasets import Dataset, TaskKind
from fastmtl.device import Machine, choose_device, describe, make_deterministic
from fastmtl.evaluation import predictions
from fastmtl.methods import draw_rows
from fastmtl.model import MODEL_FILE, MtDnn, load_model
from fastmtl.reading import read_tokens
from fastmtl.reproduce.runs import Space
from fastmtl.scoring import predict, score_rows
from fastmtl.steps.finetune import PRIMARY
from fastmtl.tokens import joined, tokenize


@dataclass(frozen=True)
class Features:
    """Rows of several tasks as TD-MTDNN sees them."""

    vectors: npt.NDArray[np.float32]
    """[n, H]"""
    tasks: tuple[str, ...]
    """Whose row each is, [n]."""


def task_features(space: Space, seed: int) -> Features:
    """Return the features of min(rows_per_task, its rows) rows of each task, drawn by seed."""
    machine = _machine(space.device, space.precision)
    model, tokenizer, max_length = _load(space.folder)
    drawn = {key: draw_rows(each.digest, each.rows, space.rows_per_task, seed) for key, each in space.tasks.items()}
    tokens = joined(
        [read_tokens(Dataset.open(space.tasks[name].path), rows, tokenizer, max_length) for name, rows in drawn.items()]
    )
    vectors = score_rows(model, tokens, lambda features: features, machine)
    return Features(vectors, tuple(name for name, rows in drawn.items() for _ in rows))


def predict_texts(
    folder: Path, text_a: Sequence[str], text_b: Sequence[str] | None, device: str, precision: Precision
) -> list[str] | list[float]:
    """Return what a fine-tuned primary model says of each row: the names of classes, or values in the labels' units."""
    machine = _machine(device, precision)
    model, tokenizer, max_length = _load(folder)
    task = model.tasks[PRIMARY]
    found = predictions(task.kind, predict(model, tokenize(tokenizer, text_a, text_b, max_length), PRIMARY, machine))
    if task.kind == TaskKind.REGRESSION:
        return [float(value) * task.std + task.mean for value in found]
    return [task.classes[int(index)] for index in found]


def silence_loading() -> None:
    """Let transformers draw no bar for every model that it loads: a grid loads hundreds."""
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]


def _machine(device: str, precision: Precision) -> Machine:
    make_deterministic()
    return describe(choose_device(device), precision)


def _load(folder: Path) -> tuple[MtDnn, PreTrainedTokenizerBase, int]:
    """Load a step's model, and how many tokens it was trained with."""
    max_length = int(json.loads((folder / "model" / MODEL_FILE).read_text())["encoder"]["max_length"])
    return (*load_model(folder / "model", max_length), max_length)
