"""The score step: how a discriminator's output is read, as it was trained or as published, for every row and task."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from pools import write_dataset
from scipy.special import expit, softmax

from fastmtl.datasets import TaskKind
from fastmtl.model import MtDnn, Task, load_checkpoint, save_model
from fastmtl.plan import StepSpec, Workspace, silent
from fastmtl.steps import score
from fastmtl.tokens import tokenize

TEXTS = ["the cat sleeps", "a big dog runs in the city", "fish"]
LOGITS = np.array([[2.0, 5.0], [1.0, -1.0], [0.0, 0.0]])
"""Of every text for two tasks: by the first task's logit alone the first text is best, by the softmax the second."""
TRAINING = "discriminator's fingerprint"


@pytest.fixture
def run(tmp_path: Path, encoder_folders: dict[str, Path]) -> Callable[..., np.ndarray]:
    """Score TEXTS by a discriminator whose weights are solved for LOGITS."""
    task = write_dataset(tmp_path, "texts", [(text, str(row)) for row, text in enumerate(TEXTS)])
    encoder = {"location": f"folder:{encoder_folders['bert']}", "pooling": "mean", "max_length": 24}
    checkpoint = load_checkpoint(encoder_folders["bert"], "mean", 24)
    tasks = [Task(digest, TaskKind.CLASSIFICATION, ("no", "yes")) for digest in "ab"]
    model = MtDnn(checkpoint.encoder, "mean", tasks, discriminator=True).eval()
    tokens = tokenize(checkpoint.tokenizer, TEXTS, None, 24)
    with torch.no_grad():
        features = model.features(tokens.padded(np.arange(3), "cpu"))  # [3, H]
        model.discriminator.bias.zero_()
        model.discriminator.weight.copy_((torch.linalg.pinv(features) @ torch.from_numpy(LOGITS).float()).T)

    def run(loss: str, read_as: str) -> np.ndarray:
        trained, output = tmp_path / loss, tmp_path / f"{loss}-{read_as}"
        save_model(model, checkpoint.tokenizer, trained / "model", {"encoder": encoder, "discriminator_loss": loss})
        output.mkdir()
        params = {"pieces": [[task.digest, 0, 3]], "precision": "fp32", "read_as": read_as}
        spec = StepSpec("score", "score 1/1", 1, params, (task.digest,), (TRAINING,))
        datasets = {task.digest: tmp_path / "texts"}
        told = score.run(spec, Workspace(datasets, {TRAINING: trained}, output, "cpu", silent))
        assert told["rows"] == 3
        assert json.loads((output / "pieces.json").read_text()) == params["pieces"]
        return np.load(output / "probabilities.npy")

    return run


@pytest.mark.parametrize(
    ("loss", "read_as", "expected"),
    [
        ("ce", "trained", softmax(LOGITS, axis=1)),
        ("bce", "trained", expit(LOGITS)),
        ("ce", "sigmoid", expit(LOGITS)),
        ("bce", "sigmoid", expit(LOGITS)),
    ],
)
def test_a_row_is_as_like_a_task_as_its_logits_say_in_the_reading_that_was_asked_for(run, loss, read_as, expected):
    found = run(loss, read_as)
    assert (found.dtype, found.shape) == (np.float32, (3, 2))
    assert np.allclose(found, expected, atol=1e-4)


def test_the_published_reading_puts_rows_in_another_order(run):
    orders = [np.argsort(-run("ce", read_as)[:, 0]).tolist() for read_as in ("trained", "sigmoid")]
    assert orders == [[1, 2, 0], [0, 1, 2]]
