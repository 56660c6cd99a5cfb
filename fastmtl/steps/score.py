"""Score: how sure the discriminator is, of every row, that it belongs to each task (paper, section 3.3).

Reads   the TD-MTDNN of the `discriminator` step, and the rows of one shard
Writes  probabilities.npy  float32 [rows of the shard, T], in the order of the pieces; another primary is another column
        pieces.json        [[digest, start, stop], ...]: which rows those are
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from transformers import PreTrainedTokenizerBase

from fastmtl import device, memory
from fastmtl.checkpoints import Checkpoints
from fastmtl.datasets import dataset_of
from fastmtl.device import Machine
from fastmtl.losses import DiscriminatorLoss, probabilities
from fastmtl.model import MODEL_FILE, MtDnn, load_model
from fastmtl.plan import Json, Progress, StepSpec, Workspace, folders
from fastmtl.reading import read_span
from fastmtl.scoring import score_rows
from fastmtl.telling import Standing
from fastmtl.tokens import Tokens, counted, joined


class Reader(NamedTuple):
    """A trained TD-MTDNN on the machine that it scores on, and how its discriminator is read."""

    model: MtDnn
    tokenizer: PreTrainedTokenizerBase
    encoder: Json
    """As `encoders.describe` says it."""
    kind: DiscriminatorLoss
    machine: Machine

    def probabilities(self, tokens: Tokens, progress: Progress, checkpoints: Checkpoints) -> npt.NDArray[np.float32]:
        """Return how sure it is of every task, [rows, T]."""

        def read(features: torch.Tensor) -> torch.Tensor:
            return probabilities(self.kind, self.model.discriminate(features))  # [B, T]

        return score_rows(self.model, tokens, read, self.machine, progress, checkpoints)


def reader(spec: StepSpec, workspace: Workspace, training: Path) -> Reader:
    """Load what the `discriminator` step left; raises NotEnoughMemory where it could not score."""
    device.make_deterministic()
    machine = device.describe(workspace.device, spec.params["precision"])
    about = json.loads((training / "model" / MODEL_FILE).read_text())
    max_length = about["encoder"]["max_length"]
    model, tokenizer = load_model(training / "model", max_length)
    memory.check_inference(model.encoder, max_length, machine)
    kind: DiscriminatorLoss = "bce" if spec.params["read_as"] == "sigmoid" else about["discriminator_loss"]
    return Reader(model, tokenizer, about["encoder"], kind, machine)


def run(spec: StepSpec, workspace: Workspace) -> Json:
    """Score the shard's rows for all tasks."""
    (training,) = folders(workspace, spec)
    found = reader(spec, workspace, training)
    told = Standing(workspace.progress)
    reading, max_length = told.beside("reading"), found.encoder["max_length"]
    parts = [
        (digest, read_span(dataset_of(workspace, digest), start, stop, found.tokenizer, max_length, reading))
        for digest, start, stop in spec.params["pieces"]
    ]
    checkpoints = Checkpoints.of(spec, workspace, found.machine, [found.model])
    scores = found.probabilities(joined([part for _, part in parts]), told, checkpoints)  # [rows of the shard, T]
    np.save(workspace.output / "probabilities.npy", scores)
    (workspace.output / "pieces.json").write_text(json.dumps(spec.params["pieces"]))
    machine, read = found.machine, counted(found.encoder, parts)
    return {"rows": len(scores), "device": machine.name, "precision": machine.precision, "read": read}
