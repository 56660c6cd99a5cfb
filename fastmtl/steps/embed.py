"""Embed: the frozen encoder's vector of every row of a part of one dataset, as it is pooled for every other use.

Reads   the rows [start, stop) of the dataset
Writes  embeddings.npy  float32 [stop - start, H], each of length 1
        piece.json      {"dataset": digest, "start": first row}
"""

from __future__ import annotations

import json

import numpy as np
from torch.nn import functional

from fastmtl import device, memory
from fastmtl.checkpoints import Checkpoints
from fastmtl.datasets import dataset_of
from fastmtl.encoders import resolve
from fastmtl.model import MtDnn, load_checkpoint
from fastmtl.plan import Json, StepSpec, Workspace
from fastmtl.reading import read_span
from fastmtl.scoring import score_rows
from fastmtl.telling import Standing
from fastmtl.tokens import counted


def run(spec: StepSpec, workspace: Workspace) -> Json:
    """Embed the rows with the encoder as it comes."""
    params = spec.params
    device.make_deterministic()
    machine = device.describe(workspace.device, params["precision"])
    encoder = params["encoder"]
    told = Standing(workspace.progress)
    location = resolve(encoder["location"], told.beside("fetching the encoder"))
    checkpoint = load_checkpoint(location, encoder["pooling"], encoder["max_length"])
    memory.check_inference(checkpoint.encoder, checkpoint.max_length, machine)
    (digest,) = spec.datasets
    dataset = dataset_of(workspace, digest)
    span = params["start"], params["stop"]
    tokens = read_span(dataset, *span, checkpoint.tokenizer, checkpoint.max_length, told.beside("reading"))
    model = MtDnn(checkpoint.encoder, checkpoint.pooling, (), discriminator=False)
    checkpoints = Checkpoints.of(spec, workspace, machine, [model])
    vectors = score_rows(model, tokens, functional.normalize, machine, told, checkpoints)  # [rows, H]
    np.save(workspace.output / "embeddings.npy", vectors)
    (workspace.output / "piece.json").write_text(json.dumps({"dataset": digest, "start": params["start"]}))
    read = counted(encoder, [(digest, tokens)])
    return {"rows": len(vectors), "device": machine.name, "precision": machine.precision, "read": read}
