"""TD-MTDNN: train MT-DNN together with the task discriminator on a few rows of every task (paper, section 3.2).

Reads   all datasets of the job, in the order of their digests: none of them is special yet.
Writes  model/            the network (see `fastmtl.model.save_model`), heads and discriminator included
        tasks.json        the digests in the order of the discriminator's outputs
        seen-{i}.npy      int64: the rows of task i that it was trained on, rising
        history.json      the loss of every epoch
"""

from __future__ import annotations

import json
from dataclasses import asdict
from functools import partial

import torch

from fastmtl import device, memory
from fastmtl.batches import Batch
from fastmtl.checkpoints import Checkpoints
from fastmtl.config import DiscriminatorConfig
from fastmtl.datasets import dataset_of
from fastmtl.encoders import resolve
from fastmtl.examples import draw_tasks, write_drawn
from fastmtl.losses import discriminator_loss, positive_weights
from fastmtl.model import MtDnn, load_checkpoint, save_model
from fastmtl.plan import Json, StepSpec, Workspace
from fastmtl.telling import Standing
from fastmtl.tokens import counted
from fastmtl.training import batch_task_loss, train


def run(spec: StepSpec, workspace: Workspace) -> Json:
    """Train on min(rows_per_task, n) rows of each task; loss = task loss + discriminator loss."""
    params = spec.params
    config = DiscriminatorConfig(**params["discriminator"])
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
        config.rows_per_task,
        params["seed"],
        checkpoint,
        told.beside("reading"),
    )
    model = MtDnn(checkpoint.encoder, checkpoint.pooling, drawn.tasks, discriminator=True)
    model.initialise_heads(params["seed"])
    positive = positive_weights([len(rows) for rows in drawn.rows]).to(machine.device)  # [T]

    def loss_of(model: MtDnn, features: torch.Tensor, batch: Batch) -> torch.Tensor:
        logits = model.discriminate(features)  # [B, T]
        told_apart = discriminator_loss(config.loss, logits, batch.source.task, positive)
        return batch_task_loss(model, features, batch) + told_apart

    checkpoints = Checkpoints.of(spec, workspace, machine, [model])
    history = train(model, drawn.sources, config, loss_of, machine, params["seed"], told, checkpoints=checkpoints)

    about = {"encoder": encoder, "discriminator_loss": config.loss, "machine": asdict(machine)}
    save_model(model, checkpoint.tokenizer, workspace.output / "model", about)
    write_drawn(workspace.output, spec.datasets, drawn.rows)
    (workspace.output / "history.json").write_text(json.dumps(asdict(history)))
    read = counted(encoder, zip(spec.datasets, (source.tokens for source in drawn.sources), strict=True))
    return {"losses": history.losses, "device": machine.name, "precision": machine.precision, "read": read}
