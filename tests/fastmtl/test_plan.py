"""What a step's fingerprint depends on, and what it does not."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from itertools import permutations

import pytest

from fastmtl.plan import StepSpec, TaskRef, in_order

STEP = StepSpec(
    kind="score",
    name="score 1/2",
    version=1,
    params={"precision": "fp32", "pieces": [["a", 0, 5]], "training": {"epochs": 3}},
    datasets=("a", "b"),
    needs=("f1", "f2"),
    cost=10,
)


def test_a_fingerprint_does_not_depend_on_name_and_cost():
    assert replace(STEP, name="another", cost=99).fingerprint == STEP.fingerprint


def test_a_fingerprint_does_not_depend_on_the_order_in_which_params_were_written():
    turned = dict(reversed(STEP.params.items()))
    assert replace(STEP, params=turned).fingerprint == STEP.fingerprint


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "target"},
        {"version": 2},
        {"params": {**STEP.params, "precision": "bf16"}},
        {"params": {**STEP.params, "pieces": [["a", 0, 6]]}},
        {"params": {**STEP.params, "training": {"epochs": 4}}},
        {"params": {**STEP.params, "new": None}},
        {"datasets": ("b", "a")},
        {"datasets": ("a",)},
        {"needs": ("f2", "f1")},
        {"needs": ()},
    ],
    ids=str,
)
def test_a_fingerprint_depends_on_everything_that_decides_the_output(change: dict[str, object]):
    assert replace(STEP, **change).fingerprint != STEP.fingerprint


def test_datasets_and_needs_are_not_mixed_up():
    assert replace(STEP, datasets=("a",), needs=()).fingerprint != replace(STEP, datasets=(), needs=("a",)).fingerprint


def test_a_fingerprint_is_the_same_in_another_process_and_after_json():
    program = (
        "import json, sys; from fastmtl.plan import StepSpec as S; print(S.from_json(json.load(sys.stdin)).fingerprint)"
    )
    told = subprocess.run(
        [sys.executable, "-c", program], input=json.dumps(STEP.to_json()), capture_output=True, text=True, check=True
    )
    assert told.stdout.strip() == STEP.fingerprint


def test_a_step_comes_back_from_json_as_it_was():
    assert StepSpec.from_json(json.loads(json.dumps(STEP.to_json()))) == STEP


def test_the_order_of_tasks_does_not_depend_on_how_they_were_listed():
    tasks = [TaskRef("rte", "c", 3), TaskRef("mnli", "a", 1), TaskRef("qnli", "b", 2)]
    assert {tuple(task.digest for task in in_order(listed)) for listed in permutations(tasks)} == {("a", "b", "c")}
