"""A short measurement of a device, for estimates before anything has run on it: 10 to 20 seconds of a CPU.

Forward batches and optimiser steps at two lengths tell what a token, its attention and an optimiser step take. Tokens
are drawn at random; a few English sentences tell how many of them a character is.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import NamedTuple

import numpy as np
import torch
from transformers import PreTrainedTokenizerBase

from fastmtl import cost
from fastmtl.batches import TaskRows
from fastmtl.config import TrainingConfig
from fastmtl.datasets import TaskKind
from fastmtl.device import Machine
from fastmtl.lengths import MARKS, RowLengths
from fastmtl.model import Checkpoint, MtDnn, Task
from fastmtl.plan import silent
from fastmtl.scoring import predict
from fastmtl.sentences import SENTENCES
from fastmtl.tokens import Tokens, tokenize
from fastmtl.training import batch_task_loss, train
from fastmtl.workload import Work, scored, trained

LENGTHS = (32, 128)
BATCH = 32
TOKENS = 4_096
"""Of each forward pass and each training: one optimiser step of the longer rows, four of the shorter."""
SECONDS = 1.5
"""Each is repeated until so many have passed; the median counts."""
LIMIT_SECONDS = 60.0
"""After so many nothing new is begun: on a busy machine less is measured."""
SPECIAL_IDS = 5
"""Tokens at the beginning of a vocabulary that are no words, at least."""


Piece = tuple[Work, Callable[[], object]]
"""What there is to do, and what does it."""


class Part(NamedTuple):
    """What there was to do, and what it took."""

    work: Work
    seconds: float
    peak_bytes: int


def calibrate(checkpoint: Checkpoint, machine: Machine) -> Iterator[Part]:
    """Measure forward passes and training at each length, as far as LIMIT_SECONDS allow; short ones come first."""
    until = time.monotonic() + LIMIT_SECONDS
    model = MtDnn(checkpoint.encoder, checkpoint.pooling, [Task("", TaskKind.REGRESSION, ())], discriminator=False)
    for length in sorted({min(length, checkpoint.max_length) for length in LENGTHS}):
        for part in (_scoring, _training):
            work, run = part(model, checkpoint, machine, length)
            if length == min(LENGTHS):
                run()  # to be warm
            if time.monotonic() > until:
                return
            yield _measured(work, run, machine)


def tokens_per_character(tokenizer: PreTrainedTokenizerBase) -> float:
    """Return how many tokens a character of plain English is."""
    tokens = tokenize(tokenizer, SENTENCES, None, max_length=1_000)
    return (len(tokens.ids) - MARKS * len(SENTENCES)) / sum(map(len, SENTENCES))


def _scoring(model: MtDnn, checkpoint: Checkpoint, machine: Machine, length: int) -> Piece:
    rows = max(1, TOKENS // length)
    tokens = _made_up(checkpoint, rows, length)
    return scored(_of_length(rows, length), rows), partial(predict, model, tokens, 0, machine)


def _training(model: MtDnn, checkpoint: Checkpoint, machine: Machine, length: int) -> Piece:
    rows = max(1, TOKENS // length)
    steps = -(-rows // BATCH)
    source = TaskRows(0, _made_up(checkpoint, rows, length), torch.zeros(rows))
    work = trained(_of_length(rows, length), rows, BATCH, machine.groups) + Work(steps=steps)
    return work, partial(_train, model, source, machine, steps)


def _measured(work: Work, run: Callable[[], object], machine: Machine) -> Part:
    """Run as often as SECONDS allow, at least once."""
    cost.forget_peak(machine.device)
    took = [_timed(run, machine)]
    while sum(took) < SECONDS:
        took.append(_timed(run, machine))
    peak = cost.device_bytes(machine.device) or cost.peak_bytes()
    return Part(work, statistics.median(took), peak)


def _timed(run: Callable[[], object], machine: Machine) -> float:
    began = time.monotonic()
    run()
    if machine.device.startswith("cuda"):
        torch.cuda.synchronize(machine.device)
    return time.monotonic() - began


def _train(model: MtDnn, source: TaskRows, machine: Machine, steps: int) -> None:
    train(model, [source], TrainingConfig(batch_size=BATCH), batch_task_loss, machine, 0, silent, steps=steps)


def _of_length(rows: int, length: int) -> RowLengths:
    return RowLengths(rows, (float(length),), 0.0, 0.0)


def _made_up(checkpoint: Checkpoint, rows: int, length: int) -> Tokens:
    """Return rows of chance tokens, all of one length."""
    generator = np.random.default_rng(length)
    vocabulary = int(checkpoint.encoder.config.vocab_size)
    ids = generator.integers(min(SPECIAL_IDS, vocabulary - 1), vocabulary, rows * length).astype(np.int32)
    typed = "token_type_ids" in checkpoint.tokenizer.model_input_names
    types = np.zeros(len(ids), dtype=np.uint8) if typed else None
    offsets = np.arange(0, len(ids) + 1, length, dtype=np.int64)
    return Tokens(ids, types, offsets, checkpoint.tokenizer.pad_token_id or 0)
