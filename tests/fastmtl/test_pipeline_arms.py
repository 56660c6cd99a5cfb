"""The plan of arms, repetitions and options: which steps there are, what they share, what is refused."""

from __future__ import annotations

from collections import Counter
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
EVERY_ARM = {
    "compare": ["primary_only", "random", "random_balanced", "embedding", "all_data", "full"],
    "budget_curve": [10, 50],
    "leave_one_out": True,
}


def planned(tasks: Tasks = NLI, **config: object) -> list[StepSpec]:
    return plan(JobConfig.model_validate({"budget": 100, **config}), tasks, KNOWN)


def named(steps: list[StepSpec], kind: str) -> list[str]:
    return [step.name for step in steps if step.kind == kind]


def the(steps: list[StepSpec], name: str) -> StepSpec:
    (found,) = [step for step in steps if step.name == name]
    return found


def needs(steps: list[StepSpec], name: str) -> list[str]:
    names = {step.fingerprint: step.name for step in steps}
    return [names[fingerprint] for fingerprint in the(steps, name).needs]


def test_every_arm_is_trained_once_in_the_order_of_the_config():
    steps = planned(**EVERY_ARM)
    names = ["selection", *EVERY_ARM["compare"], "best 10", "best 50", "without mnli", "without qnli"]
    assert named(steps, "target") == [f"target ({name})" for name in names]
    assert named(steps, "finetune") == [f"finetune ({name})" for name in names]


def test_parts_of_the_selection_choose_nothing_anew():
    steps = planned(**EVERY_ARM)
    parts = ["selection", "best 10", "best 50", "without mnli", "without qnli"]
    assert [needs(steps, f"target ({part})") for part in parts] == [["select"]] * 5
    others = ["random", "random_balanced", "embedding", "all_data"]
    assert named(steps, "select") == ["select", *(f"select ({name})" for name in others)]


def test_every_row_is_chosen_once_for_both_arms_that_train_on_it():
    steps = planned(compare=["full", "all_data"], selector="caps")
    assert needs(steps, "target (full)") == needs(steps, "target (all_data)") == ["select (all_data)"]
    select = the(steps, "select (all_data)").params
    assert (select["budget"], select["selector"], the(steps, "select").params["selector"]) == (None, "top", "caps")


def test_an_arm_that_is_the_selections_own_method_is_the_selection():
    steps = planned(compare=["discriminator"])
    assert named(steps, "target") == ["target (selection)"]
    first, second = the(steps, "report").params["arms"]
    assert (first["arm"], second["arm"], first["final"] == second["final"]) == ("selection", "discriminator", True)


def test_the_report_is_told_every_repetition_of_every_arm():
    steps = planned(compare=["primary_only", "random"], budget_curve=[7], repeats=2)
    names = {step.fingerprint: step.name for step in steps}
    told = [
        (each["arm"], each["repeat"], each["best"], names[each["final"]], each["select"] and names[each["select"]])
        for each in the(steps, "report").params["arms"]
    ]
    assert told == [
        ("selection", 0, None, "finetune (selection)", "select"),
        ("primary_only", 0, None, "finetune (primary_only)", None),
        ("random", 0, None, "finetune (random)", "select (random)"),
        ("best 7", 0, 7, "finetune (best 7)", "select"),
        ("selection", 1, None, "finetune (selection, 2)", "select"),
        ("primary_only", 1, None, "finetune (primary_only, 2)", None),
        ("random", 1, None, "finetune (random, 2)", "select (random, 2)"),
        ("best 7", 1, 7, "finetune (best 7, 2)", "select"),
    ]
    needed = the(steps, "report").needs
    listed = {each[key] for each in the(steps, "report").params["arms"] for key in ("final", "select")}
    listed |= {the(steps, "report").params["explain"]}
    assert (set(needed), len(needed)) == (listed - {None}, len(set(needed)))


def test_all_arms_of_a_repetition_have_its_seed_and_are_measured_on_the_same_rows():
    steps = [step for step in planned(**EVERY_ARM, repeats=3, training_seed=7) if step.kind in ("target", "finetune")]
    assert Counter(step.params["seed"] for step in steps) == {7: 22, 8: 22, 9: 22}
    assert {step.params["split_seed"] for step in steps} == {7}


def test_repeated_trainings_keep_the_selection_and_draw_random_rows_anew():
    steps = planned(compare=["random", "all_data"], repeats=3, seed=5)
    assert named(steps, "select") == [
        "select",
        "select (random)",
        "select (all_data)",
        "select (random, 2)",
        "select (random, 3)",
    ]
    assert named(steps, "discriminator") == ["discriminator"]
    drawn = {step.name: step.params["seed"] for step in steps if step.kind == "rank"}
    assert drawn == {
        "rank": None,  # the discriminator's scores are what they are
        "rank (random)": 5,  # also what `all_data` is in the order of
        "rank (random, 2)": 6,
        "rank (random, 3)": 7,
    }


def test_a_random_selection_is_drawn_once_unless_the_selection_is_repeated():
    once, anew = (planned(method="random", compare=[], repeats=2, repeat=kind) for kind in ("training", "selection"))
    assert (named(once, "select"), named(anew, "select")) == (["select"], ["select", "select (selection, 2)"])


def test_repeated_selections_train_the_discriminator_anew():
    steps = planned(compare=[], repeats=2, repeat="selection", seed=5, selector="gumbel", budget_curve=[9])
    assert named(steps, "discriminator") == ["discriminator", "discriminator #2"]
    seeds = [step.params["seed"] for step in steps if step.kind in ("discriminator", "select")]
    assert seeds == [5, 5, 6, 6]
    assert needs(steps, "target (best 9, 2)") == ["select (selection, 2)"]
    assert needs(steps, "explain") == ["select"]


@pytest.mark.parametrize("repeat", ["training", "selection"])
def test_a_step_is_planned_once_under_a_name_of_its_own_after_what_it_needs(repeat):
    steps = planned(**EVERY_ARM, repeats=3, repeat=repeat)
    assert len({step.name for step in steps}) == len({step.fingerprint for step in steps}) == len(steps)
    done: set[str] = set()
    for step in steps:
        assert done.issuperset(step.needs)
        done.add(step.fingerprint)


def test_names_that_datasets_make_equal_are_told_apart():
    tasks = Tasks(RTE, (replace(MNLI, key="x"), replace(QNLI, key="x, 2")))
    names = named(planned(tasks, leave_one_out=True, repeats=2, compare=[]), "target")
    assert names == [
        "target (selection)",
        "target (without x)",
        "target (without x, 2)",
        "target (selection, 2)",
        "target (without x, 2) #2",
        "target (without x, 2, 2)",
    ]


@pytest.mark.parametrize("repeat", ["training", "selection"])
def test_more_repetitions_need_everything_that_fewer_did_but_the_report(repeat):
    once, twice = (planned(**EVERY_ARM, repeats=repeats, repeat=repeat) for repeats in (1, 2))
    fewer, more = ({step.fingerprint: step.name for step in steps if step.kind != "report"} for steps in (once, twice))
    assert fewer.items() <= more.items()


def test_more_arms_and_points_need_everything_that_fewer_did_but_the_report():
    few, many = (planned(), planned(**EVERY_ARM))
    assert {step.fingerprint for step in few if step.kind != "report"} < {step.fingerprint for step in many}


def test_without_explanations_no_step_explains():
    kinds = [[step.kind for step in planned(explain=count)].count("explain") for count in (0, 1, 20)]
    assert kinds == [0, 1, 1]
    assert the(planned(explain=7), "explain").params["nearest"] == 7


def test_the_published_reading_scores_anew_and_trains_no_discriminator_anew():
    trained, sigmoid = (planned(discriminator={"read_as": read}) for read in ("trained", "sigmoid"))
    same = {step.name for step in trained} - {
        step.name for step in trained if step.fingerprint not in {each.fingerprint for each in sigmoid}
    }
    assert same == {"discriminator", "leakage", "target (primary_only)", "finetune (primary_only)"}


def test_rows_that_choose_no_epoch_are_trained_on():
    shares = {}
    for choice in ("primary", "measured"):
        steps = planned(finetuning={"choose_on": choice, "choice_share": 0.3})
        shares[choice] = {step.params["choice_share"] for step in steps if step.kind in ("target", "finetune")}
    assert shares == {"primary": {0.3}, "measured": {0.0}}


@pytest.mark.parametrize(
    ("options", "same"),
    [
        ({"embedding": {"nearest": 8}}, True),  # as it is unless asked
        ({"embedding": {}}, True),
        ({"gumbel": {"temperature": 2}}, True),  # another's
        ({"embedding": {"nearest": 3}}, False),
    ],
)
def test_options_decide_the_steps_of_their_method_alone(options, same):
    plain, other = (planned(method="embedding", options=given) for given in ({}, options))
    assert (the(plain, "rank").fingerprint == the(other, "rank").fingerprint) is same
    assert [step.fingerprint for step in plain if step.kind == "embed"] == [
        step.fingerprint for step in other if step.kind == "embed"
    ]


def test_options_reach_the_selector_whole():
    select = the(planned(selector="gumbel", options={"gumbel": {"temperature": 2}}), "select")
    assert select.params["options"] == {"temperature": 2.0, "log": False}


def test_no_method_has_the_name_of_a_selector_or_of_an_arm():
    fixed = {"selection", "primary_only", "all_data", "full"}
    taken = [*methods.names(), *selectors.names(), *fixed]
    assert [name for name, count in Counter(taken).items() if count > 1] == []


@pytest.mark.parametrize(
    ("config", "field", "message"),
    [
        (
            {"compare": ["primary_only", "randon"]},
            "config.compare.1",
            "'randon' is not known here. Did you mean 'random",
        ),
        ({"options": {"embeding": {}}}, "config.options.embeding", "Did you mean 'embedding'?"),
        ({"options": {"../top": {}}}, "config.options.../top", "is not known here"),
        (
            {"options": {"embedding": {"nearest": 0}}},
            "config.options.embedding.nearest",
            "Input should be greater than or equal to 1, found 0; embedding has the options: nearest",
        ),
        (
            {"options": {"gumbel": {"temperature": "hot"}}},
            "config.options.gumbel.temperature",
            "a valid number, unable to parse string as a number, found 'hot'; gumbel has the options: log, temperature",
        ),
        (
            {"options": {"bm25": {"near": 5}}},
            "config.options.bm25.near",
            "Extra inputs are not permitted, found 5; bm25 has the options: b, k1, nearest",
        ),
        ({"options": {"random": {"seed": 1}}}, "config.options.random.seed", "random has the options: none"),
        ({"method": "lm_loss"}, "config.method", "the method 'lm_loss' cannot work with this encoder: it measures"),
        ({"compare": ["random", "lm_loss"]}, "config.compare.1", "the method 'lm_loss' cannot work with this encoder"),
        (
            {"method": "gradient", "options": {"gradient": {"slice_of": "bm"}}},
            "config.options.gradient.slice_of",
            "'bm' is not known here",
        ),
        (
            {"method": "gradient", "options": {"gradient": {"slice_of": "gradient"}}},
            "config.options.gradient.slice_of",
            "'gradient' is not known here",
        ),
        (
            {"compare": ["gradient"], "options": {"gradient": {"slice_of": "lm_loss"}}},
            "config.options.gradient.slice_of",
            "the method 'lm_loss' cannot work with this encoder",
        ),
    ],
    ids=str,
)
def test_what_no_step_could_compute_is_refused_with_the_field_that_says_so(config, field, message):
    with pytest.raises(InvalidConfig) as caught:
        planned(**config)
    assert caught.value.field == field
    assert message in str(caught.value)


def test_lm_loss_works_with_an_encoder_that_carries_its_head():
    assert "target (lm_loss)" in named(planned(compare=["lm_loss"], encoder={"name": "bert-base-cased"}), "target")


def test_a_slice_of_a_method_that_is_not_used_is_not_asked_for():
    planned(compare=["random"], options={"gradient": {"slice_of": "lm_loss"}})


def test_an_unknown_name_of_an_option_lists_methods_and_selectors():
    with pytest.raises(UnknownName) as caught:
        planned(options={"nobody": {}})
    assert caught.value.known == tuple(sorted([*methods.names(), *selectors.names()]))


def test_one_auxiliary_cannot_be_left_out():
    with pytest.raises(InvalidConfig, match="needs at least two auxiliary datasets") as caught:
        planned(Tasks(RTE, (MNLI,)), leave_one_out=True)
    assert caught.value.field == "config.leave_one_out"


@pytest.mark.parametrize(
    ("config", "eligible"),
    [
        # 1,200 auxiliary rows, of which the discriminator and the classifier train on 500 + 300
        ({"method": "random", "compare": ["classifier"]}, 400),
        ({"method": "random", "compare": ["random_balanced", "full"]}, 1_200),
    ],
)
def test_the_budget_must_fit_every_arm(config, eligible):
    planned(budget=eligible, **config)
    with pytest.raises(BudgetTooLarge, match=f"only {eligible:,} are eligible"):
        planned(budget=eligible + 1, **config)


def test_ready_steps_that_lead_to_the_chosen_rows_are_begun_before_trainings():
    kinds = {step.kind for step in planned(**EVERY_ARM, repeats=2)}
    order = sorted(kinds, key=lambda kind: (pipeline.urgency(kind), kind))
    assert order == "select leakage rank discriminator score embed explain report finetune target".split()
    assert pipeline.urgency("gradients") == pipeline.urgency("embed")
