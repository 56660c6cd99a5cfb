"""The rank step: a method's scores of every auxiliary row, found again in whatever order they are asked for."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

from fastmtl import methods
from fastmtl.config import JobConfig
from fastmtl.methods import Scored, ScoreRequest, random
from fastmtl.plan import StepSpec, TaskRef, Workspace, silent
from fastmtl.steps import rank

PRIMARY, SMALL, LARGE = TaskRef("rte", "r", 2), TaskRef("small", "s", 3), TaskRef("large", "l", 70)


def planned(
    method: str = "random", seed: int | None = 7, tasks: Sequence[TaskRef] = (PRIMARY, SMALL, LARGE)
) -> StepSpec:
    return methods.plan(method, JobConfig(), {"name": "tiny"}, tasks, "rank", seed)[-1]


def workspace(folder: Path, inputs: dict[str, Path] | None = None) -> Workspace:
    folder.mkdir(exist_ok=True)
    return Workspace({}, inputs or {}, folder, "cpu", silent)


def same(found: list[Scored], expected: list[Scored]) -> bool:
    return all(
        np.array_equal(ours, theirs)
        for one, other in zip(found, expected, strict=True)
        for ours, theirs in zip(one, other, strict=True)
    )


@pytest.mark.parametrize("order", [["s", "l"], ["l", "s"], ["l"]])
def test_scores_are_read_by_dataset_in_the_order_asked_for(tmp_path, order):
    assert rank.run(planned(), workspace(tmp_path)) == {"rows": 73}
    small, large = random.score(ScoreRequest(PRIMARY, [SMALL, LARGE], seed=7))
    assert same(rank.read(tmp_path, order), [{"s": small, "l": large}[digest] for digest in order])


def test_scores_are_kept_as_float32_without_nan(tmp_path):
    rank.run(planned(), workspace(tmp_path))
    files = {path.name: np.load(path) for path in sorted(tmp_path.glob("*.npy"))}
    assert {name: (array.dtype, array.shape) for name, array in files.items()} == {
        "scores-0.npy": (np.float32, (3,)),
        "scores-1.npy": (np.float32, (70,)),
        "seen-0.npy": (np.bool_, (3,)),
        "seen-1.npy": (np.bool_, (70,)),
    }
    assert not np.isnan(files["scores-1.npy"]).any()
    assert json.loads((tmp_path / "tasks.json").read_text()) == ["s", "l"]


def test_a_method_reads_what_its_steps_left_in_the_order_of_its_plan(tmp_path):
    *steps, spec = methods.plan("discriminator", JobConfig(), {"name": "tiny"}, [PRIMARY, SMALL], "rank")
    folders = {step.fingerprint: tmp_path / str(index) for index, step in enumerate(steps)}
    for folder in folders.values():
        folder.mkdir()
    (tmp_path / "0" / "tasks.json").write_text(json.dumps(["r", "s"]))
    np.save(tmp_path / "0" / "seen-0.npy", np.array([0]))
    np.save(tmp_path / "0" / "seen-1.npy", np.array([2]))
    np.save(
        tmp_path / "1" / "probabilities.npy", np.array([[9, 9], [9, 9], [0.5, 0], [0.25, 0], [0.75, 0]], np.float32)
    )
    (tmp_path / "1" / "pieces.json").write_text(json.dumps([["r", 0, 2], ["s", 0, 3]]))
    rank.run(spec, workspace(tmp_path / "out", dict(reversed(folders.items()))))
    (found,) = rank.read(tmp_path / "out", ["s"])
    assert (found.scores.tolist(), found.seen.tolist()) == ([0.5, 0.25, 0.75], [False, False, True])


@pytest.mark.parametrize(
    ("scores", "message"),
    [([1.0, 2.0], "random left rows of a dataset out"), ([1.0, np.nan, 2.0], "random gave a row no score")],
)
def test_a_method_that_leaves_a_row_out_is_our_mistake(tmp_path, monkeypatch, scores, message):
    found = Scored(np.array(scores, np.float32), np.zeros(len(scores), np.bool_))
    monkeypatch.setattr(random, "score", lambda request: [found])
    with pytest.raises(AssertionError, match=message):
        rank.run(planned(tasks=(PRIMARY, SMALL)), workspace(tmp_path))


def test_a_ranking_does_not_know_what_a_job_calls_its_datasets_and_is_for_one_primary():
    renamed = [TaskRef("mine", task.digest, task.rows) for task in (PRIMARY, SMALL, LARGE)]
    assert planned(tasks=renamed).fingerprint == planned().fingerprint
    assert planned().params["primary"] == {**asdict(PRIMARY), "key": ""}
    assert planned(tasks=(SMALL, PRIMARY, LARGE)).fingerprint != planned().fingerprint


@pytest.mark.parametrize(("method", "known"), [("random", 7), ("random_balanced", 7), ("embedding", None)])
def test_only_a_method_that_draws_is_told_the_seed(method, known):
    assert planned(method).params["seed"] == known
