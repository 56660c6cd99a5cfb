"""Steps that are cut off, again and again, end with the very bits of one that was not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from attempts import Attempts, contents
from tiny import write_encoder
from worlds import config, write_world

from fastmtl import pipeline
from fastmtl.artifacts import Cache
from fastmtl.canonical import convert
from fastmtl.device import Machine
from fastmtl.keeping import complete
from fastmtl.local import run_steps
from fastmtl.plan import StepSpec, TaskRef, silent


@dataclass(frozen=True)
class World:
    """Every kind of step that computes with an encoder, and what each left behind when it was not cut off."""

    steps: dict[str, StepSpec]
    folders: dict[str, Path]
    datasets: dict[str, Path]

    def attempts(self, kind: str, folder: Path) -> Attempts:
        spec = self.steps[kind]
        return Attempts(spec, self.datasets, {need: self.folders[need] for need in spec.needs}, folder)

    def whole(self, kind: str) -> dict:
        found = contents(self.folders[self.steps[kind].fingerprint])
        return {name: content for name, content in found.items() if name not in ("manifest.json", "costs.json")}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    root = tmp_path_factory.mktemp("world")
    read = {key: convert(path, root / key) for key, path in write_world(root).items()}
    refs = {key: TaskRef(key, summary.digest, summary.rows) for key, summary in read.items()}
    tasks = pipeline.Tasks(refs["primary"], (refs["alike"], refs["unlike"]), refs["validation"])
    known = {name: f"folder:{write_encoder(name, root / name)}" for name in ("bert", "bert-mlm")}
    options = {"lm_loss": {"passes": 2, "epochs": 2, "batch_size": 8}}
    planned = [
        *pipeline.plan(config("bert", compare=["gradient", "embedding"]), tasks, known),
        *pipeline.plan(config("bert-mlm", method="lm_loss", options=options), tasks, known),
        *pipeline.plan(config("bert", options={"discriminator": {"slice_times": 2, "sample_rows": 20}}), tasks, known),
    ]
    steps = {step.kind: step for step in reversed(planned)}
    wanted = [steps[kind] for kind in TRAININGS] + [steps[kind] for kind in SCORINGS]
    datasets = {summary.digest: root / key for key, summary in read.items()}
    folders, _, _ = run_steps(with_needs(wanted, planned), Cache(root / "cache"), datasets, "cpu", lambda step: silent)
    return World(steps, folders, datasets)


def with_needs(wanted: Sequence[StepSpec], planned: Sequence[StepSpec]) -> list[StepSpec]:
    """Return the steps that are wanted and all that they need, however far back, in the order of the plan."""
    names = {step.fingerprint for step in wanted}
    for step in reversed(planned):
        names |= set(step.needs) if step.fingerprint in names else set()
    return [step for step in planned if step.fingerprint in names]


TRAININGS = {"discriminator": 15, "target": 7, "finetune": 6, "warm_up": 8, "adapt_lm": 4}
"""After how many words each is cut off, again and again."""
SCORINGS = ["score", "sample", "cascade", "embed", "explain", "gradients", "lm_loss"]


@pytest.mark.parametrize(("kind", "words"), TRAININGS.items())
def test_a_training_cut_off_again_and_again_ends_with_the_same_bits(world, tmp_path, kind, words):
    attempts = world.attempts(kind, tmp_path)
    output = attempts.run_cut_every(words)
    assert contents(output) == world.whole(kind)
    resumed = [teller.measured[0]["resumed_at_step"] for teller in attempts.tellers[1:] if teller.measured]
    assert len(resumed) >= 2 and resumed == sorted(set(resumed))


@pytest.mark.parametrize("kind", SCORINGS)
def test_a_scoring_cut_off_again_and_again_ends_with_the_same_bits(world, tmp_path, kind, monkeypatch):
    monkeypatch.setattr(Machine, "tokens_at_once", 100)  # batches of some few rows
    monkeypatch.setattr("fastmtl.adapters.GRADIENT_TOKENS", 100)
    whole, cut = (world.attempts(kind, tmp_path / name) for name in ("whole", "cut"))
    expected = whole.run()
    output = cut.run_cut_every(2 * len(whole.tellers[0].messages) // 3)
    assert contents(output) == contents(expected)
    assert len(cut.tellers) == 2 and len(cut.tellers[1].messages) < len(whole.tellers[0].messages)


def test_a_finetuning_cut_off_while_it_measures_goes_on_measuring(world, tmp_path, monkeypatch):
    monkeypatch.setattr(Machine, "tokens_at_once", 24)
    whole, cut = (world.attempts("finetune", tmp_path / name) for name in ("whole", "cut"))
    expected = whole.run()
    assert cut.run(len(whole.tellers[0].messages) - 2) is None
    assert contents(cut.run()) == contents(expected)
    told = cut.tellers[1].messages
    assert [message for message in told if not message.startswith("reading")] == whole.tellers[0].messages[-2:]


def test_what_a_training_measured_is_told_epoch_by_epoch(world, tmp_path):
    attempts = world.attempts("target", tmp_path)
    attempts.run()
    losses = world.whole("target")["history.json"]["losses"]
    assert attempts.tellers[0].measured == [{"epoch": index + 1, "loss": loss} for index, loss in enumerate(losses)]


def test_an_attempt_that_finds_a_damaged_checkpoint_begins_anew(world, tmp_path):
    attempts = world.attempts("warm_up", tmp_path)
    attempts.run(10)
    (kept,) = complete(tmp_path / "kept-1")
    kept.write_bytes(kept.read_bytes()[:-7])
    assert contents(attempts.run()) == world.whole("warm_up")
    assert attempts.tellers[1].warnings == ["a checkpoint of the attempt before was passed over: it is damaged"]
