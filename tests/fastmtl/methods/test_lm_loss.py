"""Cross-entropy difference: its plan, whom it refuses, what a row is scored, that rows like the primary score high."""

from __future__ import annotations

import importlib
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from tiny import MASKED_LMS, write_encoder
from transformers import AutoModelForMaskedLM

from fastmtl import methods
from fastmtl.canonical import convert
from fastmtl.config import JobConfig
from fastmtl.device import Machine
from fastmtl.encoders import Abilities
from fastmtl.masked_lm import MaskableRows, keys, load_masked_lm
from fastmtl.methods import ScoreRequest, lm_loss
from fastmtl.plan import StepSpec, TaskRef, Workspace, silent
from fastmtl.steps import rank
from fastmtl.steps.lm_loss import row_losses
from fastmtl.tokens import tokenize

RTE, MNLI, QNLI = TaskRef("rte", "r", 200), TaskRef("mnli", "m", 60_000), TaskRef("qnli", "q", 3)
CPU = Machine("cpu", "fp32", "test", 2**40)
DIGEST = "0123456789abcdef" * 4
ANIMALS = "the cat dog bird fish runs sleeps eats sings swims big small".split()
SHOP = "shop order refund late early price two three ten days new old".split()


def planned(*tasks: TaskRef, **options: object) -> list[StepSpec]:
    return lm_loss.plan(JobConfig(options={"lm_loss": options}), {"name": "tiny"}, tasks)


def test_the_model_is_adapted_once_and_every_auxiliary_row_is_measured_by_it():
    adapting, *measuring = planned(RTE, QNLI, MNLI, epochs=4, passes=5)
    # 200 rows train 4 times, each worth 3 passes; a measured row is passed 5 times through 2 models
    assert (adapting.kind, adapting.datasets, adapting.needs, adapting.cost) == ("adapt_lm", ("r",), (), 3 * 4 * 200)
    assert [(step.kind, step.name, step.datasets, step.needs, step.cost) for step in measuring] == [
        ("lm_loss", "language model loss 1/2", ("m",), (adapting.fingerprint,), 2 * 5 * 50_000),
        ("lm_loss", "language model loss 2/2", ("m", "q"), (adapting.fingerprint,), 2 * 5 * 10_003),
    ]


def test_the_plan_depends_on_the_primary_but_not_on_the_order_of_the_auxiliaries():
    plans = [[step.fingerprint for step in planned(*order)] for order in ([RTE, QNLI, MNLI], [RTE, MNLI, QNLI])]
    assert plans[0] == plans[1]
    assert planned(RTE, QNLI)[0].fingerprint != planned(MNLI, QNLI)[0].fingerprint


def test_other_auxiliaries_or_more_passes_find_the_adaptation_done():
    assert planned(RTE, QNLI)[0].fingerprint == planned(RTE, MNLI, passes=9)[0].fingerprint


def test_an_encoder_without_the_head_is_refused_with_those_that_have_it():
    assert lm_loss.refusal(Abilities("bert-base-cased", masked_lm=True)) is None
    assert lm_loss.refusal(Abilities("all-MiniLM-L6-v2", masked_lm=False)) == (
        "it measures the loss of the encoder's own masked language model, and the checkpoint of 'all-MiniLM-L6-v2' is "
        "not known to hold the head of one. Use an encoder whose checkpoint does, such as ModernBERT-base, "
        "bert-base-cased, bert-base-uncased, distilbert-base-cased, roberta-base, or another method"
    )


@pytest.mark.parametrize("option", [{"mask_share": 0}, {"mask_share": 0.91}, {"passes": 0}, {"passes": 101}])
def test_settings_out_of_bounds_are_not_taken(option: dict[str, float]):
    with pytest.raises(ValidationError):
        lm_loss.Options(**option)


def test_scores_are_the_differences_of_the_stored_losses(tmp_path: Path):
    losses = np.arange(10, dtype=np.float32).reshape(5, 2) ** 2  # differences -1, -5, -9, -13, -17
    for name, pieces, part in [("2", [["q", 1, 3]], losses[3:]), ("1", [["m", 0, 2], ["q", 0, 1]], losses[:3])]:
        (tmp_path / name).mkdir()
        np.save(tmp_path / name / "losses.npy", part)
        (tmp_path / name / "pieces.json").write_text(json.dumps(pieces))
    auxiliary = [TaskRef("qnli", "q", 3), TaskRef("mnli", "m", 2)]
    inputs = [tmp_path / "adapted", tmp_path / "2", tmp_path / "1"]
    found = lm_loss.score(ScoreRequest(RTE, auxiliary, inputs))
    assert [(each.scores.tolist(), each.seen.any()) for each in found] == [([-9, -13, -17], False), ([-1, -5], False)]


@pytest.fixture(scope="module")
def masked_lms(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return {name: write_encoder(name, tmp_path_factory.mktemp(name)) for name in MASKED_LMS}


@pytest.mark.parametrize("name", MASKED_LMS)
def test_a_rows_loss_is_what_plain_transformers_say_of_the_same_masks(masked_lms: dict[str, Path], name: str):
    """Golden: the library's own loss of one row alone, its masks drawn here; ours stands in a batch of longer rows."""
    text_a, text_b = ["the cat", "the bird sings"], ["a dog runs and sleeps and eats", "the big fish swims"]
    model, tokenizer = load_masked_lm(masked_lms[name], 64)
    rows = MaskableRows(tokenize(tokenizer, text_a, text_b, 64), keys(DIGEST, 6, 8), tokenizer, 0.3, seed=5)
    found = row_losses([model], rows, 2, CPU)[1, 0]

    plain, encoded = AutoModelForMaskedLM.from_pretrained(masked_lms[name]), tokenizer(text_a[1], text_b[1])
    losses = []
    for draw in (0, 1):
        words = [place for place, token in enumerate(encoded["input_ids"]) if token > 4]
        order = np.random.default_rng([5, 0x0123456789ABCDEF, 7, draw]).permutation(7)  # 7 words, 2 of them masked
        inputs = {key: torch.tensor([values]) for key, values in encoded.items()}
        labels = torch.full_like(inputs["input_ids"], -100)
        for place in (words[order[0]], words[order[1]]):
            labels[0, place], inputs["input_ids"][0, place] = int(inputs["input_ids"][0, place]), 4  # [MASK]
        losses.append(float(plain(**inputs, labels=labels).loss.detach()))
    assert found == pytest.approx(sum(losses) / 2, rel=1e-5)


def test_a_row_of_special_tokens_alone_has_no_loss(masked_lms: dict[str, Path]):
    model, tokenizer = load_masked_lm(masked_lms["bert-mlm"], 64)
    rows = MaskableRows(tokenize(tokenizer, ["", "the cat"], None, 64), keys(DIGEST, 0, 2), tokenizer, 0.15, seed=0)
    alone, word = row_losses([model, model], rows, 1, CPU).tolist()
    assert alone == [0, 0] and word[0] == word[1] > 0


def sentences(words: Sequence[str], count: int, seed: int) -> list[str]:
    generator = np.random.default_rng(seed)
    return [" ".join(generator.choice(words, size=generator.integers(3, 12))) for _ in range(count)]


class World:
    """Datasets on disk, and the steps that a method plans over them, run one after another."""

    def __init__(self, folder: Path, encoder: Path) -> None:
        self.folder, self.encoder = folder, {"location": f"folder:{encoder}", "pooling": "auto", "max_length": 32}
        self.datasets: dict[str, Path] = {}

    def dataset(self, key: str, texts: Sequence[str]) -> TaskRef:
        lines = [f"{text},{'ab'[index % 2]}" for index, text in enumerate(texts)]
        (self.folder / f"{key}.csv").write_text("\n".join(["text,label", *lines]))
        summary = convert(self.folder / f"{key}.csv", self.folder / f"{key}.parquet")
        self.datasets[summary.digest] = self.folder / f"{key}.parquet"
        return TaskRef(key, summary.digest, len(texts))

    def run(self, spec: StepSpec, name: str) -> Path:
        output = self.folder / name / spec.fingerprint
        output.mkdir(parents=True)
        inputs = {fingerprint: self.folder / name / fingerprint for fingerprint in spec.needs}
        workspace = Workspace(self.datasets, inputs, output, "cpu", silent)
        importlib.import_module(f"fastmtl.steps.{spec.kind}").run(spec, workspace)
        return output

    def scores(self, tasks: Sequence[TaskRef], name: str, seed: int = 0, **options: object) -> list[np.ndarray]:
        config = JobConfig(precision="fp32", seed=seed, options={"lm_loss": options})
        folders = [self.run(spec, name) for spec in methods.plan("lm_loss", config, self.encoder, tasks, "rank")]
        return [each.scores for each in rank.read(folders[-1], [task.digest for task in tasks[1:]])]


@pytest.fixture
def world(tmp_path: Path, masked_lms: dict[str, Path]) -> World:
    return World(tmp_path, masked_lms["bert-mlm"])


def test_rows_like_the_primary_score_higher(world: World):
    primary = world.dataset("primary", sentences(ANIMALS, 60, seed=1))
    mixed = [text for pair in zip(sentences(ANIMALS, 40, 2), sentences(SHOP, 40, 3), strict=True) for text in pair]
    (scores,) = world.scores([primary, world.dataset("mixed", mixed)], "job", epochs=20, learning_rate=3e-3, passes=2)
    alike, unlike = scores[::2], scores[1::2]
    # the tiny model knows nothing before, so adapted it is better on the words of the primary, and worse on others
    assert alike.mean() > 0.5 and unlike.mean() < -0.5
    assert np.median(alike) > unlike.max()


def test_a_seed_gives_the_same_bits_and_another_seed_others(world: World):
    tasks = [world.dataset("primary", sentences(ANIMALS, 20, 1)), world.dataset("other", sentences(SHOP, 10, 2))]
    first, again, other = (world.scores(tasks, f"job {run}", seed)[0] for run, seed in enumerate((3, 3, 4)))
    assert first.tobytes() == again.tobytes() != other.tobytes()


def test_shards_do_not_change_scores(world: World):
    tasks = [world.dataset("primary", sentences(ANIMALS, 20, 1)), world.dataset("other", sentences(SHOP, 12, 2))]
    adapting, whole = lm_loss.plan(JobConfig(precision="fp32"), world.encoder, tasks)
    world.run(adapting, "job")
    cuts = [[(0, 12)], [(0, 5), (5, 12)]]
    losses = []
    for cut in cuts:
        pieces = [[[tasks[1].digest, start, stop]] for start, stop in cut]
        specs = [
            StepSpec("lm_loss", "", 1, {**whole.params, "pieces": each}, whole.datasets, whole.needs) for each in pieces
        ]
        losses.append(np.concatenate([np.load(world.run(spec, "job") / "losses.npy") for spec in specs]))
    assert losses[0].shape == (12, 2) and np.allclose(*losses, atol=1e-5, rtol=0)
