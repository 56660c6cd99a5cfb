"""A fine-tuned model in transformers' own classes gives the same predictions, or is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from tiny import ENCODERS, write_encoder
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    ElectraConfig,
    ElectraModel,
    RobertaModel,
    dynamic_module_utils,
)

from fastmtl import classifier
from fastmtl.classifier import CannotExport, export
from fastmtl.config import Pooling
from fastmtl.datasets import TaskKind
from fastmtl.model import MtDnn, Task, load_checkpoint, load_model, save_model

CLASSES = Task("d" * 64, TaskKind.CLASSIFICATION, ("refund", "delay", "praise"))
VALUE = Task("d" * 64, TaskKind.REGRESSION, (), mean=250.0, std=40.0)
OTHER = Task("e" * 64, TaskKind.CLASSIFICATION, ("no", "yes"))
FIRST = ["the cat runs in the city", "order late", "a " * 60, "x"]
SECOND = ["a dog", "the refund is good", "bird " * 60, "y"]
MAX_LENGTH = 32


def saved(tmp_path: Path, encoder: str, pooling: Pooling, task: Task) -> Path:
    """A model as a job leaves it: the primary's head first, with weights that tell classes apart."""
    checkpoint = load_checkpoint(checkpoint_folder(encoder, tmp_path), pooling, MAX_LENGTH)
    model = MtDnn(checkpoint.encoder, checkpoint.pooling, [task, OTHER], discriminator=False)
    with torch.random.fork_rng():
        torch.manual_seed(3)
        for head in model.heads:
            torch.nn.init.normal_(head.weight, std=0.5)
            torch.nn.init.normal_(head.bias)
    save_model(model, checkpoint.tokenizer, tmp_path / "model", {"encoder": {"max_length": MAX_LENGTH}})
    return tmp_path / "model"


def checkpoint_folder(encoder: str, tmp_path: Path) -> Path:
    folder = tmp_path / encoder
    if encoder in ENCODERS:
        return write_encoder(encoder, folder)
    write_encoder("roberta-mlm" if encoder == "roberta" else "bert", folder)
    if encoder == "roberta":
        RobertaModel.from_pretrained(folder, add_pooling_layer=False).save_pretrained(folder)
    else:
        size = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
        ElectraModel(
            ElectraConfig(vocab_size=60, max_position_embeddings=64, embedding_size=32, **size)
        ).save_pretrained(folder)
    return folder


def ours(folder: Path, task: Task) -> torch.Tensor:
    model, tokenizer = load_model(folder, MAX_LENGTH)
    inputs = tokenizer(FIRST, SECOND, truncation=True, max_length=MAX_LENGTH, padding=True, return_tensors="pt")
    with torch.inference_mode():
        outputs = model.eval().task_logits(model.features(inputs), 0)
    return outputs if task.classes else outputs * task.std + task.mean


def theirs(folder: Path, **options: bool) -> torch.Tensor:
    """As a user does it who has never heard of us."""
    model = AutoModelForSequenceClassification.from_pretrained(folder, **options)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    inputs = tokenizer(FIRST, SECOND, truncation=True, padding=True, return_tensors="pt")
    with torch.inference_mode():
        return model(**inputs).logits


@pytest.mark.parametrize(
    ("encoder", "pooling"),
    [("bert", "pooler"), ("bert", "first"), ("distilbert", "first"), ("roberta", "first"), ("electra", "first")],
)
@pytest.mark.parametrize("task", [CLASSES, VALUE], ids=["classes", "value"])
def test_predictions_are_the_same(tmp_path: Path, encoder: str, pooling: Pooling, task: Task):
    folder = saved(tmp_path, encoder, pooling, task)
    exported = export(folder, tmp_path / "exported")
    torch.testing.assert_close(theirs(exported), ours(folder, task), rtol=2e-5, atol=2e-5)


def test_labels_and_the_length_of_rows_come_along(tmp_path: Path):
    exported = export(saved(tmp_path, "bert", "first", CLASSES), tmp_path / "exported")
    config = AutoModelForSequenceClassification.from_pretrained(exported).config
    assert (config.id2label, config.num_labels) == ({0: "refund", 1: "delay", 2: "praise"}, 3)
    assert config.problem_type == "single_label_classification"
    assert AutoTokenizer.from_pretrained(exported).model_max_length == MAX_LENGTH


@pytest.mark.parametrize(
    ("encoder", "pooling"), [("bert", "mean"), ("distilbert", "mean"), ("roberta", "mean"), ("modernbert", "first")]
)
@pytest.mark.parametrize("task", [CLASSES, VALUE], ids=["classes", "value"])
def test_what_no_class_of_transformers_computes_comes_with_code_that_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, encoder: str, pooling: Pooling, task: Task
):
    monkeypatch.setattr(dynamic_module_utils, "HF_MODULES_CACHE", str(tmp_path / "modules"))
    folder = saved(tmp_path, encoder, pooling, task)
    exported = export(folder, tmp_path / "exported")
    assert {"config.json", "model.safetensors", "modeling_fastmtl.py"} <= {each.name for each in exported.iterdir()}
    torch.testing.assert_close(theirs(exported, trust_remote_code=True), ours(folder, task), rtol=2e-5, atol=2e-5)


def test_code_that_comes_along_is_not_run_unless_that_is_asked_for(tmp_path: Path):
    exported = export(saved(tmp_path, "bert", "mean", CLASSES), tmp_path / "exported")
    with pytest.raises(ValueError, match="trust_remote_code=True"):
        AutoModelForSequenceClassification.from_pretrained(exported, trust_remote_code=False)


def test_a_conversion_that_gives_other_outputs_is_found_and_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(classifier, "STRAIGHT", 1.0)
    folder = saved(tmp_path, "bert", "first", CLASSES)
    with pytest.raises(CannotExport, match="BertForSequenceClassification gives other outputs, by up to"):
        export(folder, tmp_path / "exported")


def test_a_folder_that_is_there_is_left_as_it_is(tmp_path: Path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "work.txt").touch()
    with pytest.raises(FileExistsError, match="mine is there already"):
        export(tmp_path / "nothing", tmp_path / "mine")
