"""A training on several devices: processes that the step's own starts, and that end with it."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from collections.abc import Callable

import psutil
import pytest
from trainings import Training


def peers_of(child: subprocess.Popen[bytes]) -> list[psutil.Process]:
    return psutil.Process(child.pid).children()


def until(true: Callable[[], object]) -> None:
    give_up = time.monotonic() + 240
    while not true():
        assert time.monotonic() < give_up
        time.sleep(0.02)


@pytest.mark.timeout(600)
def test_a_step_that_two_devices_share_leaves_what_one_would_and_no_process(tmp_path):
    training = Training(tmp_path, device="cpu,cpu")
    with training.start("shared") as child:
        until(lambda: peers_of(child) or child.poll() is not None)
        peers = peers_of(child)
        assert child.wait(240) == 0
    assert len(peers) == 1
    until(lambda: not any(peer.is_running() and peer.status() != psutil.STATUS_ZOMBIE for peer in peers))
    history = json.loads((tmp_path / "shared" / "output" / "history.json").read_text())
    machine = json.loads((tmp_path / "shared" / "output" / "model" / "fastmtl.json").read_text())["machine"]
    assert (history["steps"], machine["name"].startswith("2 x ")) == (80, True)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("which", ["peer", "own"])
def test_the_death_of_one_of_them_ends_the_attempt_and_leaves_none(tmp_path, which: str):
    training = Training(tmp_path, device="cpu,cpu")
    training.spec.params["discriminator"]["epochs"] = 100
    with training.start("shared") as child:
        until(lambda: (tmp_path / "kept" / "shared").exists())  # they train
        (peer,) = peers_of(child)
        (peer if which == "peer" else child).send_signal(signal.SIGKILL)
        assert child.wait(240) != 0
    until(lambda: not peer.is_running() or peer.status() == psutil.STATUS_ZOMBIE)
    errors = [line["error"] for line in map(json.loads, (tmp_path / "shared" / "told").read_text().splitlines())]
    assert (errors[-1]["type"] if which == "peer" else "worker-lost") == "worker-lost"
