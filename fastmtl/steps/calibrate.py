"""Calibrate: measure the device for estimates, before anything has run on it; no step of a job.

Reads   nothing
Writes  nothing; its result has the measurements
"""

from __future__ import annotations

import time
from dataclasses import asdict

from fastmtl import device
from fastmtl.calibration import LENGTHS, calibrate, tokens_per_character
from fastmtl.encoders import resolve
from fastmtl.errors import InvalidConfig
from fastmtl.model import Checkpoint, load_checkpoint
from fastmtl.plan import Json, StepSpec, Workspace
from fastmtl.tokens import counted


def run(spec: StepSpec, workspace: Workspace) -> Json:
    """Measure, unless the device is one of those that are known; `seconds` is what that took after the start."""
    params = spec.params
    device.make_deterministic()
    machine = device.describe(workspace.device, params["precision"])
    if f"{machine.name}, {machine.precision}" in params["known"]:
        return {"parts": []}
    encoder = params["encoder"]
    checkpoint = _load(encoder)
    began = time.monotonic()
    return {
        "parts": [{**part._asdict(), "work": asdict(part.work)} for part in calibrate(checkpoint, machine)],
        "tokens_per_character": tokens_per_character(checkpoint.tokenizer),
        "seconds": time.monotonic() - began,
        "read": counted({**encoder, "max_length": checkpoint.max_length}, []),
    }


def _load(encoder: Json) -> Checkpoint:
    """Load the encoder for the longest of LENGTHS that it reads."""
    folder = resolve(encoder["location"])
    try:
        return load_checkpoint(folder, encoder["pooling"], max(LENGTHS))
    except InvalidConfig:
        return load_checkpoint(folder, encoder["pooling"], min(LENGTHS))
