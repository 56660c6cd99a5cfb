"""The network with three architectures, its files, and its numbers against the same sums written out."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModel, AutoTokenizer

from fastmtl.datasets import TaskKind
from fastmtl.errors import EncoderUnavailable, InvalidConfig
from fastmtl.model import MtDnn, Task, load_checkpoint, load_model, save_model
from fastmtl.tokens import tokenize

TASKS = (Task("a" * 64, TaskKind.CLASSIFICATION, ("no", "yes")), Task("b" * 64, TaskKind.REGRESSION, (), 2.5, 1.5))
TEXTS = ["the cat sleeps", "a big dog runs in the city", "fish"]
PAIRS = ["a bird sings", "the old train is late", "never"]


def build(folder: Path, pooling: str = "auto", max_length: int = 32) -> tuple[MtDnn, object]:
    checkpoint = load_checkpoint(folder, pooling, max_length)
    model = MtDnn(checkpoint.encoder, checkpoint.pooling, TASKS, discriminator=True)
    model.initialise_heads(0)
    return model.eval(), checkpoint.tokenizer


@pytest.mark.parametrize("name", ["bert", "distilbert", "modernbert"])
@pytest.mark.parametrize("pairs", [None, PAIRS])
def test_features_of_a_row_do_not_depend_on_the_padding_around_it(encoder_folders, name, pairs):
    model, tokenizer = build(encoder_folders[name])
    tokens = tokenize(tokenizer, TEXTS, pairs, 32)
    together = model.features(tokens.padded(np.arange(3), "cpu"))
    alone = torch.cat([model.features(tokens.padded(np.array([row]), "cpu")) for row in range(3)])
    assert torch.allclose(together, alone, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "asked", "settled"),
    [
        ("bert", "auto", "pooler"),
        ("distilbert", "auto", "mean"),
        ("modernbert", "auto", "mean"),
        ("bert", "mean", "mean"),
        ("distilbert", "first", "first"),
    ],
)
def test_pooling_is_as_asked_else_what_the_checkpoint_has(encoder_folders, name, asked, settled):
    assert load_checkpoint(encoder_folders[name], asked, 32).pooling == settled


def test_a_checkpoint_that_names_its_pooling_is_followed(say_mean):
    assert load_checkpoint(say_mean, "auto", 32).pooling == "mean"


def test_a_pooler_that_is_not_there_is_refused(encoder_folders):
    with pytest.raises(InvalidConfig, match="has no pooler"):
        load_checkpoint(encoder_folders["distilbert"], "pooler", 32)


def test_more_tokens_than_the_encoder_reads_are_refused(encoder_folders):
    with pytest.raises(InvalidConfig, match="at most 64 tokens, not 128"):
        load_checkpoint(encoder_folders["bert"], "auto", 128)


@pytest.mark.parametrize("pooling", ["pooler", "first", "mean"])
def test_features_equal_those_of_the_plain_transformers_model(encoder_folders, pooling):
    folder = encoder_folders["bert"]
    model, tokenizer = build(folder, pooling)
    plain, encoded = AutoModel.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    with torch.no_grad():
        out = plain.eval()(**encoded(TEXTS[0], PAIRS[0], return_tensors="pt"))
        found = model.features(tokenize(tokenizer, TEXTS[:1], PAIRS[:1], 32).padded(np.array([0]), "cpu"))
    states = out.last_hidden_state[0]
    expected = {"pooler": out.pooler_output[0], "first": states[0], "mean": states.mean(0)}[pooling]
    assert torch.allclose(found[0], expected, atol=1e-6)


def test_a_saved_model_is_read_back_with_heads_discriminator_and_tasks(encoder_folders, tmp_path):
    model, tokenizer = build(encoder_folders["bert"])
    save_model(model, tokenizer, tmp_path, {"note": 1})
    again, _ = load_model(tmp_path, 32)
    inputs = tokenize(tokenizer, TEXTS, None, 32).padded(np.arange(3), "cpu")
    before, after = model.features(inputs), again.eval().features(inputs)
    assert torch.equal(model.discriminate(before), again.discriminate(after))
    assert torch.equal(model.task_logits(before, 1), again.task_logits(after, 1))
    assert (again.tasks, again.pooling) == (TASKS, "pooler")
    assert json.loads((tmp_path / "fastmtl.json").read_text())["note"] == 1


def test_a_saved_model_is_a_folder_that_transformers_and_safetensors_load(encoder_folders, tmp_path):
    model, tokenizer = build(encoder_folders["distilbert"])
    save_model(model, tokenizer, tmp_path, {})
    plain = AutoModel.from_pretrained(tmp_path)
    assert torch.equal(plain.embeddings.word_embeddings.weight, model.encoder.embeddings.word_embeddings.weight)
    assert AutoTokenizer.from_pretrained(tmp_path)("the cat")["input_ids"] == tokenizer("the cat")["input_ids"]
    assert {name: tuple(each.shape) for name, each in load_file(tmp_path / "heads.safetensors").items()} == {
        "heads.0.weight": (2, 32),
        "heads.0.bias": (2,),
        "heads.1.weight": (1, 32),
        "heads.1.bias": (1,),
        "discriminator.weight": (2, 32),
        "discriminator.bias": (2,),
    }


def test_a_pickled_checkpoint_is_refused_and_not_opened(encoder_folders, tmp_path):
    config = (encoder_folders["bert"] / "config.json").read_text()
    (tmp_path / "config.json").write_text(config)
    (tmp_path / "pytorch_model.bin").write_bytes(b"cos\nsystem\n(S'touch pwned'\ntR.")
    with pytest.raises(EncoderUnavailable):
        load_checkpoint(tmp_path, "auto", 32)


def test_code_that_comes_with_a_checkpoint_is_not_run(encoder_folders, tmp_path):
    import shutil

    folder = shutil.copytree(encoder_folders["bert"], tmp_path / "own-code")
    config = json.loads((folder / "config.json").read_text())
    config |= {"model_type": "strange", "auto_map": {"AutoConfig": "own.Config", "AutoModel": "own.Model"}}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "own.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    with pytest.raises(EncoderUnavailable):
        load_checkpoint(folder, "auto", 32)
    assert not (tmp_path / "ran").exists()
