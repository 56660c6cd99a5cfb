"""Gradients: what each row of a shard would change in the adapters, as one direction in D dimensions.

Reads   the `warm_up` step's network, and either the rows that the plan names or a part of the `slice` step's
Writes  gradients.npy  float32 [rows of the shard, D], each of length 1 (0 for a row without a gradient)
        rows.npy       int64 [rows of the shard]: their numbers in their datasets
        pieces.json    [[digest, rows], ...]: how many of them, in this order, are which dataset's

float32, not float16: half the bytes would reorder rows whose cosines differ by less than 1e-4.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from fastmtl import device, memory
from fastmtl.adapters import ABOUT_FILE, GRADIENT_TOKENS, Adapted, Projection, load_adapted, unit_gradients
from fastmtl.batches import TaskRows
from fastmtl.checkpoints import Checkpoints
from fastmtl.datasets import Dataset, dataset_of
from fastmtl.examples import read_task
from fastmtl.methods.gradient import GRADIENTS_FILE
from fastmtl.plan import Json, Progress, StepSpec, Workspace, folders
from fastmtl.steps import slice as sliced
from fastmtl.telling import Standing
from fastmtl.tokens import Rows, counted


def run(spec: StepSpec, workspace: Workspace) -> Json:
    """Compute the projected gradient of every row of the shard."""
    params = spec.params
    training, *others = folders(workspace, spec)
    device.make_deterministic()
    machine = device.describe(workspace.device, params["precision"])
    adapted = load_adapted(training)
    memory.check(
        memory.training_bytes(adapted.model.encoder, max(1, GRADIENT_TOKENS // adapted.max_length), adapted.max_length),
        machine.free_bytes,
        f"Make config.encoder.max_length ({adapted.max_length}) smaller, or use a smaller encoder.",
    )
    pieces = _pieces(params, others)
    told = Standing(workspace.progress)
    sources = [
        _read(adapted, digest, rows, dataset_of(workspace, digest), told.beside("reading")) for digest, rows in pieces
    ]
    projection = Projection(
        [adapter.size for adapter in adapted.adapters], params["dimensions"], params["seed"], machine.device
    )
    checkpoints = Checkpoints.of(spec, workspace, machine, [adapted.model])
    gradients = unit_gradients(adapted, sources, projection, machine, told, checkpoints)  # [rows of the shard, D]
    np.save(workspace.output / GRADIENTS_FILE, gradients)
    np.save(workspace.output / "rows.npy", np.concatenate([rows for _, rows in pieces]))
    (workspace.output / "pieces.json").write_text(json.dumps([[digest, len(rows)] for digest, rows in pieces]))
    encoder: Json = json.loads((training / ABOUT_FILE).read_text())["encoder"]
    read = counted(encoder, zip((digest for digest, _ in pieces), (source.tokens for source in sources), strict=True))
    return {"rows": len(gradients), "device": machine.name, "precision": machine.precision, "read": read}


def _pieces(params: Json, others: Sequence[Path]) -> list[tuple[str, Rows]]:
    """Return the rows of the shard by dataset, none of them without rows."""
    if "slice" not in params:
        return [(digest, np.arange(start, stop)) for digest, start, stop in params["pieces"]]
    (folder,) = others
    return sliced.part(folder, *params["slice"])


def _read(adapted: Adapted, digest: str, rows: Rows, dataset: Dataset, progress: Progress) -> TaskRows:
    """Read rows of a dataset with their labels."""
    index = [task.digest for task in adapted.model.tasks].index(digest)
    task = adapted.model.tasks[index]
    return read_task(index, task, dataset, rows, adapted.tokenizer, adapted.max_length, progress)
