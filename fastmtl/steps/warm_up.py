"""Warm-up: MT-DNN on a frozen encoder with low-rank adapters, trained briefly on a few rows of every task.

A gradient says something of a row only where the heads say something of the task (Xia et al. 2024, section 3).

Reads   all datasets of the job, in the order of their digests: none of them is special yet.
Writes  adapters.safetensors, adapters.json    the adapters and heads (see `fastmtl.adapters.save_adapted`)
        tasks.json                             the digests in the order of the heads
        seen-{i}.npy                           int64: the rows of task i that it was trained on, rising
        history.json                           the loss of every epoch
"""

from __future__ import annotations

import json
from dataclasses import asdict
from functools import partial

from fastmtl import device, memory
from fastmtl.adapters import adapt, save_adapted
from fastmtl.checkpoints import Checkpoints
from fastmtl.config import TrainingConfig
from fastmtl.datasets import dataset_of
from fastmtl.encoders import resolve
from fastmtl.examples import draw_tasks, write_drawn
from fastmtl.model import MtDnn, load_checkpoint
from fastmtl.plan import Json, StepSpec, Workspace
from fastmtl.telling import Standing
from fastmtl.tokens import counted
from fastmtl.training import batch_task_loss, train


def run(spec: StepSpec, workspace: Workspace) -> Json:
    """Train adapters and heads on min(rows_per_task, n) rows of each task."""
    params = spec.params
    config = TrainingConfig(**params["training"])
    device.make_deterministic()
    machine = device.describe(workspace.device, params["precision"])
    encoder = params["encoder"]
    told = Standing(workspace.progress)
    location = resolve(encoder["location"], told.beside("fetching the encoder"))
    checkpoint = load_checkpoint(location, encoder["pooling"], encoder["max_length"])
    memory.check_training(checkpoint.encoder, config, encoder["max_length"], machine.free_bytes, "discriminator")

    drawn = draw_tasks(
        spec.datasets,
        partial(dataset_of, workspace),
        params["rows_per_task"],
        params["seed"],
        checkpoint,
        told.beside("reading"),
    )
    adapt(checkpoint.encoder, params["seed"])
    model = MtDnn(checkpoint.encoder, checkpoint.pooling, drawn.tasks, discriminator=False)
    model.initialise_heads(params["seed"])
    checkpoints = Checkpoints.of(spec, workspace, machine, [model])
    history = train(
        model, drawn.sources, config, batch_task_loss, machine, params["seed"], told, checkpoints=checkpoints
    )

    save_adapted(model, encoder, workspace.output)
    write_drawn(workspace.output, spec.datasets, drawn.rows)
    (workspace.output / "history.json").write_text(json.dumps(asdict(history)))
    read = counted(encoder, zip(spec.datasets, (source.tokens for source in drawn.sources), strict=True))
    return {"losses": history.losses, "device": machine.name, "precision": machine.precision, "read": read}
