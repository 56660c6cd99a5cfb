"""The whole path in one process, on small worlds with a tiny encoder."""

from __future__ import annotations

import html
import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModel, AutoTokenizer
from worlds import about_shops, chosen, config, read_csv, run, write_csv, write_world

from fastmtl.errors import BudgetTooLarge, EncoderUnavailable, InvalidConfig, NotEnoughMemory
from fastmtl.local import select_rows


@pytest.fixture
def world(tmp_path: Path) -> dict[str, Path]:
    return write_world(tmp_path)


@pytest.mark.parametrize("encoder", ["bert", "distilbert", "modernbert"])
@pytest.mark.parametrize("loss", ["ce", "bce"])
def test_rows_like_the_primary_are_chosen_whatever_encoder_and_loss(world, tmp_path, known, encoder, loss):
    settings = config(encoder, discriminator={**config().discriminator.model_dump(), "loss": loss})
    result = run(world, tmp_path / "out", known, config=settings, train=False)
    assert len(set(chosen(result.folder))) == 20
    assert result.counts["alike"]["selected"] >= 18


@pytest.mark.parametrize("method", ["embedding", "classifier"])
def test_methods_on_frozen_vectors_choose_rows_like_the_primary_and_embed_once(world, tmp_path, known, method):
    settings, cache = config("distilbert", method=method), tmp_path / "cache"
    result = run(world, tmp_path / "out", known, config=settings, train=False, cache=cache)
    assert result.counts["alike"]["selected"] >= 18
    assert result.counts["alike"]["seen"] == (20 if method == "classifier" else 0)
    again = run(world, tmp_path / "b", known, config=settings.model_copy(update={"seed": 1}), train=False, cache=cache)
    assert {"embed primary", "embed alike", "embed unlike"} <= set(again.reused)


def test_every_file_that_is_promised_is_there_and_fits_the_others(world, tmp_path, known):
    result = run(world, tmp_path / "out", known)
    scores, subset = (pq.read_table(result.folder / f"{name}.parquet") for name in ("scores", "subset"))
    picked = set(chosen(result.folder))
    marked = {
        (d, r) for d, r, s in zip(*(scores[c].to_pylist() for c in ("dataset", "row", "selected")), strict=True) if s
    }
    assert (scores.num_rows, marked) == (120, picked)
    assert set(zip(subset["dataset"].to_pylist(), subset["row"].to_pylist(), strict=True)) == picked
    report = json.loads((result.folder / "report.json").read_text())
    assert set(report["arms"]) == {"selection", "primary_only"}
    figures = json.loads((result.folder / "figures.json").read_text())
    names = {f"{name}.{kind}" for name in figures for kind in ("svg", "png")}
    assert {path.name for path in (result.folder / "figures").iterdir()} == names
    assert report["verdict"][0][1:] in html.unescape((result.folder / "report.html").read_text())
    assert report["arms"]["selection"]["rows"] == {"train": 36, "choice": 4, "measured": 30}


def test_the_subset_carries_the_texts_and_labels_of_the_users_rows(world, tmp_path, known):
    result = run(world, tmp_path / "out", known, train=False)
    rows = read_csv(world["alike"])
    subset = pq.read_table(result.folder / "subset.parquet").to_pylist()
    mine = [(each["text_a"], each["label"]) for each in subset if each["dataset"] == "alike"]
    assert mine == [rows[each["row"]] for each in subset if each["dataset"] == "alike"]


def test_rows_that_trained_the_discriminator_are_chosen_only_if_asked_for(world, tmp_path, known):
    result = run(world, tmp_path / "out", known, train=False)
    table = pq.read_table(result.folder / "scores.parquet").to_pylist()
    assert [each["selected"] for each in table if each["seen"]] == [False] * 40
    everything = config(seen_rows="include", budget=120)
    assert len(chosen(run(world, tmp_path / "all", known, config=everything, train=False).folder)) == 120


def test_the_same_seed_gives_the_same_bits_twice_and_another_seed_others(world, tmp_path, known):
    first = run(world, tmp_path / "a", known)
    again = run(world, tmp_path / "b", known)
    other = run(world, tmp_path / "c", known, config=config(seed=1), train=False)
    same = [(folder / "scores.parquet").read_bytes() for folder in (first.folder, again.folder)]
    assert (same[0] == same[1], first.digest == again.digest, first.digest == other.digest) == (True, True, False)
    weights = [load_file(each.folder / "model" / "model.safetensors") for each in (first, again)]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


def test_another_budget_or_primary_trains_no_discriminator_and_scores_nothing_again(world, tmp_path, known):
    cache = tmp_path / "cache"
    run(world, tmp_path / "a", known, train=False, cache=cache)
    other_budget = run(world, tmp_path / "b", known, train=False, cache=cache, config=config(budget=7))
    swapped = select_rows(
        world["alike"],
        [world["primary"], world["unlike"]],
        tmp_path / "c",
        config=config(budget=7),
        known_encoders=known,
        cache=cache,
        device="cpu",
        train=False,
    )
    assert other_budget.reused == ("discriminator", "score 1/1", "rank", "leakage")
    assert swapped.reused == ("discriminator", "score 1/1")


def test_a_smaller_budget_is_the_head_of_a_larger_one(world, tmp_path, known):
    large = run(world, tmp_path / "a", known, train=False, cache=tmp_path / "cache")
    small = run(world, tmp_path / "b", known, train=False, cache=tmp_path / "cache", config=config(budget=7))
    assert chosen(small.folder) == chosen(large.folder)[:7]


def test_scores_equal_a_few_lines_of_plain_transformers(world, tmp_path, known):
    """Golden: the stored scores are softmax(W · pooled + b), read from the files that the step left."""
    cache = tmp_path / "cache"
    result = run(world, tmp_path / "out", known, train=False, cache=cache)
    (trained,) = (path.parent.parent for path in cache.glob("*/model/heads.safetensors"))
    column = json.loads((trained / "tasks.json").read_text()).index(result.summaries["primary"].digest)
    encoder, tokenizer = (
        AutoModel.from_pretrained(trained / "model").eval(),
        AutoTokenizer.from_pretrained(trained / "model"),
    )
    heads = load_file(trained / "model" / "heads.safetensors")
    texts = [text for text, _ in read_csv(world["alike"])]
    with torch.no_grad():
        pooled = [encoder(**tokenizer(text, return_tensors="pt")).pooler_output[0] for text in texts]
    logits = torch.stack(pooled) @ heads["discriminator.weight"].T + heads["discriminator.bias"]
    expected = (logits.exp() / logits.exp().sum(1, keepdim=True))[:, column]
    stored = [
        each["score"]
        for each in pq.read_table(result.folder / "scores.parquet").to_pylist()
        if each["dataset"] == "alike"
    ]
    assert np.allclose(stored, expected, atol=1e-5)


def test_a_regression_primary_is_learnt_and_measured_in_the_users_units(world, tmp_path, known):
    result = select_rows(
        world["unlike"],
        [world["primary"], world["alike"]],
        tmp_path / "out",
        config=config(compare=["primary_only", "random"]),
        known_encoders=known,
        device="cpu",
    )
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert (result.report["metric"], set(report["arms"])) == ("pearson", {"selection", "primary_only", "random"})
    assert report["arms"]["selection"]["measured_on"] == "holdout"


def test_a_regression_is_trained_several_times_and_its_arms_are_compared_on_the_same_labels(world, tmp_path, known):
    write_csv(tmp_path / "more.csv", "text_a,text_b,label", about_shops(30, 9))
    result = select_rows(
        world["unlike"],
        [world["primary"], world["alike"]],
        tmp_path / "out",
        validation=tmp_path / "more.csv",
        config=config(repeats=3, explain=0),
        known_encoders=known,
        device="cpu",
    )
    report = json.loads((result.folder / "report.json").read_text())
    assert report["differences"]["primary_only"]["repeats"] == 3


def test_tasks_of_one_row_each_can_be_selected_from(tmp_path, known):
    one = write_csv(tmp_path / "one.csv", "text_a,label", [("the cat runs", "x"), ("a dog eats", "y")])
    rows = [write_csv(tmp_path / f"{n}.csv", "text_a,label", [(f"bird {n}", "x"), ("fish", "y")]) for n in range(2)]
    settings = config(budget=3, seen_rows="include", compare=["primary_only"])
    result = select_rows(one, rows, tmp_path / "out", config=settings, known_encoders=known, device="cpu")
    assert len(chosen(result.folder)) == 3


def test_a_budget_beyond_what_is_eligible_says_how_many_are(world, tmp_path, known):
    with pytest.raises(BudgetTooLarge, match="a budget of 81 rows, but only 80 are eligible"):
        run(world, tmp_path / "out", known, config=config(budget=81))


@pytest.fixture
def leaking(world) -> dict[str, Path]:
    """The world, with rows of the validation file among the others: shouted, and with another article."""
    held = read_csv(world["validation"])
    copied = [(text.upper() + "!", label) for text, label in held[:5]]
    changed = [("a" + text.removeprefix("the"), label) for text, label in held[5:10]]
    write_csv(world["alike"], "text_a,label", [*copied, *changed, *read_csv(world["alike"])])
    write_csv(world["primary"], "text_a,label", [*read_csv(world["primary"]), held[20]])
    return world


@pytest.mark.parametrize(("guard", "kept_out"), [("near", 10), ("exact", 5), ("off", 0)])
def test_rows_of_the_validation_file_cannot_be_chosen_and_are_listed(leaking, tmp_path, known, guard, kept_out):
    settings = config(leak_guard=guard, seen_rows="include", budget=130 - kept_out, compare=[])
    result = run(leaking, tmp_path / "out", known, config=settings, train=False)
    listed = pq.read_table(result.folder / "leaks.parquet").to_pylist()
    leaks = [(each["row"], each["held_row"]) for each in listed if each["dataset"] == "alike"]
    assert leaks == [(row, row) for row in range(kept_out)]
    assert (result.counts["alike"]["leaked"], result.counts["unlike"]["leaked"]) == (kept_out, 0)
    assert not set(chosen(result.folder)) & {("alike", row) for row in range(kept_out)}
    own = [(each["row"], each["held_row"]) for each in listed if each["dataset"] == "primary"]
    assert own == ([] if guard == "off" else [(40, 20)])


def test_the_report_tells_of_leaks_and_of_the_primarys_own(leaking, tmp_path, known):
    notes = json.loads((run(leaking, tmp_path / "out", known).folder / "report.json").read_text())["notes"]
    assert any(note.startswith("10 auxiliary rows also stand, exactly or nearly, in the validation") for note in notes)
    assert any(note.startswith("1 of the primary's own rows also stand") for note in notes)


def test_a_budget_beyond_what_the_leak_guard_leaves_says_how_many_it_kept_out(leaking, tmp_path, known):
    with pytest.raises(
        BudgetTooLarge, match=r"only 120 are eligible \(10 rows that also stand among the rows that are"
    ):
        run(leaking, tmp_path / "out", known, config=config(seen_rows="include", budget=121))


def test_without_a_validation_file_rows_of_the_primary_are_kept_out(world, tmp_path, known):
    write_csv(world["alike"], "text_a,label", [*read_csv(world["alike"]), *read_csv(world["primary"])[:3]])
    result = run(world, tmp_path / "out", known, train=False, validation=None)
    assert result.counts["alike"]["leaked"] == 3


def test_an_encoder_that_is_not_there_is_told_of_with_what_to_do(world, tmp_path, known):
    with pytest.raises(EncoderUnavailable, match="is not a checkpoint"):
        run(world, tmp_path / "out", {**known, "bert": f"folder:{tmp_path / 'nowhere'}"})


def test_more_tokens_than_the_encoder_reads_fail_with_the_setting_to_change(world, tmp_path, known):
    with pytest.raises(InvalidConfig, match="at most 64 tokens"):
        run(world, tmp_path / "out", known, config=config(max_length=100))


def test_a_training_that_cannot_fit_is_refused_before_it_starts(world, tmp_path, known, monkeypatch):
    monkeypatch.setattr("fastmtl.device._free_memory", lambda: 2**20)
    with pytest.raises(NotEnoughMemory, match=r"Make config.discriminator.batch_size \(8\)"):
        run(world, tmp_path / "out", known)


def test_nothing_half_done_stays_in_the_cache_after_a_failure(world, tmp_path, known):
    cache = tmp_path / "cache"
    with pytest.raises(EncoderUnavailable):
        run(world, tmp_path / "out", {**known, "bert": "folder:/nowhere"}, cache=cache)
    assert [each for each in cache.rglob("*") if each.is_file()] == []
