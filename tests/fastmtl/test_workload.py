"""What a planned step has to do, set against what the steps themselves say that they did."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tiny import write_encoder
from worlds import config, write_world

from fastmtl import methods, pipeline
from fastmtl.artifacts import Cache
from fastmtl.canonical import convert
from fastmtl.columns import Columns
from fastmtl.datasets import Summary
from fastmtl.lengths import RowLengths, in_tokens, per_character
from fastmtl.local import run_steps
from fastmtl.plan import Json, StepSpec, TaskRef, silent
from fastmtl.size import Size
from fastmtl.workload import (
    CHOSEN,
    Outlook,
    Work,
    compared_as,
    features,
    memory_features,
    planned,
    scored,
    texts_of,
    trained,
)

SIZE = Size(parameters=1_000, body=600, attention=64)
FLAT = RowLengths(100, (10.0,) * 8, 40.0, 0.1)
MAX_LENGTH = 24


class Whole:
    """A plan that was run, with what its steps said."""

    def __init__(self, folder: Path, **changes: object) -> None:
        known = {"bert": f"folder:{write_encoder('bert-mlm', folder / 'bert')}"}
        self.summaries: dict[str, Summary] = {}
        paths, refs = {}, {}
        for key, path in write_world(folder).items():
            summary = convert(path, folder / f"{key}.parquet", columns=Columns())
            refs[key] = TaskRef(key, summary.digest, summary.rows)
            self.summaries[summary.digest] = summary
            paths[summary.digest] = folder / f"{key}.parquet"
        tasks = pipeline.Tasks(refs["primary"], (refs["alike"], refs["unlike"]), refs["validation"])
        self.steps = pipeline.plan(config(max_length=MAX_LENGTH, **changes), tasks, known)
        self.folders, self.results, _ = run_steps(self.steps, Cache(folder / "kept"), paths, "cpu", lambda step: silent)

    def of_kind(self, kind: str) -> list[tuple[StepSpec, Json]]:
        return [(step, self.results[step.fingerprint]) for step in self.steps if step.kind == kind]

    def outlook(self, result: Json) -> Outlook:
        """What was known of the texts, had they been counted before."""
        texts = {
            digest: self.lengths(digest, *result["read"]["texts"].get(digest, (0, 0))) for digest in self.summaries
        }
        return Outlook({**texts, CHOSEN: FLAT})

    def lengths(self, digest: str, rows: int, tokens: int) -> RowLengths:
        summary, pair = self.summaries[digest], self.summaries[digest].columns.text_b is not None
        mean = tokens / rows if rows else 10
        rate = per_character(summary.lengths, pair=pair, mean_tokens=mean, max_length=MAX_LENGTH)
        return in_tokens(summary.rows, summary.lengths, pair=pair, per_character=rate, max_length=MAX_LENGTH, doubt=0.1)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Whole:
    arms = {"compare": ["primary_only", "full", "lm_loss"], "budget_curve": [10], "options": {"lm_loss": {"epochs": 1}}}
    return Whole(tmp_path_factory.mktemp("whole"), **arms)


def test_a_target_trains_on_as_many_rows_in_as_many_steps_as_its_plan_says(whole: Whole):
    for step, result in whole.of_kind("target"):
        work = planned(step, whole.outlook(result))
        if step.name == "target (full)":  # rows that leak or trained the discriminator are left out
            assert result["rows"] <= work.trained_rows <= 1.4 * result["rows"]
        else:
            assert work.steps == result["steps"]
            assert work.trained_rows == pytest.approx(result["rows"], rel=0.15), step.name


def test_a_finetuning_measures_the_rows_that_it_says(whole: Whole):
    for step, result in whole.of_kind("finetune"):
        work, rows = planned(step, whole.outlook(result)), result["rows"]
        epochs = step.params["training"]["epochs"]
        assert work.trained_rows == epochs * rows["train"]
        assert work.scored_rows == epochs * rows["choice"] + rows["measured"]


def test_a_discriminator_sees_as_many_tokens_as_its_plan_says(whole: Whole):
    ((step, result),) = whole.of_kind("discriminator")
    work = planned(step, whole.outlook(result))
    history = json.loads((whole.folders[step.fingerprint] / "history.json").read_text())
    read = result["read"]["texts"].values()
    assert (work.trained_rows, work.steps) == (history["rows"], history["steps"])
    assert work.trained_tokens == pytest.approx(4 * sum(tokens for _, tokens in read), rel=0.01)  # 4 epochs
    assert work.trained_tokens <= work.padded_tokens <= 1.3 * work.trained_tokens


@pytest.mark.parametrize(("kind", "times"), [("score", 1), ("explain", 1), ("lm_loss", 2)])
def test_rows_that_are_passed_forward_are_those_that_the_step_reads(whole: Whole, kind: str, times: int):
    for step, result in whole.of_kind(kind):
        work = planned(step, whole.outlook(result))
        rows = sum(rows for rows, _ in result["read"]["texts"].values())
        assert (work.scored_rows, work.trained_rows) == (times * rows, 0)


def test_adapting_a_language_model_goes_over_every_row_of_the_primary(whole: Whole):
    ((step, result),) = whole.of_kind("adapt_lm")
    work = planned(step, whole.outlook(result))
    history = json.loads((whole.folders[step.fingerprint] / "history.json").read_text())
    assert (work.trained_rows, work.steps) == (history["rows"], history["steps"])


def test_every_kind_of_step_of_every_method_is_known_here(tmp_path: Path):
    tasks = pipeline.Tasks(TaskRef("p", "p", 100), (TaskRef("a", "a", 100), TaskRef("b", "b", 100)))
    outlook = Outlook({"p": FLAT, "a": FLAT, "b": FLAT, CHOSEN: FLAT})
    known = {"mlm": f"folder:{write_encoder('bert-mlm', tmp_path)}"}
    sliced = {"gradient": {"slice_of": "random", "slice_times": 2}}
    cascaded = {"discriminator": {"slice_times": 2, "sample_rows": 20}}
    more = [("gradient", sliced), ("discriminator", cascaded)]
    for method, options in [*((name, {}) for name in methods.names()), *more]:
        settings = config("mlm", method=method, options=options, selector="near_duplicates")
        for step in pipeline.plan(settings, tasks, known):
            work = planned(step, outlook)
            assert (work.tokens > 0) == pipeline.needs_torch(step), step.name
            assert work.tokens or work.read, step.name
            assert texts_of(step) <= {"p", "a", "b"}


def test_a_step_of_a_kind_that_is_not_known_counts_the_rows_of_its_cost():
    step = StepSpec("made-up", "made-up", 1, {}, datasets=("a",), cost=30)
    assert planned(step, Outlook({"a": FLAT})) == scored(FLAT, 30)


def test_rankings_and_selections_are_compared_with_those_of_their_own_method():
    ranked = StepSpec("rank", "rank", 1, {"method": "bm25", "auxiliary": []})
    chosen = StepSpec("select", "select", 1, {"selector": "caps", "auxiliary": []})
    assert [compared_as(step) for step in (ranked, chosen)] == ["rank bm25", "select caps"]


def test_rows_of_one_length_are_not_padded_and_groups_pad_less_than_a_whole_batch():
    assert trained(FLAT, 60, 32, 4).padded_tokens == 600
    mixed = RowLengths(100, tuple(float(x) for x in range(1, 65)), 40.0, 0.1)
    grouped, whole_batch = (trained(mixed, 60, 32, groups).padded_tokens / (60 * mixed.mean) for groups in (4, 1))
    assert 1 < grouped < 1.4 < whole_batch < 2


def test_work_adds_up_and_its_largest_batch_is_the_larger_of_both():
    both = trained(FLAT, 60, 32, 1) + scored(FLAT, 5) + Work(steps=3)
    assert (both.rows, both.tokens, both.steps, both.batch_tokens, both.doubt) == (65, 650, 3, 320, pytest.approx(0.1))


def test_a_training_pass_counts_three_forward_and_an_optimiser_step_all_parameters():
    forward, training = (features("x", work, SIZE) for work in (scored(FLAT, 60), trained(FLAT, 60, 32, 1)))
    assert training[2] == pytest.approx(3 * forward[2])
    assert forward[2] == pytest.approx((600 * 600 + 3 * 2 * 64 * 60 * 100) / 1e9)  # body · tokens, 3 · 2LH · squares
    assert features("x", Work(steps=5), SIZE) == [1, 5_000 / 1e9, 0]
    assert features("gradients", scored(FLAT, 60), SIZE)[2] == pytest.approx(training[2])
    assert features("leakage", Work(read=2e9), None, starts=0) == [0, 0, 2]
    assert memory_features(trained(FLAT, 60, 32, 1), SIZE) == [1, 1_000 / 1e9, 320 * 64 / 1e9]
