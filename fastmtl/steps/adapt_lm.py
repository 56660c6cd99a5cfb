"""Adapt: train the encoder's masked language model on the primary's texts (Moore & Lewis 2010: the in-domain model).

Reads   the primary's texts, of every row; no labels
Writes  model/        the adapted model, as `fastmtl.masked_lm.load_masked_lm` reads it
        history.json  the loss of every epoch
"""

from __future__ import annotations

import json
from dataclasses import asdict

from transformers import PreTrainedModel

from fastmtl import device, memory
from fastmtl.checkpoints import Checkpoints
from fastmtl.config import TrainingConfig
from fastmtl.datasets import dataset_of
from fastmtl.device import Machine
from fastmtl.encoders import resolve
from fastmtl.masked_lm import MaskableRows, adapt, keys, load_masked_lm, logits_bytes
from fastmtl.model import save_tokenizer
from fastmtl.plan import Json, StepSpec, Workspace
from fastmtl.reading import read_span
from fastmtl.telling import Standing
from fastmtl.tokens import counted


def run(spec: StepSpec, workspace: Workspace) -> Json:
    """Train on all rows of the primary."""
    params = spec.params
    config = TrainingConfig(**params["training"])
    device.make_deterministic()
    machine = device.describe(workspace.device, params["precision"])
    encoder = params["encoder"]
    told = Standing(workspace.progress)
    location = resolve(encoder["location"], told.beside("fetching the encoder"))
    model, tokenizer = load_masked_lm(location, encoder["max_length"])
    _check_memory(model, config, encoder["max_length"], params["mask_share"], machine)
    (digest,) = spec.datasets
    dataset = dataset_of(workspace, digest)
    tokens = read_span(dataset, 0, dataset.rows, tokenizer, encoder["max_length"], told.beside("reading"))
    rows = MaskableRows(tokens, keys(digest, 0, dataset.rows), tokenizer, params["mask_share"], params["seed"])
    history = adapt(model, rows, config, machine, told, Checkpoints.of(spec, workspace, machine, [model]))
    model.save_pretrained(workspace.output / "model")
    save_tokenizer(tokenizer, workspace.output / "model")
    (workspace.output / "history.json").write_text(json.dumps(asdict(history)))
    read = counted(encoder, [(digest, tokens)])
    return {"losses": history.losses, "device": machine.name, "precision": machine.precision, "read": read}


def _check_memory(model: PreTrainedModel, config: TrainingConfig, length: int, share: float, machine: Machine) -> None:
    """Raise NotEnoughMemory where a training step of full length would not fit."""
    needed = memory.training_bytes(model, config.batch_size, length)
    memory.check(
        needed + logits_bytes(model, config.batch_size * length, share),
        machine.free_bytes,
        f"Make config.options.lm_loss.batch_size ({config.batch_size}) or config.encoder.max_length ({length}) "
        "smaller, or use a smaller encoder.",
    )
