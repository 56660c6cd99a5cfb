"""The grid: which runs there are, what each is made of, and what `as published` changes."""

from __future__ import annotations

from pathlib import Path

import pytest
from little_glue import little_glue

from fastmtl.config import JobConfig
from fastmtl.errors import InvalidConfig, UnknownName
from fastmtl.reproduce import glue, protocol
from fastmtl.reproduce.protocol import AS_PUBLISHED, FULL, OURS, PRIMARY_ONLY, Grid, Run

BASE = JobConfig.model_validate({"encoder": {"name": "bert", "max_length": 16}, "discriminator": {"rows_per_task": 8}})
SMALL = Grid(("rte", "stsb"), ("BCE-TD", "CE-TD", "random"), (5, 10), (0, 1))


@pytest.fixture
def data(tmp_path: Path) -> glue.Glue:
    return glue.prepare(little_glue(tmp_path / "glue"), tmp_path / "data", SMALL.primaries, 0)


def steps(runs: list[Run], kind: str) -> set[str]:
    return {step.fingerprint for run in runs for step in run.steps if step.kind == kind}


def test_every_primary_has_every_arm_budget_and_seed_and_the_two_ends(data, known):
    runs = protocol.runs(SMALL, BASE, OURS, data, known)
    assert [(run.arm, run.budget) for run in runs[:8]] == [
        (PRIMARY_ONLY, None),
        (FULL, None),
        *((arm, budget) for arm in SMALL.arms for budget in SMALL.budgets),
    ]
    assert len({run.key for run in runs}) == len(runs) == 2 * 2 * 8


def test_discriminators_are_shared_by_primaries_and_budgets_and_scores_too(data, known):
    runs = protocol.runs(SMALL, BASE, OURS, data, known)
    assert len(steps(runs, "discriminator")) == 2 * 2  # losses · seeds
    assert len(steps(runs, "rank")) == 3 * 2 * 2  # arms · primaries · seeds; full takes random's


def test_the_ends_take_no_scores_and_their_training_does_not_depend_on_what_else_is_run(data, known):
    ends = [run for run in protocol.runs(SMALL, BASE, OURS, data, known) if run.budget is None]
    assert {(run.arm, *(step.kind for step in run.steps)) for run in ends} == {
        (PRIMARY_ONLY, "target", "finetune"),
        (FULL, "rank", "leakage", "select", "target", "finetune"),
    }
    other = Grid(("rte",), ("random",), (5,), (0,))
    alone = [run for run in protocol.runs(other, BASE, OURS, data, known) if run.budget is None]
    assert [run.key for run in alone] == [run.key for run in ends if (run.primary, run.seed) == ("rte", 0)]


def test_as_published_sets_four_choices_and_no_other():
    ours, theirs = (protocol.settings(BASE, name, "CE-TD", 5, 3).model_dump() for name in (OURS, AS_PUBLISHED))
    assert (ours["seed"], ours["training_seed"], theirs["seed"]) == (3, 3, 3)
    assert theirs == {
        **ours,
        "discriminator": {**ours["discriminator"], "read_as": "sigmoid"},
        "finetuning": {**ours["finetuning"], "choose_on": "measured"},
        "training_seed": 0,
        "leak_guard": "off",
    }


def test_as_published_the_ends_of_all_seeds_are_one_training(data, known):
    runs = protocol.runs(SMALL, BASE, AS_PUBLISHED, data, known)
    trainings = {(run.primary, run.arm, run.steps[-1].fingerprint) for run in runs if run.budget is None}
    assert len(trainings) == 2 * 2


def test_methods_go_by_the_names_of_the_table_or_of_this_project():
    found = protocol.grid(["rte"], ["bce-td", "discriminator", "random_balanced"], [10, 5, 5], [1, 0], BASE)
    assert found == Grid(("rte",), ("BCE-TD", "CE-TD", "random_balanced"), (5, 10), (1, 0))


def test_what_cannot_be_run_is_refused_by_name():
    with pytest.raises(UnknownName, match="Did you mean 'BCE-TD'"):
        protocol.grid(["rte"], ["BCETD"], [5], [0], BASE)
    with pytest.raises(UnknownName, match="'qqp' is not known here"):
        protocol.grid(["qqp"], ["random"], [5], [0], BASE)
    with pytest.raises(InvalidConfig, match="training_seed: the protocol sets it"):
        protocol.grid(["rte"], ["random"], [5], [0], JobConfig(training_seed=1))
