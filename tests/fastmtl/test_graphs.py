"""Graphs need a GPU; what is captured, and when, is tried without one."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tiny import SPECIAL, WORDS, tiny_bert

from fastmtl import graphs, training
from fastmtl.batches import Batch, TaskRows
from fastmtl.datasets import TaskKind
from fastmtl.device import Machine
from fastmtl.graphs import SHAPES, Graphs
from fastmtl.model import MtDnn, Task
from fastmtl.tokens import Tokens

CPU = Machine("cpu", "fp32", "a test's", 2**40)


@pytest.fixture
def model():
    torch.manual_seed(0)
    return MtDnn(tiny_bert(), "mean", [Task("a", TaskKind.CLASSIFICATION, ("x", "y"))], discriminator=False)


@pytest.fixture
def captured(monkeypatch):
    """Let a capture return what it is given, and tell the shapes."""
    shapes = []

    def keep(module, samples, **options):
        shapes.append(tuple(samples[0].shape))
        return module

    monkeypatch.setattr(torch.cuda, "make_graphed_callables", keep)
    return shapes


def tokens_of(lengths):
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    ids = np.random.default_rng(0).integers(5, len(SPECIAL) + len(WORDS), offsets[-1]).astype(np.int32)
    return Tokens(ids, np.zeros(len(ids), np.uint8), offsets, 0)


def batch_of(lengths):
    return Batch(TaskRows(0, tokens_of(lengths), torch.zeros(len(lengths))), np.arange(len(lengths)))


def test_a_graph_reads_what_the_model_reads(model, captured):
    model.eval()
    batch = batch_of([3, 9, 17, 20])
    found = Graphs(model, 4, 20, CPU).features(batch)
    expected = model.features(batch.source.tokens.padded(batch.rows, "cpu"))
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("longest", [5, 40, 64])
def test_batches_of_any_length_share_a_few_graphs_none_longer_than_the_longest_row(model, captured, longest):
    found = Graphs(model, 2, longest, CPU)
    for length in range(1, longest + 1):
        found.features(batch_of([1, length]))
    assert len(captured) == len(set(captured)) <= SHAPES
    assert max(length for _, length in captured) == longest


def test_a_batch_of_another_size_has_no_graph(model):
    assert not Graphs(model, 4, 20, CPU).fits(batch_of([3, 4, 5]))


@pytest.mark.parametrize(
    ("device", "steps", "free", "pays"),
    [
        ("cuda", graphs.LEAST_STEPS, 2**40, True),
        ("cuda", graphs.LEAST_STEPS - 1, 2**40, False),
        ("cuda", graphs.LEAST_STEPS, 2**20, False),
        ("cpu", graphs.LEAST_STEPS, 2**40, False),
    ],
)
def test_graphs_are_for_a_gpu_with_room_and_a_training_of_many_steps(model, device, steps, free, pays):
    assert Graphs.pay(model, steps, Machine(device, "bf16", "a test's", free)) is pays


def test_a_training_whose_graph_cannot_be_captured_goes_on_without(model, monkeypatch):
    def refuse(module, samples, **options):
        raise RuntimeError("operation failed due to a previous error during capture")

    monkeypatch.setattr(torch.cuda, "make_graphed_callables", refuse)
    monkeypatch.setattr(Graphs, "pay", staticmethod(lambda model, steps, machine: True))
    batch = batch_of([3, 4])
    reader = training.Reader(model.eval(), 2, [batch.source], 100, CPU)
    expected = model.features(batch.source.tokens.padded(batch.rows, "cpu"))
    torch.testing.assert_close(reader.features(batch), expected, rtol=1e-5, atol=1e-5)
