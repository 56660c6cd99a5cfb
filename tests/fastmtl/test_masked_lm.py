"""Adaptation: which tokens are masked, what a training step is, what cannot be adapted."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from tiny import SPECIAL, WORDS, write_encoder
from torch import nn
from transformers import AutoTokenizer

from fastmtl.config import TrainingConfig
from fastmtl.device import Machine
from fastmtl.errors import EncoderUnavailable, InvalidConfig
from fastmtl.masked_lm import IGNORED, MaskableRows, adapt, keys, load_masked_lm, logits_bytes
from fastmtl.plan import silent
from fastmtl.tokens import tokenize

DIGEST = "fedcba9876543210" * 4
CPU = Machine("cpu", "fp32", "test", 2**40)
TEXTS = st.lists(st.lists(st.sampled_from([*WORDS, "unknown"]), max_size=70).map(" ".join), min_size=1, max_size=6)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_encoder("bert-mlm", tmp_path_factory.mktemp("bert-mlm"))


def maskable(folder: Path, texts: list[str], share: float = 0.15, first: int = 0, seed: int = 0) -> MaskableRows:
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokens = tokenize(tokenizer, texts, None, 64)
    return MaskableRows(tokens, keys(DIGEST, first, first + len(texts)), tokenizer, share, seed)


@given(TEXTS, st.floats(0.01, 0.9), st.integers(0, 3))
@example(["", "cat", "unknown"], 0.15, 0)
def test_a_share_of_every_row_is_masked_and_no_special_token(folder: Path, texts: list[str], share: float, draw: int):
    rows = maskable(folder, texts, share)
    masked = rows.masked(draw)
    for index, text in enumerate(texts):
        place = slice(*rows.tokens.offsets[index : index + 2])
        was, now, target = rows.tokens.ids[place], masked.inputs.ids[place], masked.targets.ids[place]
        words = min(len(text.split()), 62)  # 64 tokens less [CLS] and [SEP]
        assert (target != IGNORED).sum() == masked.counts[index] == min(words, max(1, round(share * words)))
        assert np.array_equal(np.where(target == IGNORED, now, target), was)
        assert set(now[target != IGNORED]) <= {SPECIAL.index("[MASK]")}
        assert not set(target) & {SPECIAL.index(name) for name in ("[CLS]", "[SEP]", "[PAD]")}


def test_a_rows_masks_are_its_own(folder: Path):
    texts = [" ".join(WORDS[start : start + 20]) for start in range(5)]
    together, alone = maskable(folder, texts, first=7).masked(2), maskable(folder, texts[3:4], first=10).masked(2)
    place = slice(*together.inputs.offsets[3:5])
    assert np.array_equal(together.inputs.ids[place], alone.inputs.ids)


def test_masks_differ_by_seed_by_row_and_by_draw(folder: Path):
    texts = [" ".join(WORDS[:40])]
    drawn = [
        maskable(folder, texts, first=row, seed=seed).masked(draw).inputs.ids.tobytes()
        for row, seed, draw in [(0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1)]
    ]
    assert len(set(drawn)) == 4


def test_an_epochs_loss_is_that_of_plain_steps(folder: Path):
    """Golden: three steps of AdamW over all rows at once, without dropout, written out."""
    texts = ["the cat sleeps", "a big old dog runs by the river", "", "ten days late"]
    rows = maskable(folder, texts, share=0.4)
    model, plain = (load_masked_lm(folder, 64).model for _ in range(2))
    for layer in [*model.modules(), *plain.modules()]:
        if isinstance(layer, nn.Dropout):
            layer.p = 0.0
    history = adapt(model, rows, TrainingConfig(epochs=3, learning_rate=1e-3, batch_size=8), CPU, silent)

    optimiser = torch.optim.AdamW(plain.parameters(), lr=1e-3, weight_decay=0.0)
    losses = []
    for epoch in range(3):
        masked = rows.masked(epoch)
        labels = masked.targets.padded(np.arange(4), "cpu")["input_ids"]
        loss = plain(**masked.inputs.padded(np.arange(4), "cpu"), labels=labels).loss
        optimiser.param_groups[0]["lr"] = 1e-3 * (3 - epoch) / 3
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(plain.parameters(), 1.0)
        optimiser.step()
        losses.append(float(loss.detach()))
    assert history.losses == pytest.approx(losses, rel=1e-4)
    assert (history.steps, history.rows, model.training) == (3, 12, False)


def test_every_row_is_trained_on_once_an_epoch_and_told_of(folder: Path):
    told: list[tuple[int, int, str, str]] = []
    rows = maskable(folder, ["the cat", "a dog", "the bird sings"])
    config = TrainingConfig(epochs=2, batch_size=2)
    adapt(load_masked_lm(folder, 64).model, rows, config, CPU, lambda *progress: told.append(progress))
    first, second = "epoch 1 of 2", "epoch 2 of 2"
    assert told == [(2, 6, "rows", first), (3, 6, "rows", first), (5, 6, "rows", second), (6, 6, "rows", second)]


def test_rows_with_nothing_to_mask_change_nothing(folder: Path):
    model = load_masked_lm(folder, 64).model
    before = {name: value.clone() for name, value in model.state_dict().items()}
    history = adapt(model, maskable(folder, ["", ""]), TrainingConfig(epochs=1), CPU, silent)
    assert history.losses == (0.0,)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_a_checkpoint_without_the_head_cannot_be_adapted(encoder_folders: dict[str, Path]):
    with pytest.raises(EncoderUnavailable, match=r"no whole masked language model: cls\.predictions\.bias is missing"):
        load_masked_lm(encoder_folders["bert"], 64)


def test_a_checkpoint_with_half_a_head_cannot_be_adapted(folder: Path, tmp_path: Path):
    copy = shutil.copytree(folder, tmp_path / "half")
    weights = load_file(copy / "model.safetensors")
    del weights["cls.predictions.transform.dense.weight"]
    save_file(weights, copy / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(
        EncoderUnavailable, match=r"half holds no whole .* cls\.predictions\.transform\.dense\.weight is miss"
    ):
        load_masked_lm(copy, 64)


def test_more_tokens_than_the_encoder_reads_are_refused(folder: Path):
    with pytest.raises(InvalidConfig, match="at most 64 tokens, not 65"):
        load_masked_lm(folder, 65)


def test_the_output_layer_needs_memory_for_masked_tokens_alone(folder: Path):
    vocabulary = len(SPECIAL) + len(WORDS)
    # three times 4 bytes for each word, of a quarter of 1,000 tokens
    assert logits_bytes(load_masked_lm(folder, 64).model, 1_000, 0.25) == 3 * 4 * 250 * vocabulary
