"""The choice of the epoch: by the rows asked for, by loss where they are equal, and of none the last."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from pools import write_dataset

from fastmtl.datasets import Dataset, TaskKind
from fastmtl.device import Machine
from fastmtl.examples import in_head_units
from fastmtl.model import MtDnn, Task, load_checkpoint
from fastmtl.reading import read_tokens
from fastmtl.scoring import predict
from fastmtl.steps.finetune import BestEpoch

CPU = Machine("cpu", "fp32", "test", 2**34)
TEXTS = [("the cat sleeps", "yes"), ("a big dog runs", "yes"), ("fish", "yes"), ("two birds", "no")]


class World:
    """A model whose head says the same of every row, and which may be told another thing every epoch."""

    def __init__(self, folder: Path, encoder: Path) -> None:
        write_dataset(folder, "primary", TEXTS)
        self.dataset = Dataset.open(folder / "primary")
        self.task = Task("a", TaskKind.CLASSIFICATION, ("no", "yes"))
        self.checkpoint = load_checkpoint(encoder, "mean", 16)
        self.model = MtDnn(self.checkpoint.encoder, "mean", [self.task], discriminator=False).eval()
        torch.nn.init.zeros_(self.model.heads[0].weight)

    def epochs(self, rows: Sequence[int], said: Sequence[float]) -> BestEpoch:
        """Go through epochs after which the head's logit of `yes` is this; choose by some rows, and restore."""
        chosen = np.array(rows, dtype=np.int64)
        tokens = read_tokens(self.dataset, chosen, self.checkpoint.tokenizer, 16)
        labels = in_head_units(self.task, self.dataset, chosen)
        best = BestEpoch(self.model, self.task, labels, lambda: predict(self.model, tokens, 0, CPU))
        for epoch, logit in enumerate(said):
            self.say(logit)
            best(epoch)
        best.restore()
        return best

    def say(self, logit: float) -> None:
        with torch.no_grad():
            self.model.heads[0].bias.copy_(torch.tensor([0.0, logit]))

    @property
    def says(self) -> float:
        return float(self.model.heads[0].bias.detach()[1])


@pytest.fixture
def world(tmp_path: Path, encoder_folders: dict[str, Path]) -> World:
    return World(tmp_path, encoder_folders["bert"])


@pytest.mark.parametrize(
    ("rows", "said", "epoch"),
    [
        ([0, 1, 2, 3], [-1.0, 1.0, -2.0], 1),  # three of four are `yes`
        ([3], [-1.0, 1.0, -2.0], 2),  # the other rows choose another epoch: -2 and -1 are right, -2 is surer
        ([0, 1], [0.5, 2.0, 1.0], 1),  # all are right: the least loss
        ([0, 1], [2.0, 2.0], 0),  # nothing is better later
        ([0, 1], [-1.0, -2.0, -3.0], 0),  # all are wrong: the least loss, too
    ],
)
def test_the_best_epoch_is_that_of_the_rows_asked_for_and_its_weights_come_back(world, rows, said, epoch):
    best = world.epochs(rows, said)
    assert (best.epoch, world.says) == (epoch, said[epoch])
    assert [each["epoch"] for each in best.scores] == [number + 1 for number in range(len(said))]


def test_without_rows_the_last_epoch_stays(world):
    best = world.epochs([], [1.0, -1.0])
    assert (best.epoch, best.scores, world.says) == (1, [], -1.0)
