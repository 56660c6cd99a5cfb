"""Rows read end to end, against the same encoder reading them padded."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tiny import SPECIAL, WORDS, tiny_bert, tiny_distilbert, tiny_modernbert, tiny_roberta_mlm
from transformers import ElectraConfig, ElectraModel

from fastmtl.device import Machine
from fastmtl.model import MtDnn
from fastmtl.ragged import LONG, RaggedEncoder, can_read, lay, prepare
from fastmtl.tokens import Tokens

ROWS = np.array([3, 1, 0, 4, 2])
LENGTHS = {3: 9, 1: 9, 0: 5, 4: 5, 2: 1}


def tiny_electra():
    return ElectraModel(
        ElectraConfig(
            vocab_size=len(SPECIAL) + len(WORDS),
            embedding_size=16,
            hidden_size=32,
            num_hidden_layers=2,
            num_attention_heads=2,
            intermediate_size=64,
        )
    )


FAMILIES = {
    "bert": tiny_bert,
    "distilbert": tiny_distilbert,
    "roberta": lambda: tiny_roberta_mlm().roberta,
    "electra": tiny_electra,
}


def build(family: str):
    torch.manual_seed(0)
    return FAMILIES[family]().eval()


def tokens_of(lengths, *, typed: bool) -> Tokens:
    drawn = np.random.default_rng(0)
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    types = drawn.integers(0, 2, offsets[-1]).astype(np.uint8) if typed else None
    return Tokens(drawn.integers(5, 20, offsets[-1]).astype(np.int32), types, offsets, pad_id=0)


def machine(precision="fp32") -> Machine:
    return Machine("cpu", precision, "test", 2**30)


def padded(encoder, pooling, tokens, rows):
    with torch.inference_mode():
        return MtDnn(encoder, pooling, (), discriminator=False).eval().features(tokens.padded(rows, "cpu"))


def end_to_end(encoder, pooling, tokens, rows, precision="fp32"):
    with torch.inference_mode():
        return RaggedEncoder(encoder, pooling, machine(precision)).features(tokens, rows)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("pooling", ["mean", "first"])
def test_rows_read_end_to_end_have_the_features_of_padded_ones(family, pooling):
    encoder = build(family)
    tokens = tokens_of([LENGTHS[row] for row in range(5)], typed=family in ("bert", "electra"))
    found = end_to_end(encoder, pooling, tokens, ROWS)
    assert torch.allclose(found, padded(encoder, pooling, tokens, ROWS), atol=1e-5)


def test_a_pooler_is_given_the_first_token_of_every_row():
    encoder, tokens = build("bert"), tokens_of([9, 9, 4], typed=True)
    rows = np.arange(3)
    found = end_to_end(encoder, "pooler", tokens, rows)
    assert torch.allclose(found, padded(encoder, "pooler", tokens, rows), atol=1e-5)


def test_long_rows_are_attended_to_by_another_kernel_with_the_same_result(monkeypatch):
    encoder, tokens = build("bert"), tokens_of([20, 20, 7], typed=True)
    rows = np.arange(3)
    short = end_to_end(encoder, "mean", tokens, rows)
    monkeypatch.setattr("fastmtl.ragged.LONG", 20)
    assert LONG > 20
    assert torch.allclose(end_to_end(encoder, "mean", tokens, rows), short, atol=1e-5)


def test_bf16_features_are_near_those_of_fp32_and_come_as_float32():
    encoder, tokens = build("bert"), tokens_of([12, 12, 6], typed=True)
    rows = np.arange(3)
    found = end_to_end(encoder, "mean", tokens, rows, "bf16")
    assert found.dtype == torch.float32
    assert torch.allclose(found, padded(encoder, "mean", tokens, rows), atol=0.05)


def test_the_encoder_it_was_made_of_stays_as_it_is():
    encoder, tokens = build("bert"), tokens_of([6, 3], typed=True)
    before = padded(encoder, "mean", tokens, np.arange(2))
    end_to_end(encoder, "mean", tokens, np.arange(2), "bf16")
    assert torch.equal(padded(encoder, "mean", tokens, np.arange(2)), before)


def test_an_encoder_that_attends_in_windows_is_not_read_end_to_end():
    assert not can_read(tiny_modernbert())
    assert all(can_read(build(family)) for family in FAMILIES)


def test_rows_padded_in_groups_have_the_features_of_one_rectangle_and_the_same_gradients():
    encoder = build("bert")
    model = MtDnn(encoder, "mean", (), discriminator=False).eval()
    tokens, rows = tokens_of([3, 8, 5, 2], typed=True), np.array([3, 0, 2, 1])
    found = {}
    for name, features in (
        ("groups", model.features_of_line(lay(tokens, [rows[:2], rows[2:]], encoder, "cpu"))),
        ("rectangle", model.features(tokens.padded(rows, "cpu"))),
    ):
        features.square().sum().backward()
        found[name] = features.detach(), encoder.get_input_embeddings().weight.grad.clone()
        model.zero_grad()
    assert all(torch.allclose(*pair, atol=1e-4) for pair in zip(*found.values(), strict=True))


def test_a_padded_batch_is_still_read_as_before_and_says_nothing_in_its_config():
    padded_first = build("bert")
    tokens = tokens_of([3, 8], typed=True)
    inputs = tokens.padded(np.arange(2), "cpu")
    before = padded_first(**inputs).last_hidden_state
    prepare(padded_first)
    assert torch.allclose(padded_first(**inputs).last_hidden_state, before, atol=1e-6)
    assert "fastmtl" not in padded_first.config.to_json_string()
