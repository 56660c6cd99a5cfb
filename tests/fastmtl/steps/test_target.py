"""The target step: which rows an arm trains on, how many of them an epoch visits, and for how many steps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pools import write_dataset

from fastmtl.arms import ALL_DATA, PRIMARY_ONLY, SELECTION, Arm, Tasks, train
from fastmtl.batches import TaskRows
from fastmtl.config import JobConfig
from fastmtl.datasets import TaskKind
from fastmtl.plan import StepSpec, TaskRef, Workspace, silent
from fastmtl.steps import target
from fastmtl.steps.target import apportioned
from fastmtl.training import History

CHOSEN = StepSpec(kind="select", name="select", version=1, params={})
SELECTED = [("b", 4), ("a", 8), ("a", 1), ("c", 0), ("b", 2), ("a", 5)]
"""In order of rank."""


@pytest.mark.parametrize(
    ("sizes", "total", "shares"),
    [
        ([10, 10], 4, [2, 2]),
        ([10, 20, 70], 10, [1, 2, 7]),
        ([1, 1, 1], 2, [1, 1, 0]),  # 2/3 each: the first of equal remainders first
        ([50, 30, 20], 5, [3, 1, 1]),  # 2.5, 1.5, 1.0: one of the halves, the first
        ([900, 90, 10], 7, [6, 1, 0]),  # 6.3, 0.63, 0.07
        ([5, 0, 5], 3, [2, 0, 1]),
        ([3, 4], 7, [3, 4]),
        ([8], 3, [3]),
    ],
)
def test_visits_are_shared_out_in_proportion_by_largest_remainders(sizes, total, shares):
    assert apportioned(np.array(sizes), total).tolist() == shares


@given(st.lists(st.integers(0, 10**7), min_size=1, max_size=30).filter(any), st.data())
@example([1], None)
def test_shares_add_up_exactly_and_none_is_a_whole_row_off_or_beyond_its_dataset(sizes, data):
    total = data.draw(st.integers(1, sum(sizes))) if data else 1
    shares = apportioned(np.array(sizes), total).tolist()
    assert sum(shares) == total
    for share, size in zip(shares, sizes, strict=True):
        assert 0 <= share <= size
        assert abs(share - size * total / sum(sizes)) < 1 + 1e-6


class Trainings:
    """Stands in for the training loop: notes what it was given, and trains nothing."""

    def __init__(self) -> None:
        self.sources: Sequence[TaskRows] = ()
        self.steps: int | None = None

    def __call__(
        self, model: object, sources: Sequence[TaskRows], *_: object, steps: int | None, **__: object
    ) -> History:
        self.sources, self.steps = sources, steps
        return History((), steps or 0, 0)

    @property
    def visits(self) -> list[int]:
        """Rows of an epoch, the primary's first."""
        return [source.visits for source in self.sources]

    @property
    def labels(self) -> list[list[int]]:
        """Of every auxiliary that is trained on, the labels, which are its rows' numbers."""
        return [source.labels.tolist() for source in self.sources[1:]]


@pytest.fixture
def trainings(monkeypatch: pytest.MonkeyPatch) -> Trainings:
    noted = Trainings()
    monkeypatch.setattr(target, "train", noted)
    return noted


@pytest.fixture
def run(tmp_path: Path, known: dict[str, str]) -> Callable[..., dict]:
    """Run an arm's target step on a primary of 10 rows and auxiliaries of 9, 5 and 2, whose rows are classes."""
    primary, *auxiliary = (
        write_dataset(tmp_path, key, [(f"row {row}", str(row)) for row in range(rows)], TaskKind.CLASSIFICATION)
        for key, rows in {"primary": 10, "a": 9, "b": 5, "c": 2}.items()
    )
    tasks = Tasks(primary, tuple(auxiliary), TaskRef("held", "v", 5))
    paths = {task.digest: tmp_path / task.key for task in tasks.all}

    def run(arm: Arm, selected: list[tuple[str, int]] = SELECTED, **changes: object) -> dict:
        config = JobConfig.model_validate(
            {
                "budget": 6,
                "target": {"epochs": 3, "batch_size": 4},
                "finetuning": {"choice_share": 0},
                "precision": "fp32",
                **changes,
            }
        )
        encoder = {"location": known["bert"], "pooling": "auto", "max_length": 16}
        spec = train(arm, 0, CHOSEN if arm.rows_of else None, config, tasks, encoder)[0]
        chosen, output = tmp_path / "chosen", tmp_path / "out"
        chosen.mkdir(exist_ok=True)
        output.mkdir(exist_ok=True)
        columns = {"dataset": [key for key, _ in selected], "row": [row for _, row in selected]}
        pq.write_table(pa.table(columns), chosen / "selection.parquet")
        return target.run(spec, Workspace(paths, {CHOSEN.fingerprint: chosen}, output, "cpu", silent))

    return run


EVERY_ROW = [(key, row) for key, rows in {"a": 9, "b": 5, "c": 2}.items() for row in range(rows)]
STEPS = 3 * (3 + 2)
"""3 epochs of ceil(10 / 4) batches of the primary and ceil(6 / 4) of the budget."""
# Rows of every auxiliary that is trained on, and visits of an epoch.
ARMS = [
    (Arm(SELECTION, SELECTION), SELECTED, [[1, 5, 8], [2, 4], [0]], [10, 3, 2, 1]),
    (Arm(PRIMARY_ONLY, None), SELECTED, [], [16]),
    (Arm("best 3", SELECTION, best=3), SELECTED, [[1, 8], [4]], [13, 2, 1]),
    (Arm("best 1", SELECTION, best=1), SELECTED, [[4]], [15, 1]),
    (Arm("without a", SELECTION, without="a"), SELECTED, [[2, 4], [0]], [13, 2, 1]),
    (Arm("without c", SELECTION, without="c"), SELECTED, [[1, 5, 8], [2, 4]], [11, 3, 2]),
    (Arm("without a", SELECTION, without="a"), [("a", row) for row in range(6)], [], [16]),
    # 9 : 5 : 2 of 6 are 3.4, 1.9 and 0.75
    (Arm("all_data", ALL_DATA), EVERY_ROW, [list(range(9)), list(range(5)), [0, 1]], [10, 3, 2, 1]),
]


@pytest.mark.parametrize(("arm", "selected", "rows", "visits"), ARMS)
def test_an_arm_trains_on_its_rows_and_visits_as_many_an_epoch_as_any(run, trainings, arm, selected, rows, visits):
    run(arm, selected)
    assert (trainings.labels, trainings.visits, trainings.steps) == (rows, visits, STEPS)
    assert sum(trainings.visits) == 10 + 6


def test_full_visits_every_row_in_every_epoch_and_takes_the_steps_that_this_needs(run, trainings):
    run(Arm("full", ALL_DATA), EVERY_ROW)
    assert (trainings.visits, trainings.steps) == ([10, 9, 5, 2], None)


def test_a_dataset_too_small_for_a_visit_is_not_trained_on(run, trainings):
    run(Arm("all_data", ALL_DATA), EVERY_ROW, budget=1)
    assert (trainings.labels, trainings.visits) == ([list(range(9))], [10, 1])


@pytest.mark.parametrize(
    ("arm", "selected"),
    [(arm, selected) for arm, selected, *_ in ARMS],
    ids=[f"{index} {arm.name}" for index, (arm, *_) in enumerate(ARMS)],
)
def test_every_arm_but_full_takes_as_many_steps_however_its_rows_fall_into_batches(run, arm, selected):
    assert run(arm, selected)["steps"] == STEPS


def test_full_takes_more_steps(run):
    told = run(Arm("full", ALL_DATA), EVERY_ROW)
    assert (told["steps"], told["rows"]) == (3 * (3 + 3 + 2 + 1), 3 * (10 + 16))


def test_the_best_rows_train_as_if_no_others_had_been_chosen(run, tmp_path):
    weights = []
    for arm, selected in [(Arm("best 3", SELECTION, best=3), SELECTED), (Arm(SELECTION, SELECTION), SELECTED[:3])]:
        run(arm, selected)
        weights.append((tmp_path / "out" / "model" / "model.safetensors").read_bytes())
    assert weights[0] == weights[1]
