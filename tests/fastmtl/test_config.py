"""A job's config: the paper's defaults, presets under what the user wrote, contradictions refused."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from fastmtl.config import PRESETS, JobConfig


def test_defaults_are_the_papers():
    config = JobConfig()
    assert (config.discriminator.rows_per_task, config.discriminator.epochs, config.discriminator.learning_rate) == (
        500,
        5,
        2e-5,
    )
    assert (config.target.epochs, config.finetuning.epochs, config.encoder.max_length) == (3, 5, 128)
    assert {part.batch_size for part in (config.discriminator, config.target, config.finetuning)} == {32}
    assert (config.method, config.selector, config.seen_rows) == ("discriminator", "top", "exclude")


def test_unless_asked_a_selection_is_compared_once_with_the_primary_alone():
    config = JobConfig()
    assert (config.compare, config.repeats, config.repeat) == (("primary_only",), 1, "training")
    assert (config.budget_curve, config.leave_one_out, config.explain, config.options) == ((), False, 3, {})
    assert (config.discriminator.read_as, config.finetuning.choose_on) == ("trained", "primary")


def test_the_papers_preset_is_the_default():
    assert JobConfig(preset="paper") == JobConfig()


def test_a_preset_fills_what_the_user_did_not_write():
    config = JobConfig(preset="small", discriminator={"epochs": 7})
    assert (config.discriminator.epochs, config.discriminator.learning_rate) == (7, 1e-4)
    assert (config.target.epochs, config.target.learning_rate, config.finetuning.epochs) == (3, 1e-4, 5)


@pytest.mark.parametrize("preset", PRESETS)
def test_a_field_that_the_user_wrote_always_wins(preset: str):
    assert JobConfig(preset=preset, target={"learning_rate": 2e-5}).target.learning_rate == 2e-5


@pytest.mark.parametrize("preset", PRESETS)
def test_a_config_comes_back_from_its_json_as_it_was(preset: str):
    config = JobConfig(
        preset=preset,
        budget=5,
        discriminator={"loss": "bce", "read_as": "sigmoid"},
        finetuning={"choose_on": "measured"},
        compare=["random", "full"],
        repeats=3,
        repeat="selection",
        budget_curve=[4, 2],
        leave_one_out=True,
        explain=0,
        options={"embedding": {"nearest": 3}, "caps": {"caps": {"*": 0.5, "mnli": 2000}}},
    )
    assert JobConfig.model_validate(json.loads(config.model_dump_json())) == config


def test_presets_are_not_changed_by_their_use():
    before = json.dumps(PRESETS)
    JobConfig(preset="small", discriminator={"epochs": 9})
    assert json.dumps(PRESETS) == before


@pytest.mark.parametrize(
    ("written", "place"),
    [
        ({"budget": 0}, ("budget",)),
        ({"budget": "many"}, ("budget",)),
        ({"preset": "huge"}, ("preset",)),
        ({"preset": ["small"]}, ("preset",)),
        ({"bugdet": 5}, ("bugdet",)),
        ({"discriminator": {"epochs": 0}}, ("discriminator", "epochs")),
        ({"discriminator": {"epoch": 1}}, ("discriminator", "epoch")),
        ({"discriminator": {"loss": "hinge"}}, ("discriminator", "loss")),
        ({"discriminator": {"learning_rate": float("nan")}}, ("discriminator", "learning_rate")),
        ({"discriminator": 3, "preset": "small"}, ("discriminator",)),
        ({"target": {"learning_rate": 0}}, ("target", "learning_rate")),
        ({"target": {"batch_size": 5000}}, ("target", "batch_size")),
        ({"finetuning": {"choice_share": 0.6}}, ("finetuning", "choice_share")),
        ({"encoder": {"pooling": "max"}}, ("encoder", "pooling")),
        ({"encoder": {"max_length": 4}}, ("encoder", "max_length")),
        ({"seed": -1}, ("seed",)),
        ({"seed": 2**32}, ("seed",)),
        ({"holdout_share": 0}, ("holdout_share",)),
        ({"compare": [""]}, ("compare", 0)),
        ({"compare": "random"}, ("compare",)),
        ({"options": {str(name): {} for name in range(51)}}, ("options",)),
        ({"budget": 100, "budget_curve": [50, 100]}, ()),
        ({"budget_curve": [50, 50]}, ()),
        ({"budget_curve": [0]}, ("budget_curve", 0)),
        ({"budget_curve": [1.5]}, ("budget_curve", 0)),
        ({"budget": 100, "budget_curve": [*range(1, 22)]}, ("budget_curve",)),
        ({"options": {"embedding": 8}}, ("options", "embedding")),
        ({"options": ["embedding"]}, ("options",)),
        ({"repeats": 0}, ("repeats",)),
        ({"repeats": 51}, ("repeats",)),
        ({"repeat": "all"}, ("repeat",)),
        ({"leave_one_out": "sometimes"}, ("leave_one_out",)),
        ({"explain": -1}, ("explain",)),
        ({"explain": 21}, ("explain",)),
        ({"discriminator": {"read_as": "softmax"}}, ("discriminator", "read_as")),
        ({"finetuning": {"choose_on": "test"}}, ("finetuning", "choose_on")),
        ({"target": {"choose_on": "measured"}}, ("target", "choose_on")),
        ({"compare": ["a" * 101]}, ("compare", 0)),
        ({"compare": [f"arm {n}" for n in range(33)]}, ("compare",)),
        ({"compare": ["random", "random"]}, ()),
        ({"seen_rows": True}, ("seen_rows",)),
        (5, ()),
    ],
    ids=str,
)
def test_what_cannot_be_meant_is_refused_at_its_place(written: Any, place: tuple[str | int, ...]):
    with pytest.raises(ValidationError) as caught:
        JobConfig.model_validate(written)
    assert [error["loc"] for error in caught.value.errors()] == [place]


@pytest.mark.parametrize(
    ("written", "sentence"),
    [
        ({"compare": ["random", "full", "random"]}, "compare: an arm is named twice"),
        ({"budget_curve": [5, 9, 5]}, "budget_curve: a budget is named twice"),
        ({"budget": 1500, "budget_curve": [1500]}, "budget_curve: every budget must be smaller than budget, 1,500"),
    ],
)
def test_settings_that_contradict_one_another_are_refused_in_a_sentence(written: Any, sentence: str):
    with pytest.raises(ValidationError, match=f"{sentence} "):
        JobConfig.model_validate(written)


def test_a_curve_may_reach_up_to_the_budget_in_any_order():
    assert JobConfig(budget=100, budget_curve=[99, 1, 50]).budget_curve == (99, 1, 50)


def test_a_config_cannot_be_changed():
    with pytest.raises(ValidationError):
        JobConfig().budget = 5


def fields(model: type[BaseModel], path: str = "") -> list[tuple[str, Any]]:
    found = []
    for name, field in model.model_fields.items():
        found.append((f"{path}{name}", field))
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            found += fields(field.annotation, f"{path}{name}.")
    return found


def test_every_setting_of_a_job_is_described():
    sections = {"encoder", "discriminator", "finetuning"}  # each says so itself
    assert [name for name, field in fields(JobConfig) if not field.description and name not in sections] == []
