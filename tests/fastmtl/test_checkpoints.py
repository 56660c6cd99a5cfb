"""Checkpoints: whole or absent, of one moment, for one step; what cannot be used is passed over with a warning."""

from __future__ import annotations

import json
import os
import resource
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from fastmtl.checkpoints import SPARE_BYTES, Checkpoints, State
from fastmtl.keeping import Keeping, complete

STEP = {"fingerprint": "f", "precision": "fp32"}
HERE = {"machine": "a", "torch": "2"}


@dataclass
class World:
    """Attempts at a step of one part, whose state is a number and a tensor of it."""

    root: Path
    time: float = 0.0
    warnings: list[str] = field(default_factory=list)
    free: int = 2**40
    """Bytes that the disk has left."""

    def folder(self, attempt: int) -> Path:
        return self.root / str(attempt)

    def attempt(self, number: int, identity: dict = STEP, made_on: dict = HERE) -> Checkpoints:
        older = tuple(self.folder(each) for each in range(number - 1, 0, -1))
        keeping = Keeping(self.folder(number), older, seconds=30)
        clock, free = (lambda: self.time), (lambda folder: self.free)
        return Checkpoints(keeping, identity, made_on, self.warnings.append, clock, free)

    def write(self, attempt: int, *numbers: float, **options: dict) -> Path:
        """Write checkpoints, one after another, in an attempt of its own; return the last."""
        checkpoints = self.attempt(attempt, **options)
        for number in numbers:
            checkpoints.keep("counting", lambda number=number: state(number))
            checkpoints.write()
        return complete(self.folder(attempt))[0]

    def found(self, attempt: int, **options: dict) -> float | None:
        kept = self.attempt(attempt, **options).take("counting")
        assert kept is None or kept.facts["number"] == float(kept.tensors["number"])
        return kept and kept.facts["number"]


def state(number: float) -> State:
    return State({"number": torch.tensor(number, dtype=torch.float64)}, {"number": number})


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_the_next_attempt_finds_the_newest_of_the_one_before_and_only_that_is_left(world):
    path = world.write(1, 0.1, 0.2, 1 / 3)
    assert (world.found(2), world.warnings) == (1 / 3, [])
    assert list(world.folder(1).iterdir()) == [path]


def test_the_latest_attempt_that_kept_anything_is_the_one_to_go_on_from(world):
    world.write(1, 1.0)
    world.write(2, 2.0)
    world.folder(3).mkdir()
    assert world.found(4) == 2.0


def test_the_first_attempt_finds_nothing_and_what_is_taken_is_taken_once(world):
    assert world.found(1) is None
    world.write(1, 1.0)
    checkpoints = world.attempt(2)
    assert [checkpoints.take("counting") is not None for _ in range(2)] == [True, False]


def test_parts_are_kept_together_and_one_that_is_dropped_is_not(world):
    checkpoints = world.attempt(1)
    for part, number in [("a", 1.0), ("b", 2.0), ("c", 3.0)]:
        checkpoints.keep(part, lambda number=number: state(number))
    checkpoints.drop("b")
    checkpoints.write()
    after = world.attempt(2)
    assert [kept and kept.facts for kept in map(after.take, "abc")] == [{"number": 1.0}, None, {"number": 3.0}]


def test_one_is_written_when_it_is_due_and_its_time_begins_when_it_stands(world):
    checkpoints = world.attempt(1)
    checkpoints.keep("counting", lambda: state(world.time))
    written = []
    for world.time in (0.0, 29.0, 31.0, 60.0, 61.0):
        checkpoints.tick()
        written.append(len(complete(world.folder(1))))
    assert (written, world.found(2)) == ([0, 0, 1, 1, 1], 61.0)


def test_without_a_place_nothing_is_kept(world):
    checkpoints = Checkpoints.none()
    checkpoints.keep("counting", lambda: state(1.0))
    checkpoints.tick()
    checkpoints.write()
    assert (checkpoints.take("counting"), list(world.root.iterdir())) == (None, [])


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"identity": {**STEP, "fingerprint": "other"}}, "of another fingerprint"),
        ({"identity": {**STEP, "precision": "bf16"}}, "of another precision"),
        ({"identity": {"precision": "fp32"}}, "of another fingerprint"),
    ],
)
def test_one_for_another_step_or_arithmetic_is_passed_over_with_a_warning(world, change, reason):
    world.write(1, 1.0, **change)
    assert world.found(2) is None
    assert [reason in told for told in world.warnings] == [True]


def test_one_in_another_format_is_passed_over(world, monkeypatch):
    monkeypatch.setattr("fastmtl.checkpoints.FORMAT", 0)
    world.write(1, 1.0)
    monkeypatch.undo()
    assert world.found(2) is None
    assert ["of another format" in told for told in world.warnings] == [True]


def test_one_from_another_machine_is_used_with_a_warning(world):
    world.write(1, 1.0, made_on={**HERE, "machine": "b"})
    assert world.found(2) == 1.0
    assert ["(b, not a)" in told for told in world.warnings] == [True]


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size - 1)


def flip_a_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def empty(path: Path) -> None:
    path.write_bytes(b"")


def replace_by_something_else(path: Path) -> None:
    """Tensors, and named by their digest, but not of ours."""
    import hashlib

    save_file({"counting/number": torch.zeros(())}, path, {"fastmtl": json.dumps([1])})
    path.rename(path.with_name(f"00000009-{hashlib.sha256(path.read_bytes()).hexdigest()}.safetensors"))


@pytest.mark.parametrize("harm", [cut, flip_a_bit, empty, replace_by_something_else])
def test_a_damaged_one_is_passed_over_with_a_warning_for_an_older_one(world, harm):
    world.write(1, 1.0)
    harm(world.write(2, 2.0))
    assert world.found(3) == 1.0
    assert ["was passed over" in told for told in world.warnings] == [True]


def test_what_a_writer_left_half_written_is_not_looked_at(world):
    path = world.write(1, 1.0)
    (path.parent / ".partial").write_bytes(b"half")
    assert (world.found(2), world.warnings) == (1.0, [])


def test_one_for_which_the_disk_has_no_room_is_skipped_with_a_warning_and_the_older_one_stays(world):
    world.write(1, 1.0)
    checkpoints = world.attempt(2)
    checkpoints.keep("counting", lambda: state(2.0))
    for world.free in (SPARE_BYTES + 7, SPARE_BYTES + 7):
        checkpoints.write()
    told = "a checkpoint could not be written, the step goes on without: it takes 0.0 MiB, and of the disk 64.0 MiB are"
    assert ([each.startswith(told) for each in world.warnings], world.found(3)) == ([True], 1.0)
    world.free = SPARE_BYTES + 8  # the state is one number of eight bytes
    checkpoints.write()
    assert (world.found(3), len(world.warnings)) == (2.0, 1)


def test_a_disk_that_fills_up_while_one_is_written_is_a_warning_and_nothing_half_written_stays(world):
    checkpoints = world.attempt(1)
    checkpoints.keep("counting", lambda: State({"number": torch.zeros(100_000)}, {}))
    before, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, most))  # a write beyond it fails as one on a full disk does
    try:
        checkpoints.write()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (before, most))
    assert ["could not be written" in told for told in world.warnings] == [True]
    assert list(world.folder(1).iterdir()) == []


def test_a_disk_that_takes_nothing_is_a_warning_once_and_the_older_checkpoint_stays(world):
    world.folder(1).write_bytes(b"a file where the folder should be")
    checkpoints = world.attempt(1)
    checkpoints.keep("counting", lambda: state(1.0))
    checkpoints.write()
    checkpoints.write()
    assert ["could not be written" in told for told in world.warnings] == [True]
    world.folder(1).unlink()
    checkpoints.write()
    assert (world.found(2), len(world.warnings)) == (1.0, 1)
