"""TO-MTDNN: a fresh encoder trained on the primary and the chosen rows (paper, section 3.4).

Reads   the primary, the auxiliaries and the selection; an arm without auxiliary rows reads the primary alone and draws
        `extra_rows` more of its rows in every epoch, so that every arm sees as many
Writes  model/          the network; its first task is the primary
        history.json    the loss of every epoch
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict

import numpy as np
import pyarrow.parquet as pq

from fastmtl import device, memory
from fastmtl.config import TrainingConfig
from fastmtl.datasets import Dataset
from fastmtl.encoders import resolve
from fastmtl.evaluation import split
from fastmtl.examples import describe_task, read_task
from fastmtl.model import MtDnn, load_checkpoint, save_model
from fastmtl.plan import Json, StepSpec, Workspace, folders
from fastmtl.tokens import Rows
from fastmtl.training import batch_task_loss, train


def run(spec: StepSpec, workspace: Workspace) -> Json:
    """Train MT-DNN on the primary's training rows and the chosen ones."""
    params = spec.params
    config = TrainingConfig(**params["training"])
    device.make_deterministic()
    machine = device.describe(workspace.device, params["precision"])
    encoder = params["encoder"]
    checkpoint = load_checkpoint(resolve(encoder["location"]), encoder["pooling"], encoder["max_length"])
    memory.check_training(checkpoint.encoder, config, encoder["max_length"], machine.free_bytes, "target")

    parts = _training_rows(spec, workspace)
    datasets = [Dataset.open(workspace.datasets[digest]) for digest, _ in parts]
    tasks = [describe_task(digest, dataset, rows) for (digest, rows), dataset in zip(parts, datasets, strict=True)]
    extra = [0 if params["auxiliary"] else params["extra_rows"], *(0 for _ in parts[1:])]
    sources = [
        read_task(index, tasks[index], datasets[index], rows, checkpoint.tokenizer, checkpoint.max_length, extra[index])
        for index, (_, rows) in enumerate(parts)
    ]
    model = MtDnn(checkpoint.encoder, checkpoint.pooling, tasks, discriminator=False)
    model.initialise_heads(params["seed"])
    history = train(model, sources, config, batch_task_loss, machine, params["seed"], workspace.progress)

    save_model(
        model, checkpoint.tokenizer, workspace.output / "model", {"encoder": encoder, "machine": asdict(machine)}
    )
    (workspace.output / "history.json").write_text(json.dumps(asdict(history)))
    return {"losses": history.losses, "rows": history.rows, "steps": history.steps}


def _training_rows(spec: StepSpec, workspace: Workspace) -> Sequence[tuple[str, Rows]]:
    """Return (digest, rows) of the primary, then of every auxiliary with a chosen row."""
    params = spec.params
    digest = params["primary"]["digest"]
    rows = Dataset.open(workspace.datasets[digest]).rows
    own = split(rows, params["holdout_share"], params["choice_share"], params["seed"]).train
    parts = [(digest, own)]
    if not params["auxiliary"]:
        return parts
    (chosen,) = folders(workspace, spec)
    table = pq.read_table(chosen / "selection.parquet", columns=["dataset", "row"])
    names = np.array(table["dataset"].to_pylist())
    numbers = table["row"].to_numpy()
    for auxiliary in params["auxiliary"]:
        mine = np.sort(numbers[names == auxiliary["key"]])
        if len(mine):
            parts.append((auxiliary["digest"], mine))
    return parts
