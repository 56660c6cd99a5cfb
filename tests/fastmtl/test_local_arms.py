"""Whole runs with arms, repetitions, a budget curve and explanations, on small worlds with a tiny encoder."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModel, AutoTokenizer
from worlds import about_animals, chosen, config, read_csv, run, write_csv, write_world

from fastmtl.errors import FastMTLError
from fastmtl.local import Result, select_rows
from fastmtl.plan import Json, Progress, StepSpec, silent

COMPARED = ["primary_only", "random", "random_balanced", "all_data", "full"]
PARTS = ["best 5", "best 12", "without alike", "without unlike"]
ARMS = {"compare": COMPARED, "budget_curve": [12, 5], "leave_one_out": True}
STEPS = 2 * (5 + 3)
"""Two epochs over 36 rows of the primary, in batches of 8, and 20 others."""


@dataclass
class Done:
    """A job that was computed, and what it left in its cache."""

    result: Result
    cache: Path
    steps: dict[str, StepSpec]

    @property
    def report(self) -> Json:
        """The report that the user gets."""
        report: Json = json.loads((self.result.folder / "report.json").read_text())
        return report

    def read(self, step: str, file: str) -> Json:
        """A JSON file that a step left."""
        content: Json = json.loads((self.folder(step) / file).read_text())
        return content

    def folder(self, step: str) -> Path:
        """The folder of a step."""
        return self.cache / self.steps[step].fingerprint

    def trainings(self) -> dict[str, int]:
        """Optimiser steps of every arm and repetition."""
        return {name: self.read(name, "history.json")["steps"] for name in self.steps if name.startswith("target")}


def compute(world: dict[str, Path], output: Path, known: dict[str, str], cache: Path, **options: object) -> Done:
    steps: dict[str, StepSpec] = {}

    def note(step: StepSpec) -> Progress:
        steps[step.name] = step
        return silent

    return Done(run(world, output, known, cache=cache, progress=note, **options), cache, steps)


@pytest.fixture(scope="module")
def places(encoder_folders, tmp_path_factory) -> tuple[dict[str, Path], dict[str, str], Path]:
    """A world, its encoders and a cache that the jobs of this file share."""
    folder = tmp_path_factory.mktemp("arms")
    known = {name: f"folder:{place}" for name, place in encoder_folders.items()}
    return write_world(folder), known, folder


@pytest.fixture(scope="module")
def once(places) -> Done:
    """A job of every kind of arm."""
    world, known, folder = places
    return compute(world, folder / "once", known, folder / "cache", config=config(**ARMS))


@pytest.fixture(scope="module")
def twice(places, once) -> Done:
    """The same with two repetitions; `steps` are those that it did not find done."""
    world, known, folder = places
    return compute(world, folder / "twice", known, folder / "cache", config=config(**ARMS, repeats=2))


def test_every_arm_but_full_takes_exactly_as_many_optimiser_steps(once, twice):
    arms = ["selection", *COMPARED, *PARTS]
    full = 2 * (5 + 8 + 8)  # 60 rows of either auxiliary
    assert once.trainings() == {f"target ({arm})": full if arm == "full" else STEPS for arm in arms}
    assert twice.trainings() == {f"target ({arm}, 2)": full if arm == "full" else STEPS for arm in arms}


def test_a_selection_spread_over_many_small_datasets_takes_no_more_steps(tmp_path, known):
    rows = {n: [(text, str(row % 2)) for row, (text, _) in enumerate(about_animals(4, 100 + n))] for n in range(12)}
    files = [write_csv(tmp_path / f"{n}.csv", "text_a,label", rows[n]) for n in rows]
    world = write_world(tmp_path)
    steps: list[StepSpec] = []
    settings = config(compare=["primary_only", "all_data"], budget=24, method="random_balanced", explain=0)
    result = select_rows(
        world["primary"],
        files,
        tmp_path / "out",
        validation=world["validation"],
        config=settings,
        known_encoders=known,
        device="cpu",
        progress=lambda step: steps.append(step) or silent,
    )
    folders = [result.folder / ".cache" / step.fingerprint for step in steps if step.kind == "target"]
    taken = [json.loads((folder / "history.json").read_text())["steps"] for folder in folders]
    assert {key: count["selected"] for key, count in result.counts.items()} == {str(n): 2 for n in range(12)}
    assert taken == [2 * (5 + 3)] * 3  # though an epoch of the selection has 5 + 12 batches


def test_an_arm_knows_the_datasets_that_it_trains_on_and_no_others(once):
    digests = {key: summary.digest for key, summary in once.result.summaries.items()}
    expected = {
        "selection": set(dict(chosen(once.result.folder))),
        "primary_only": set(),
        "without alike": set(dict(chosen(once.result.folder))) - {"alike"},
        "without unlike": {"alike"},
        "best 5": set(dict(chosen(once.result.folder)[:5])),
        "all_data": {"alike", "unlike"},
        "full": {"alike", "unlike"},
    }
    found = {}
    for arm in expected:
        (about,) = [
            file for file in (once.folder(f"target ({arm})") / "model").glob("*.json") if "tasks" in file.read_text()
        ]
        found[arm] = {key for key, digest in digests.items() if key != "primary" and digest in about.read_text()}
    assert found == expected


def test_more_repetitions_find_all_of_the_first_one_done(once, twice):
    assert set(twice.result.reused) == set(once.steps) - {"report"}
    assert all(name.endswith(", 2)") for name in twice.steps if name != "report")
    assert not any(name.startswith(("discriminator", "score", "explain", "select (sel")) for name in twice.steps)


def test_random_arms_draw_anew_with_each_repetition_and_the_selection_does_not(once, twice):
    drawn = [chosen(once.folder("select (random)")), chosen(twice.folder("select (random, 2)"))]
    assert (len(drawn[0]), len(drawn[1]), drawn[0] == drawn[1]) == (20, 20, False)
    assert (once.result.digest == twice.result.digest, "select (selection, 2)" in twice.steps) == (True, False)


def test_the_balanced_draw_takes_as_many_rows_of_every_dataset(once):
    drawn = set(chosen(once.folder("select (random_balanced)")))
    assert Counter(key for key, _ in drawn) == {"alike": 10, "unlike": 10}


def test_all_data_may_visit_every_row_that_leaks_nothing(once):
    every_row = [(key, row) for key in ("alike", "unlike") for row in range(60)]
    assert sorted(chosen(once.folder("select (all_data)"))) == every_row


def test_repeated_selections_choose_anew(places):
    world, known, folder = places
    settings = config(compare=[], repeats=2, repeat="selection", explain=0)
    done = compute(world, folder / "anew", known, folder / "cache", config=settings)
    assert {"discriminator #2", "score 1/1 #2", "rank (selection, 2)", "select (selection, 2)"} < set(done.steps)
    assert chosen(done.folder("select (selection, 2)")) != chosen(done.result.folder)
    assert list(done.report["arms"]) == ["selection"]
    assert [each["seed"] for each in done.report["arms"]["selection"]["repeats"]] == [0, 1]
    assert done.report["selection"]["digest"] == done.result.digest  # the first: its rows and its model are delivered
    assert "select" in [each["step"] for each in done.report["costs"]["selection"]["steps"]]


def test_a_report_holds_every_arm_with_the_mean_and_the_spread_of_its_seeds(once, twice):
    arms = twice.report["arms"]
    assert list(arms) == ["selection", *COMPARED, "best 5", "best 12", "without alike", "without unlike"]
    for name, arm in arms.items():
        values = [
            done.read(f"finetune ({name}{number})", "evaluation.json")["metrics"]["accuracy"]
            for done, number in ((once, ""), (twice, ", 2"))
        ]
        assert arm["metrics"]["accuracy"] == pytest.approx(np.mean(values))
        assert arm["spread"]["accuracy"] == pytest.approx(np.std(values, ddof=1))
        assert [(each["seed"], each["metrics"]["accuracy"]) for each in arm["repeats"]] == [*enumerate(values)]
    assert set(once.report["arms"]["selection"]["spread"].values()) == {None}


def test_differences_and_gains_are_those_of_the_means(twice):
    report = twice.report
    means = {name: arm["metrics"]["accuracy"] for name, arm in report["arms"].items()}
    assert {arm: each["value"] for arm, each in report["differences"].items()} == {
        arm: pytest.approx(means["selection"] - means[arm]) for arm in COMPARED
    }
    assert {name: {arm: each["value"] for arm, each in found.items()} for name, found in report["gains"].items()} == {
        baseline: {
            arm: pytest.approx(means[arm] - means[baseline])
            for arm in ["selection", *COMPARED]
            if arm not in (baseline, "primary_only")
        }
        for baseline in ("primary_only", "random", "random_balanced")
    }
    assert all(each["low"] <= each["value"] <= each["high"] for each in report["differences"].values())
    assert {each["repeats"] for each in report["differences"].values()} == {2}


def test_a_report_says_in_sentences_what_the_selection_was_worth(once, twice):
    assert len(twice.report["verdict"]) == len(COMPARED)
    assert all("2 seeds" in sentence and "accuracy" in sentence for sentence in twice.report["verdict"])
    assert (once.report["notes"][0][:12], twice.report["notes"][0][:9]) == ("One seed a r", "Two seeds")
    assert twice.result.report["verdict"] == twice.report["verdict"]
    assert twice.result.report["recommendation"] == twice.report["recommendation"]
    assert twice.report["recommendation"].startswith(("Use no auxiliary data here", "Train with "))


def test_the_budget_curve_goes_from_the_primary_alone_to_the_budget(twice):
    curve, arms = twice.report["budget_curve"], twice.report["arms"]
    assert [(each["arm"], each["budget"], each["mean"]) for each in curve["points"]] == [
        (arm, budget, arms[arm]["metrics"]["accuracy"])
        for arm, budget in [("primary_only", 0), ("best 5", 5), ("best 12", 12), ("selection", 20)]
    ]
    assert curve["recommended"] <= curve["best"]


def test_every_dataset_that_was_left_out_is_told_of(twice):
    effects, counts = twice.report["datasets"], twice.result.counts
    assert {key: each["selected"] for key, each in effects.items()} == {
        key: counts[key]["selected"] for key in ("alike", "unlike")
    }
    assert effects["alike"]["meaning"] in ("helped", "hurt", "no effect shown")
    assert (effects["unlike"]["meaning"] == "not chosen") == (counts["unlike"]["selected"] == 0)


def test_the_report_says_what_the_choice_of_every_arm_took(once, twice):
    costs = once.report["costs"]
    assert list(costs) == list(twice.report["costs"]) == ["selection", *COMPARED[1:]]
    steps = {name: [each["step"] for each in cost["steps"]] for name, cost in costs.items()}
    assert steps["selection"] == ["discriminator", "leakage", "rank", "score 1/1", "select"]
    assert steps["random_balanced"] == ["leakage", "rank (random_balanced)", "select (random_balanced)"]
    # 4 epochs of 20 rows of three tasks, a training row worth three passes; then all 160 rows are scored
    assert {name: cost["passes"] for name, cost in costs.items()} == {
        **dict.fromkeys(costs, 0),
        "selection": 3 * 4 * 60 + 160,
    }
    assert all(each["bytes"] > 2**20 for cost in costs.values() for each in [cost, *cost["steps"]])
    assert costs["selection"]["rows_per_second"] > 0


def test_explanations_stand_in_order_of_rank_beside_the_selection(once):
    told, picked = (pq.read_table(once.result.folder / f"{n}.parquet") for n in ("explanations", "selection"))
    assert told.select(["rank", "dataset", "row", "score"]) == picked
    assert told["percentile"].to_numpy().max() <= 100
    assert all(len(set(rows)) == 3 and max(rows) < 40 for rows in told["nearest_rows"].to_pylist())
    assert all(found == sorted(found, reverse=True) for found in told["similarities"].to_pylist())


def test_only_the_selection_is_computed_where_nothing_is_to_be_trained(places, tmp_path):
    world, known, _ = places
    done = compute(world, tmp_path, known, tmp_path / "cache", config=config(**ARMS, repeats=2), train=False)
    assert set(done.steps) == {"discriminator", "score 1/1", "rank", "leakage", "select", "explain"}
    assert (done.result.report, (tmp_path / "explanations.parquet").exists()) == (None, True)


def test_without_explanations_none_are_written(places, tmp_path):
    world, known, folder = places
    compute(world, tmp_path, known, folder / "cache", config=config(explain=0), train=False)
    assert not (tmp_path / "explanations.parquet").exists()


@pytest.mark.parametrize("loss", ["ce", "bce"])
def test_read_as_published_a_score_is_the_sigmoid_of_the_primarys_logit(places, tmp_path, loss):
    world, known, _ = places
    about = {**config().discriminator.model_dump(), "loss": loss, "read_as": "sigmoid"}
    done = compute(world, tmp_path, known, tmp_path / "cache", config=config(discriminator=about), train=False)
    trained = done.folder("discriminator")
    column = done.read("discriminator", "tasks.json").index(done.result.summaries["primary"].digest)
    encoder = AutoModel.from_pretrained(trained / "model").eval()
    tokenizer = AutoTokenizer.from_pretrained(trained / "model")
    heads = load_file(trained / "model" / "heads.safetensors")
    texts = [text for text, _ in read_csv(world["alike"])]
    with torch.no_grad():
        pooled = torch.stack([encoder(**tokenizer(text, return_tensors="pt")).pooler_output[0] for text in texts])
    logits = pooled @ heads["discriminator.weight"].T + heads["discriminator.bias"]
    scores = pq.read_table(tmp_path / "scores.parquet").to_pylist()
    stored = [each["score"] for each in scores if each["dataset"] == "alike"]
    assert np.allclose(stored, logits[:, column].sigmoid(), atol=1e-5)


def test_as_published_the_epoch_is_chosen_by_the_rows_that_are_measured(places, tmp_path):
    world, known, folder = places
    about = {**config().finetuning.model_dump(), "epochs": 4, "choose_on": "measured"}
    done = compute(world, tmp_path, known, folder / "cache", config=config(finetuning=about, compare=[], explain=0))
    evaluation = done.read("finetune (selection)", "evaluation.json")
    scored = [(each["accuracy"], -each["loss"]) for each in evaluation["epochs"]]
    assert evaluation["rows"] == {"train": 40, "choice": 0, "measured": 30}
    assert evaluation["epoch"] == 1 + scored.index(max(scored))
    assert evaluation["metrics"]["accuracy"] == max(accuracy for accuracy, _ in scored)


def test_without_rows_that_choose_the_last_epoch_is_kept(places, tmp_path):
    world, known, folder = places
    about = {**config().finetuning.model_dump(), "choice_share": 0}
    done = compute(world, tmp_path, known, folder / "cache", config=config(finetuning=about, compare=[], explain=0))
    evaluation = done.read("finetune (selection)", "evaluation.json")
    assert (evaluation["epoch"], evaluation["epochs"], evaluation["rows"]["choice"]) == (2, [], 0)


@pytest.mark.parametrize(
    "wrong",
    [
        {"compare": ["randon"]},
        {"options": {"embedding": {"nearest": 0}}},
        {"options": {"nobody": {}}},
        {"method": "lm_loss"},
        {"compare": ["gradient"], "options": {"gradient": {"slice_of": "gradient"}}},
    ],
    ids=str,
)
def test_what_is_refused_leaves_nothing_behind(places, tmp_path, wrong):
    world, known, _ = places
    with pytest.raises(FastMTLError):
        compute(world, tmp_path / "out", known, tmp_path / "cache", config=config(**wrong))
    assert (list((tmp_path / "cache").iterdir()), (tmp_path / "out").exists()) == ([], False)
