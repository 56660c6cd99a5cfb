"""How large an encoder is, from its config.json."""

from __future__ import annotations

import json

import pytest
from tiny import ENCODERS, write_encoder
from torch import nn

from fastmtl.encoders import KNOWN
from fastmtl.size import Size, size_at, size_of


@pytest.mark.parametrize("name", sorted(ENCODERS))
def test_it_is_near_what_the_model_has(name: str, tmp_path):
    build, _ = ENCODERS[name]
    model = build()
    size = size_at(f"folder:{write_encoder(name, tmp_path)}")
    body = sum(
        each.weight.numel()
        for key, each in model.named_modules()
        if isinstance(each, nn.Linear) and "pooler" not in key
    )
    assert size is not None
    assert (size.body, size.attention) == (body, 2 * 32)
    assert size.parameters == pytest.approx(sum(each.numel() for each in model.parameters()), rel=0.2)


def test_that_of_the_packaged_encoder_is_known():
    assert size_at(KNOWN["all-MiniLM-L6-v2"]) == Size(parameters=22_533_888, body=10_616_832, attention=6 * 384)


@pytest.mark.parametrize("location", ["folder:/nowhere", "hub:somebody/something@main", "package:no_such_package/x@1"])
def test_what_is_not_here_has_no_size_and_is_not_fetched(location: str):
    assert size_at(location) is None


def test_a_config_that_says_too_little_gives_no_size(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "bert"}))
    (tmp_path / "model.safetensors").write_bytes(b"")
    assert size_at(f"folder:{tmp_path}") is None
    assert size_of({"hidden_size": 8}) is None
