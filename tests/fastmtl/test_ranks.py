"""A training that two processes share takes the steps of one."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import shared_training
import torch
from safetensors.torch import load_file

from fastmtl.ranks import Ranks


@pytest.fixture(scope="module")
def shared(encoder_folders: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What two processes left."""
    folder = tmp_path_factory.mktemp("shared")
    command = [sys.executable, shared_training.__file__, str(encoder_folders["bert"]), str(folder / "meeting")]
    started = [subprocess.Popen([*command, str(rank), "2", str(folder / "rank")]) for rank in (0, 1)]
    assert [each.wait(240) for each in started] == [0, 0]
    return folder


def test_the_loss_curve_and_the_weights_are_those_of_one_process(shared: Path, encoder_folders: dict[str, Path]):
    model, history = shared_training.trained(encoder_folders["bert"])
    losses, steps, rows = json.loads((shared / "rank-0.json").read_text())
    assert (steps, rows) == (history.steps, history.rows)
    assert losses == pytest.approx(history.losses, rel=1e-4)
    found = load_file(shared / "rank-0.safetensors")
    for name, weight in model.state_dict().items():
        torch.testing.assert_close(found[name], weight, rtol=1e-3, atol=1e-5, msg=name)


def test_both_processes_end_with_the_same_bits(shared: Path):
    first, second = (load_file(shared / f"rank-{rank}.safetensors") for rank in (0, 1))
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_alone_nothing_is_shared_summed_or_seeded(encoder_folders: dict[str, Path]):
    ranks, state = Ranks.here(), torch.get_rng_state()
    loss = torch.tensor(1.5)
    ranks.seed(1, 2)
    assert (ranks.count, ranks.sum([], loss) is loss, torch.equal(torch.get_rng_state(), state)) == (1, True, True)
