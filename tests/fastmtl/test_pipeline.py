"""The plan of a job: its steps and their needs, what another job shares with it, what is refused."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fastmtl import methods, pipeline, selectors
from fastmtl.config import JobConfig
from fastmtl.encoders import KNOWN
from fastmtl.errors import BudgetTooLarge, InvalidConfig, UnknownName
from fastmtl.pipeline import Tasks, plan
from fastmtl.plan import StepSpec, TaskRef

RTE, MNLI, QNLI = TaskRef("rte", "r", 600), TaskRef("mnli", "m", 900), TaskRef("qnli", "q", 300)
NLI = Tasks(RTE, (MNLI, QNLI))
HELD_OUT = TaskRef("rte-validation", "v", 50)
BOTH_ARMS = {"compare": ["primary_only", "random"]}


def planned(tasks: Tasks = NLI, **config: object) -> list[StepSpec]:
    return plan(JobConfig.model_validate({"budget": 100, **config}), tasks, KNOWN)


def by_name(steps: list[StepSpec]) -> dict[str, str]:
    return {step.name: step.fingerprint for step in steps}


def needs(steps: list[StepSpec]) -> dict[str, list[str]]:
    names = {step.fingerprint: step.name for step in steps}
    return {step.name: [names[fingerprint] for fingerprint in step.needs] for step in steps}


def test_the_steps_of_a_job_and_what_each_needs():
    assert needs(planned(**BOTH_ARMS)) == {
        "discriminator": [],
        "score 1/1": ["discriminator"],
        "rank": ["discriminator", "score 1/1"],
        "leakage": [],
        "select": ["rank", "leakage"],
        "explain": ["select"],
        "target (selection)": ["select"],
        "finetune (selection)": ["target (selection)"],
        "target (primary_only)": [],
        "finetune (primary_only)": ["target (primary_only)"],
        "rank (random)": [],
        "select (random)": ["rank (random)", "leakage"],
        "target (random)": ["select (random)"],
        "finetune (random)": ["target (random)"],
        "report": [
            "select",
            "finetune (selection)",
            "finetune (primary_only)",
            "select (random)",
            "finetune (random)",
            "explain",
        ],
    }


def test_the_random_method_needs_no_discriminator():
    assert list(needs(planned(method="random", compare=[]))) == [
        "rank",
        "leakage",
        "select",
        "explain",
        "target (selection)",
        "finetune (selection)",
        "report",
    ]


def test_a_map_is_drawn_where_it_is_asked_for_and_of_no_more_rows_than_there_are():
    few, many = (planned(map_points=points) for points in (50, 100_000))
    assert needs(few)["map"] == ["select"] and "map" not in needs(planned())
    assert "map" in needs(few)["report"] and few[-1].params["map"] == by_name(few)["map"]
    (less,), (more,) = ([step for step in steps if step.kind == "map"] for steps in (few, many))
    everything = sum(each["rows"] for each in [more.params["primary"], *more.params["auxiliary"]])
    assert (less.cost, more.cost) == (50, everything)


def test_the_random_method_compared_with_a_random_draw_computes_it_once():
    assert needs(planned(method="random", compare=["random"])) == {
        "rank": [],
        "leakage": [],
        "select": ["rank", "leakage"],
        "explain": ["select"],
        "target (selection)": ["select"],
        "finetune (selection)": ["target (selection)"],
        "report": ["select", "finetune (selection)", "explain"],
    }


def test_without_explanations_and_a_map_the_report_reads_none():
    report = planned(explain=0)[-1]
    assert (report.kind, report.params["explain"], report.params["map"]) == ("report", None, None)
    explained = planned()
    assert explained[-1].params["explain"] == by_name(explained)["explain"]


def test_inputs_stand_before_outputs():
    done: set[str] = set()
    for step in planned(**BOTH_ARMS):
        assert done.issuperset(step.needs)
        done.add(step.fingerprint)


def test_every_dataset_that_a_step_reads_is_the_jobs():
    steps = planned(Tasks(RTE, (MNLI, QNLI), HELD_OUT), **BOTH_ARMS)
    assert {step.name: set(step.datasets) for step in steps} == {
        "discriminator": {"r", "m", "q"},
        "score 1/1": {"r", "m", "q"},
        "rank": set(),
        "leakage": {"r", "m", "q", "v"},
        "select": {"m", "q"},
        "explain": {"r"},
        "target (selection)": {"r", "m", "q"},
        "finetune (selection)": {"r", "v"},
        "target (primary_only)": {"r"},
        "finetune (primary_only)": {"r", "v"},
        "rank (random)": set(),
        "select (random)": {"m", "q"},
        "target (random)": {"r", "m", "q"},
        "finetune (random)": {"r", "v"},
        "report": {"r", "m", "q", "v"},  # what is odd about each; what explanations name
    }


EVERYTHING = set(by_name(planned(**BOTH_ARMS)))
SCORING = {"discriminator", "score 1/1", "rank", "rank (random)", "leakage"}
SELECTING = {*SCORING, "select", "select (random)", "explain"}
TEXTS_ONLY = {"leakage", "rank (random)", "select (random)"}
# What a job changes, and the steps that are then still the same.
SHARED = [
    ({"name": "preset of the same values"}, {"preset": "paper"}, EVERYTHING),
    ({"name": "budget"}, {"budget": 101}, SCORING),
    ({"name": "seen rows"}, {"seen_rows": "include"}, SCORING | {"target (primary_only)", "finetune (primary_only)"}),
    ({"name": "seed of the training"}, {"training_seed": 1}, SELECTING),
    ({"name": "target"}, {"target": {"epochs": 1}}, SELECTING),
    (
        {"name": "fine-tuning"},
        {"finetuning": {"epochs": 1}},
        SELECTING | {f"target ({arm})" for arm in ("selection", "primary_only", "random")},
    ),
    ({"name": "share held out"}, {"holdout_share": 0.3}, SELECTING),
    (
        {"name": "loss of the discriminator"},
        {"discriminator": {"loss": "bce"}},
        EVERYTHING
        - {"discriminator", "score 1/1", "rank", "select", "explain"}
        - {"target (selection)", "finetune (selection)", "report"},
    ),
    ({"name": "encoder"}, {"encoder": {"name": "bert-base-cased"}}, TEXTS_ONLY),
    ({"name": "length"}, {"encoder": {"max_length": 64}}, TEXTS_ONLY),
    ({"name": "precision"}, {"precision": "fp32"}, TEXTS_ONLY),
    (
        {"name": "leak guard"},
        {"leak_guard": "exact"},
        {*SCORING, "target (primary_only)", "finetune (primary_only)"} - {"leakage"},
    ),
]


@pytest.mark.parametrize(("changed", "same"), [pytest.param(*rest, id=names["name"]) for names, *rest in SHARED])
def test_a_change_touches_the_steps_that_depend_on_it_and_no_others(changed: dict[str, object], same: set[str]):
    first, second = by_name(planned(**BOTH_ARMS)), by_name(planned(**BOTH_ARMS | changed))
    assert {name for name in first if first[name] == second[name]} == same


@pytest.mark.parametrize(
    "tasks",
    [Tasks(MNLI, (RTE, QNLI)), Tasks(QNLI, (MNLI, RTE)), Tasks(RTE, (QNLI, MNLI)), Tasks(RTE, (MNLI, QNLI), HELD_OUT)],
    ids=["primary", "another primary", "order of the auxiliaries", "validation"],
)
def test_the_same_datasets_in_other_roles_are_scored_once(tasks: Tasks):
    assert {step.name: step.fingerprint for step in planned(tasks)[:2]} == {
        step.name: step.fingerprint for step in planned()[:2]
    }


def test_the_content_of_a_dataset_counts_and_not_how_a_job_calls_it():
    renamed = Tasks(RTE, (replace(MNLI, key="my-mnli"), QNLI))
    changed = Tasks(RTE, (replace(MNLI, digest="m2"), QNLI))
    same, other = by_name(planned(renamed)), by_name(planned(changed))
    assert [each["discriminator"] == by_name(planned())["discriminator"] for each in (same, other)] == [True, False]


@pytest.mark.parametrize(
    ("config", "field", "message"),
    [
        (
            {"encoder": {"name": "bert-base-case"}},
            "config.encoder.name",
            "'bert-base-case' is not known here. Did you mean 'bert-base-cased'? Known: ModernBERT-base, "
            "all-MiniLM-L6-v2, bert-base-cased, bert-base-uncased, distilbert-base-cased, roberta-base.",
        ),
        (
            {"method": "discriminater"},
            "config.method",
            f"'discriminater' is not known here. Did you mean 'discriminator'? Known: {', '.join(methods.names())}.",
        ),
        ({"method": "../random"}, "config.method", None),
        ({"method": "__init__"}, "config.method", None),
        ({"selector": "zzz"}, "config.selector", f"'zzz' is not known here. Known: {', '.join(selectors.names())}."),
    ],
)
def test_an_unknown_name_is_refused_with_those_there_are(config: dict[str, object], field: str, message: str | None):
    with pytest.raises(UnknownName) as caught:
        planned(**config)
    assert (caught.value.field, str(caught.value)) == (field, message or str(caught.value))


@pytest.mark.parametrize(
    ("config", "eligible", "seen"),
    [
        # 900 + 300 auxiliary rows; min(500, 900) + min(500, 300) of them train the discriminator
        ({}, 400, 800),
        ({"discriminator": {"rows_per_task": 100}}, 1000, 200),
        ({"discriminator": {"rows_per_task": 1000}}, 0, 1200),
        ({"seen_rows": "include"}, 1200, 0),
        ({"method": "random"}, 1200, 0),
    ],
)
def test_a_budget_above_what_is_eligible_is_refused_with_the_numbers(
    config: dict[str, object], eligible: int, seen: int
):
    assert pipeline.eligible_rows(JobConfig.model_validate(config), NLI.auxiliary) == (eligible, seen)
    if eligible:
        planned(budget=eligible, **config)
    with pytest.raises(BudgetTooLarge, match=f"only {eligible:,} are eligible") as caught:
        planned(budget=eligible + 1, **config)
    assert (caught.value.field, caught.value.eligible) == ("config.budget", eligible)
    assert (f"{seen:,} rows that train" in str(caught.value)) == (seen > 0)


@pytest.mark.parametrize(
    ("tasks", "message"),
    [
        (Tasks(RTE, ()), "at least one auxiliary dataset is needed"),
        (
            Tasks(RTE, (MNLI, replace(RTE, key="rte-2"))),
            "'rte-2' holds the same rows as 'rte', the primary of this job",
        ),
        (
            Tasks(RTE, (MNLI, replace(MNLI, key="mnli-2"))),
            "'mnli-2' holds the same rows as 'mnli', an auxiliary of this job",
        ),
        (Tasks(RTE, (MNLI, replace(QNLI, key="mnli"))), "two datasets of the job have the same key"),
    ],
)
def test_datasets_that_contradict_one_another_are_refused(tasks: Tasks, message: str):
    with pytest.raises(InvalidConfig) as caught:
        planned(tasks)
    assert (caught.value.field, str(caught.value)) == ("auxiliary", message)


@pytest.mark.parametrize("trained_on", [RTE, MNLI], ids=["primary", "auxiliary"])
def test_data_that_is_trained_on_may_not_be_the_validation_data(trained_on: TaskRef):
    with pytest.raises(InvalidConfig):
        planned(Tasks(RTE, (MNLI, QNLI), replace(trained_on, key="validation")))


def test_the_cost_of_a_plan_is_its_rows():
    costs = {step.name: step.cost for step in planned(budget=100)}
    assert costs == {
        "discriminator": 3 * 5 * (500 + 500 + 300),  # a training row is worth three passes; 5 epochs
        "score 1/1": 600 + 900 + 300,
        "rank": 0,
        "leakage": 0,
        "select": 0,
        "explain": 600 + 100,
        "target (selection)": 3 * 3 * (600 + 100),  # 3 epochs over the primary and the budget
        "finetune (selection)": 3 * 5 * 600,
        "target (primary_only)": 3 * 3 * (600 + 100),  # as many steps, though no row is added
        "finetune (primary_only)": 3 * 5 * 600,
        "report": 0,
    }


def test_only_comparing_texts_selecting_and_reporting_do_without_torch():
    without = {step.kind for step in planned(**BOTH_ARMS) if not pipeline.needs_torch(step)}
    assert without == {"leakage", "rank", "select", "report"}


@pytest.mark.parametrize(
    ("tasks", "same"),
    [
        (Tasks(MNLI, (RTE, QNLI), HELD_OUT), True),
        (Tasks(RTE, (QNLI, MNLI), HELD_OUT), True),
        (Tasks(RTE, (MNLI,), HELD_OUT), False),
        (NLI, False),
    ],
    ids=["another primary", "order of the auxiliaries", "fewer auxiliaries", "no validation"],
)
def test_leaks_are_searched_once_for_the_same_datasets_and_held_out_rows(tasks: Tasks, same: bool):
    first = by_name(planned(Tasks(RTE, (MNLI, QNLI), HELD_OUT)))["leakage"]
    assert (by_name(planned(tasks))["leakage"] == first) is same


def test_without_the_leak_guard_nothing_is_searched():
    assert needs(planned(leak_guard="off"))["select"] == ["rank"]
