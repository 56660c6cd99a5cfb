"""A short measurement of a device, on an encoder of two layers."""

from __future__ import annotations

from pathlib import Path

import pytest

from fastmtl import calibration
from fastmtl.device import describe
from fastmtl.encoders import KNOWN, resolve
from fastmtl.model import Checkpoint, load_checkpoint
from fastmtl.plan import Json, StepSpec, Workspace, silent
from fastmtl.steps import calibrate, calibrate_plain
from fastmtl.tokens import tokenize

LENGTHS = (8, 32)
TOKENS = 512


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"LENGTHS": LENGTHS, "TOKENS": TOKENS, "SECONDS": 0.01}.items():
        monkeypatch.setattr(calibration, name, value)


@pytest.fixture
def checkpoint(encoder_folders: dict[str, Path]) -> Checkpoint:
    return load_checkpoint(encoder_folders["bert"], "mean", 64)


def spec(kind: str, **params: object) -> StepSpec:
    return StepSpec(kind=kind, name=kind, version=1, params=params)


def workspace(folder: Path) -> Workspace:
    return Workspace({}, {}, folder, "cpu", silent)


def test_both_lengths_are_passed_forward_and_trained_on(checkpoint: Checkpoint):
    parts = list(calibration.calibrate(checkpoint, describe("cpu", "fp32")))
    assert [(part.work.scored_rows, part.work.trained_rows, part.work.steps) for part in parts] == [
        (64, 0, 0),  # 512 tokens in rows of 8
        (0, 64, 2),  # in batches of 32
        (16, 0, 0),
        (0, 16, 1),
    ]
    assert {part.work.tokens for part in parts} == {TOKENS}
    assert all(part.seconds > 0 and part.peak_bytes > 2**20 for part in parts)


def test_on_a_machine_that_is_too_busy_less_is_measured(checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(calibration, "LIMIT_SECONDS", -1.0)
    assert list(calibration.calibrate(checkpoint, describe("cpu", "fp32"))) == []


def test_an_encoder_of_few_positions_is_measured_as_far_as_it_reads(checkpoint: Checkpoint):
    few = Checkpoint(checkpoint.encoder, checkpoint.tokenizer, checkpoint.pooling, 8)
    assert {
        part.work.trained_tokens / part.work.trained_rows
        for part in calibration.calibrate(few, describe("cpu", "fp32"))
        if part.work.trained_rows
    } == {8.0}


def test_a_character_of_english_has_as_many_tokens_as_the_packaged_encoder_counts():
    packaged = load_checkpoint(resolve(KNOWN["all-MiniLM-L6-v2"]), "auto", 128)
    rate = calibration.tokens_per_character(packaged.tokenizer)
    text = "The train to Vienna was late, and nobody at the station knew from which platform it would leave."
    assert len(tokenize(packaged.tokenizer, [text], None, 128).ids) == pytest.approx(2 + rate * len(text), rel=0.15)


def told(folder: Path, encoder: Json, known: list[str]) -> Json:
    return calibrate.run(spec("calibrate", encoder=encoder, precision="fp32", known=known), workspace(folder))


def test_the_step_says_what_it_measured_unless_the_device_is_known(encoder_folders: dict[str, Path], tmp_path: Path):
    encoder = {"location": f"folder:{encoder_folders['bert']}", "pooling": "mean", "max_length": 128}
    machine = describe("cpu", "fp32")
    found = told(tmp_path, encoder, [])
    assert (len(found["parts"]), found["read"]["texts"]) == (4, {})
    assert found["seconds"] >= sum(part["seconds"] for part in found["parts"])
    assert told(tmp_path, encoder, [f"{machine.name}, fp32"]) == {"parts": []}


def test_without_an_encoder_leaks_are_looked_for(tmp_path: Path):
    found = calibrate_plain.run(spec("calibrate_plain"), workspace(tmp_path))
    assert found["characters"] > 100_000
    assert found["seconds"] > 0
