"""The step's process: what it says when something goes wrong, and that it ends with its worker."""

from __future__ import annotations

import gc
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from trainings import Training

from fastmtl.errors import EncoderUnavailable, InvalidConfig, NotEnoughMemory
from worker.child import describe, loading
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


def request(folder: Path, kind: str) -> None:
    spec = {"kind": kind, "name": kind, "version": 1, "params": {}, "datasets": [], "needs": [], "cost": 0}
    asked = Request(spec=spec, datasets={}, inputs={}, device="cpu", threads=1)
    (folder / "request.json").write_text(asked.model_dump_json())


def test_a_failed_step_ends_with_an_error_line_and_no_result(tmp_path):
    request(tmp_path, "report")
    child = subprocess.run(
        [sys.executable, "-m", "worker.child", str(tmp_path), str(os.getpid())],
        capture_output=True,
        text=True,
        check=False,
    )
    assert child.returncode == 1
    assert json.loads(child.stdout.splitlines()[-1])["error"]["type"] == "internal"
    assert not (tmp_path / "result.json").exists()


def test_it_ends_when_its_worker_is_killed(tmp_path):
    """A parent that starts the child and sleeps is killed; the child, sleeping too, must go with it."""
    parent_code = (
        "import subprocess, sys, time, os\n"
        "code = 'import os, time, worker.child as c; c.end_with(int(os.environ[\"P\"])); '\n"
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


def test_garbage_is_looked_for_again_once_all_is_loaded():
    with loading():
        assert not gc.isenabled()
    assert gc.isenabled() and gc.get_freeze_count() > 0


def test_want_of_memory_seen_at_one_row_is_told_by_its_own_name():
    told = {"type": "not-enough-memory", "message": "not even one row fits"}
    assert describe(NotEnoughMemory("not even one row fits")) == Message(error=told, again=False)


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
