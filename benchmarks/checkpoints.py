"""What a checkpoint of a training costs: bytes, and seconds as a share of the time between two of them.

    python benchmarks/checkpoints.py --folder .fastmtl > benchmarks/results/checkpoints.json

Builds the states of three trainings of the packaged encoder, each one optimiser step old, writes every one some times
into a folder of the disk that is asked about, and goes on from it. Prints JSON.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from fastmtl import adapters, device
from fastmtl.batches import TaskRows
from fastmtl.checkpoints import Checkpoints
from fastmtl.config import TrainingConfig
from fastmtl.datasets import TaskKind
from fastmtl.device import Machine
from fastmtl.encoders import KNOWN, resolve
from fastmtl.keeping import Keeping, complete
from fastmtl.model import MtDnn, Task, load_checkpoint
from fastmtl.steps.finetune import BestEpoch
from fastmtl.tokens import tokenize
from fastmtl.training import batch_task_loss, train

ENCODER = "all-MiniLM-L6-v2"
TASKS = 8
TEXT = "the parcel came late and the box was open, so we asked for our money back and waited for ten days " * 3
SECONDS_BETWEEN = 30
"""The default of FASTMTL_CHECKPOINT_SECONDS."""
ROWS, TOKENS = 32, 64


class Seconds(list[float]):
    """How long things took."""

    def of(self, act: Callable[[], object]) -> None:
        """Do something and note how long it took."""
        began = time.monotonic()
        act()
        self.append(time.monotonic() - began)

    @property
    def median(self) -> float:
        """The median, rounded to milliseconds."""
        return round(statistics.median(self), 3)


class Training:
    """A training of the packaged encoder; what its step keeps besides is kept, too."""

    def __init__(self, kind: str, machine: Machine) -> None:
        checkpoint = load_checkpoint(resolve(KNOWN[ENCODER]), "auto", TOKENS)
        if kind == "warm-up":
            adapters.adapt(checkpoint.encoder, seed=0)
        tasks = [Task(f"{index:064x}", TaskKind.CLASSIFICATION, ("no", "yes")) for index in range(TASKS)]
        self._model = MtDnn(checkpoint.encoder, checkpoint.pooling, tasks, discriminator=kind == "TD-MTDNN")
        self._model.initialise_heads(0)
        self._best = kind == "fine-tuning"
        tokens = tokenize(checkpoint.tokenizer, [TEXT] * ROWS, None, TOKENS)
        self._sources = [TaskRows(0, tokens, torch.arange(ROWS) % 2)]
        self._machine = machine

    def run(self, checkpoints: Checkpoints, in_between: Callable[[], None] = lambda: None) -> None:
        """Take two steps, of an epoch each, or what is left of them; do something after the first batch of the last."""
        best = BestEpoch(self._model, self._model.tasks[0], torch.arange(4) % 2, lambda: np.zeros((4, 2), np.float32))
        if self._best:
            best.go_on(checkpoints)

        def act_in_the_second(done: int, total: int, unit: str, message: str = "") -> None:
            if message.startswith("epoch 2"):
                in_between()

        config = TrainingConfig(epochs=2, batch_size=ROWS)
        after = best if self._best else None
        given = (self._model, self._sources, config, batch_task_loss, self._machine, 0, act_in_the_second, after)
        train(*given, checkpoints=checkpoints)


def measure(kind: str, machine: Machine, root: Path, times: int) -> dict[str, float]:
    """Return the size, and the median seconds of writing and of reading."""
    training = Training(kind, machine)
    first = _attempt(root / "1")
    writing, reading = Seconds(), Seconds()

    def write() -> None:
        for _ in range(times):
            writing.of(first.write)

    training.run(first, write)
    for _ in range(times):
        reading.of(lambda: _attempt(root / "2", root / "1"))
    training.run(_attempt(root / "2", root / "1"))  # nothing is left to do, and nothing of it is amiss
    return {
        "mib": round(complete(root / "1")[0].stat().st_size / 2**20, 1),
        "seconds_to_write": writing.median,
        "slowest_write": round(max(writing), 3),
        "share_of_the_time": round(writing.median / (SECONDS_BETWEEN + writing.median), 4),
        "seconds_to_read": reading.median,
    }


def _attempt(folder: Path, *older: Path) -> Checkpoints:
    return Checkpoints(Keeping(folder, older, SECONDS_BETWEEN), {}, {}, lambda message: print(message))


def main() -> None:
    """Measure all three and print what was seen."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=Path())
    parser.add_argument("--times", type=int, default=9)
    parser.add_argument("--device", default="auto")
    given = parser.parse_args()
    machine = device.describe(device.choose_device(given.device), "auto")
    found = {}
    for kind in ("TD-MTDNN", "fine-tuning", "warm-up"):
        with tempfile.TemporaryDirectory(dir=given.folder) as root:
            found[kind] = measure(kind, machine, Path(root), given.times)
    about = {"device": machine.name, "torch": torch.__version__, "encoder": ENCODER}
    print(json.dumps({**about, "seconds_between": SECONDS_BETWEEN, "times": given.times, "trainings": found}, indent=1))


if __name__ == "__main__":
    main()
