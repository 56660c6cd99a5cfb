"""Arms: which a config asks for, what they are called, and what each of their steps is told."""

from __future__ import annotations

import pytest

from fastmtl.arms import ALL_DATA, PRIMARY_ONLY, SELECTION, Arm, Tasks, arms, described, step_name, train
from fastmtl.config import JobConfig
from fastmtl.errors import InvalidConfig, UnknownName
from fastmtl.plan import StepSpec, TaskRef

RTE, MNLI, QNLI = TaskRef("rte", "r", 600), TaskRef("mnli", "m", 900), TaskRef("qnli", "q", 300)
NLI = Tasks(RTE, (MNLI, QNLI))
METHODS = ["discriminator", "random"]
CHOSEN = StepSpec(kind="select", name="select", version=1, params={})


def asked(**config: object) -> list[Arm]:
    return arms(JobConfig.model_validate({"budget": 100, **config}), NLI, METHODS)


def trained(arm: Arm, repeat: int = 0, tasks: Tasks = NLI, **config: object) -> list[StepSpec]:
    chosen = CHOSEN if arm.rows_of else None
    return train(arm, repeat, chosen, JobConfig.model_validate({"budget": 100, **config}), tasks, {"name": "tiny"})


def test_the_arms_of_a_config_stand_in_one_order_the_selection_first():
    wanted = ["random", "primary_only", "full", "all_data"]
    assert asked(compare=wanted, budget_curve=[50, 7], leave_one_out=True) == [
        Arm("selection", SELECTION),
        Arm("random", "random"),
        Arm("primary_only", None),
        Arm("full", ALL_DATA),
        Arm("all_data", ALL_DATA),
        Arm("best 7", SELECTION, best=7),
        Arm("best 50", SELECTION, best=50),
        Arm("without mnli", SELECTION, without="mnli"),
        Arm("without qnli", SELECTION, without="qnli"),
    ]


def test_unless_asked_the_selection_is_compared_with_the_primary_alone():
    assert asked() == [Arm("selection", SELECTION), Arm("primary_only", None)]


@pytest.mark.parametrize("name", ["randon", "selection", "best 7", "without mnli", "../random"])
def test_an_arm_that_there_is_not_is_refused_at_its_place_with_those_there_are(name):
    with pytest.raises(UnknownName, match="is not known here") as caught:
        asked(compare=["primary_only", name])
    assert caught.value.field == "config.compare.1"
    assert caught.value.known == ("all_data", "discriminator", "full", "primary_only", "random")


def test_one_auxiliary_cannot_be_left_out():
    with pytest.raises(InvalidConfig, match="needs at least two auxiliary datasets") as caught:
        arms(JobConfig(leave_one_out=True), Tasks(RTE, (MNLI,)), METHODS)
    assert caught.value.field == "config.leave_one_out"


def test_a_step_of_a_repetition_carries_its_number_from_two_on():
    assert [step_name("target", "random", repeat) for repeat in range(3)] == [
        "target (random)",
        "target (random, 2)",
        "target (random, 3)",
    ]


@pytest.mark.parametrize(
    ("arm", "words"),
    [
        ("selection", "the selected rows"),
        ("primary_only", "no auxiliary rows"),
        ("all_data", "a tour of all auxiliary rows"),
        ("full", "all auxiliary rows in every epoch"),
        ("best 50", "the selected rows, best 50"),
        ("without mnli", "the selected rows, without mnli"),
        ("bm25", "rows chosen by bm25"),
    ],
)
def test_an_arm_is_described_in_words(arm, words):
    assert described(arm) == words


# What the target step reads, how many auxiliary rows an epoch visits, and the rows that its cost counts.
PLANNED = [
    (Arm(SELECTION, SELECTION), ("r", "m", "q"), 100, 600 + 100),
    (Arm(PRIMARY_ONLY, None), ("r",), 100, 600 + 100),  # the primary's rows in the place of the auxiliaries'
    (Arm("random", "random"), ("r", "m", "q"), 100, 600 + 100),
    (Arm("all_data", ALL_DATA), ("r", "m", "q"), 100, 600 + 100),
    (Arm("best 7", SELECTION, best=7), ("r", "m", "q"), 100, 600 + 100),
    (Arm("without mnli", SELECTION, without="mnli"), ("r", "m", "q"), 100, 600 + 100),
    (Arm("full", ALL_DATA), ("r", "m", "q"), None, 600 + 900 + 300),
]


@pytest.mark.parametrize(("arm", "datasets", "visits", "rows"), PLANNED, ids=[row[0].name for row in PLANNED])
def test_every_arm_but_full_visits_as_many_rows_an_epoch(arm, datasets, visits, rows):
    target, finetune = trained(arm)
    assert (target.datasets, target.params["visits"], target.cost) == (datasets, visits, 3 * 3 * rows)
    assert (target.params["best"], target.params["without"]) == (arm.best, arm.without)
    assert target.needs == ((CHOSEN.fingerprint,) if arm.rows_of else ())
    assert (finetune.needs, finetune.datasets, finetune.cost) == ((target.fingerprint,), ("r",), 3 * 5 * 600)


def test_repetitions_differ_in_the_seed_of_the_training_alone():
    first, third = (trained(Arm(SELECTION, SELECTION), repeat, training_seed=5) for repeat in (0, 2))
    for one, other in zip(first, third, strict=True):
        assert {**one.params, "seed": 7} == other.params
    assert [step.params["seed"] for step in first] == [5, 5]
    assert [step.params["split_seed"] for step in third] == [5, 5]


def test_the_largest_seed_is_followed_by_the_smallest():
    assert trained(Arm(PRIMARY_ONLY, None), 1, training_seed=2**32 - 1)[0].params["seed"] == 0


def test_the_primary_holds_nothing_out_where_there_is_a_validation_dataset():
    given = Tasks(RTE, (MNLI,), TaskRef("held", "v", 50))
    without, with_one = (trained(Arm(PRIMARY_ONLY, None), tasks=tasks) for tasks in (NLI, given))
    assert [step.params["holdout_share"] for step in without + with_one] == [0.2, 0.2, None, None]
    assert (with_one[1].params["validation"], with_one[1].datasets) == ("v", ("r", "v"))


def test_the_tasks_of_a_job_are_the_primary_and_then_the_auxiliaries():
    assert NLI.all == (RTE, MNLI, QNLI)
