"""The step's process: what it says when something goes wrong, and that it ends with its worker."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from pools import write_dataset
from tiny import WORDS, write_encoder

from fastmtl.artifacts import sha256
from fastmtl.errors import EncoderUnavailable, InvalidConfig, NotEnoughMemory
from fastmtl.keeping import Keeping, complete
from fastmtl.plan import StepSpec
from worker.child import describe
from worker.protocol import Message, Request


@pytest.mark.parametrize(
    ("error", "told", "again"),
    [
        (EncoderUnavailable("it is not there"), {"type": "encoder-unavailable", "message": "it is not there"}, False),
        (InvalidConfig("config.x", "no"), {"type": "invalid-config", "message": "no", "field": "config.x"}, False),
        (
            MemoryError(),
            {
                "type": "out-of-memory",
                "message": "the device ran out of memory: make batch_size or config.encoder.max_length smaller",
            },
            False,
        ),
        (OSError(28, "No space left"), {"type": "disk-full", "message": "the worker's disk is full"}, True),
        (
            KeyError("secret"),
            {
                "type": "internal",
                "message": "the step failed unexpectedly (KeyError); the worker's log has the details",
            },
            True,
        ),
    ],
)
def test_an_exception_becomes_a_sentence_a_user_can_act_on(error, told, again):
    assert describe(error) == Message(error=told, again=again)


def request(folder: Path, kind: str, parent: int) -> None:
    spec = {"kind": kind, "name": kind, "version": 1, "params": {}, "datasets": [], "needs": [], "cost": 0}
    asked = Request(spec=spec, datasets={}, inputs={}, device="cpu", threads=1, parent=parent)
    (folder / "request.json").write_text(asked.model_dump_json())


def test_a_failed_step_ends_with_an_error_line_and_no_result(tmp_path):
    request(tmp_path, "report", os.getpid())
    child = subprocess.run(
        [sys.executable, "-m", "worker.child", str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert child.returncode == 1
    assert json.loads(child.stdout.splitlines()[-1])["error"]["type"] == "internal"
    assert not (tmp_path / "result.json").exists()


def test_it_ends_when_its_worker_is_killed(tmp_path):
    """A parent that starts the child and sleeps is killed; the child, sleeping too, must go with it."""
    parent_code = (
        "import subprocess, sys, time, os\n"
        "code = 'import os, time, worker.child as c; c._end_with(int(os.environ[\"P\"])); '\n"
        "code += 'print(1, flush=True); time.sleep(60)'\n"
        "child = subprocess.Popen([sys.executable, '-c', code], env={**os.environ, 'P': str(os.getpid())}, "
        "stdout=subprocess.PIPE)\n"
        "child.stdout.readline()\n"
        "print(child.pid, flush=True)\n"
        "time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", parent_code], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        parent.send_signal(signal.SIGKILL)
    until = time.monotonic() + 10
    while Path(f"/proc/{pid}/stat").exists() and Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z":
        assert time.monotonic() < until, "the child outlived its worker"
        time.sleep(0.05)


def test_want_of_memory_seen_at_one_row_is_told_by_its_own_name():
    told = {"type": "not-enough-memory", "message": "not even one row fits"}
    assert describe(NotEnoughMemory("not even one row fits")) == Message(error=told, again=False)


class Training:
    """A training step in processes of its own."""

    def __init__(self, root: Path) -> None:
        self.root = root
        rows = [(f"the cat {word}", str(index % 2)) for index, word in enumerate(WORDS)]
        self.primary = write_dataset(root, "rows", rows)
        encoder = write_encoder("bert", root / "bert")
        self.spec = StepSpec(
            kind="discriminator",
            name="discriminator",
            version=1,
            params={
                "encoder": {"location": f"folder:{encoder}", "pooling": "mean", "max_length": 16},
                "discriminator": {"epochs": 8, "batch_size": 4, "rows_per_task": 40},
                "precision": "fp32",
                "seed": 3,
            },
            datasets=(self.primary.digest,),
        )

    def start(self, name: str, *older: str) -> subprocess.Popen[bytes]:
        """Begin an attempt of that name, which goes on from older ones, the latest first."""
        folder = self.root / name
        folder.mkdir()
        kept = self.root / "kept"
        asked = Request(
            spec=self.spec.to_json(),
            datasets={self.primary.digest: self.root / "rows"},
            inputs={},
            device="cpu",
            threads=1,
            parent=os.getpid(),
            keeping=Keeping(kept / name, tuple(kept / each for each in older), 0.001),
        )
        (folder / "request.json").write_text(asked.model_dump_json())
        with (folder / "told").open("wb") as told:
            return subprocess.Popen([sys.executable, "-m", "worker.child", str(folder)], stdout=told)

    def start_and_kill(self, name: str, *older: str, steps: int) -> None:
        """Begin an attempt and kill it as soon as it has kept so many steps."""
        with self.start(name, *older) as child:
            while not any(int(path.name[:8]) >= steps for path in complete(self.root / "kept" / name)):
                assert child.poll() is None, "it was over before it was killed"
                time.sleep(0.01)
            child.kill()

    def left(self, name: str) -> dict[str, str]:
        """Digests of what an attempt has learnt."""
        output = self.root / name / "output"
        files = [*(output / "model").glob("*.safetensors"), output / "history.json"]
        return {path.name: sha256(path) for path in files}

    def metrics(self, name: str) -> list[dict]:
        lines = [json.loads(line) for line in (self.root / name / "told").read_text().splitlines()]
        return [line["metrics"] for line in lines if line["metrics"]]


@pytest.mark.slow
def test_a_training_killed_twice_ends_with_the_bits_of_one_that_was_not(tmp_path):
    training = Training(tmp_path)
    training.start_and_kill("first", steps=5)
    training.start_and_kill("second", "first", steps=5)
    assert training.start("third", "second", "first").wait() == 0
    assert training.start("whole").wait() == 0
    assert training.left("third") == training.left("whole")
    assert training.metrics("third")[0]["resumed_at_step"] >= 10
    assert "resumed_at_step" not in training.metrics("whole")[0]
