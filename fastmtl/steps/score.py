"""Score: how sure the discriminator is, of every row, that it belongs to each task (paper, section 3.3).

Reads   the TD-MTDNN of the `discriminator` step, and the rows of one shard
Writes  probabilities.npy  float32 [rows of the shard, T], in the order of the pieces; another primary is another column
        pieces.json        [[digest, start, stop], ...]: which rows those are
"""

from __future__ import annotations

import json

import numpy as np
import torch

from fastmtl import device, memory
from fastmtl.checkpoints import Checkpoints
from fastmtl.datasets import Dataset
from fastmtl.losses import DiscriminatorLoss, probabilities
from fastmtl.model import MODEL_FILE, load_model
from fastmtl.plan import Json, StepSpec, Workspace, folders
from fastmtl.scoring import score_rows
from fastmtl.telling import Standing
from fastmtl.tokens import counted, joined, read_span


def run(spec: StepSpec, workspace: Workspace) -> Json:
    """Score the shard's rows for all tasks."""
    (training,) = folders(workspace, spec)
    device.make_deterministic()
    machine = device.describe(workspace.device, spec.params["precision"])
    about = json.loads((training / "model" / MODEL_FILE).read_text())
    max_length = about["encoder"]["max_length"]
    model, tokenizer = load_model(training / "model", max_length)
    told = Standing(workspace.progress)
    memory.check_inference(model.encoder, max(machine.tokens_at_once, max_length), machine.free_bytes)
    reading = told.beside("reading")
    parts = [
        (digest, read_span(Dataset.open(workspace.datasets[digest]), start, stop, tokenizer, max_length, reading))
        for digest, start, stop in spec.params["pieces"]
    ]
    tokens = joined([part for _, part in parts])

    kind: DiscriminatorLoss = "bce" if spec.params["read_as"] == "sigmoid" else about["discriminator_loss"]

    def read(features: torch.Tensor) -> torch.Tensor:
        return probabilities(kind, model.discriminate(features))  # [B, T]

    checkpoints = Checkpoints.of(spec, workspace, machine, [model])
    scores = score_rows(model, tokens, read, machine, told, checkpoints)  # [rows of the shard, T]
    np.save(workspace.output / "probabilities.npy", scores)
    (workspace.output / "pieces.json").write_text(json.dumps(spec.params["pieces"]))
    read_texts = counted(about["encoder"], parts)
    return {"rows": len(scores), "device": machine.name, "precision": machine.precision, "read": read_texts}
