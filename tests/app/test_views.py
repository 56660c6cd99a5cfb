"""What a job's files are called, and that every one of them can be fetched."""

from __future__ import annotations

import pytest
from service import Api, many

from app.views import public_name


@pytest.mark.parametrize(
    ("step", "name"),
    [
        ("select", "f"),
        ("explain", "f"),
        ("finetune (selection)", "f"),
        ("report", "f"),
        ("discriminator", "discriminator/f"),
        ("finetune (selection, 2)", "arms/selection, 2/f"),
        ("select (selection, 2)", "arms/selection, 2/f"),
        ("select (embedding)", "arms/embedding/f"),
        ("finetune (best 250)", "arms/best 250/f"),
        ("finetune (without mnli)", "arms/without mnli/f"),
        ("finetune (without données, 3)", "arms/without données, 3/f"),
        ("finetune (without ../a(b))", "arms/without .._a_b_~b0fea7ec6272/f"),
        ("score 1/1", None),
        ("embed a (b)", None),
        ("rank (random)", None),
        ("target (random)", None),
        ("leakage", None),
    ],
)
def test_files_of_use_outside_have_a_name_by_their_step(step: str, name: str | None):
    assert public_name(step, "f") == name


def test_no_two_steps_give_a_file_the_same_name():
    keys = ["a/b", "a_b", "a b", "a(b", "a)b", "a\\b", "a:b", "a, 2", "a, 2) #2", "a" * 200, "a" * 199, "é" * 200, "~"]
    steps = [f"finetune (without {key}{repeat})" for key in keys for repeat in ("", ", 2")]
    steps += ["finetune (without a, 2) #2", "finetune (without a~)", "finetune (selection)"]
    names = {public_name(step, "f") for step in steps}
    assert len(names) == len(steps)
    assert max(len(str(name).split("/")[-2].encode()) for name in names - {"f"}) <= 255


@pytest.mark.parametrize(
    ("step", "shown"),
    [("select", True), ("select (random)", True), ("explain", False), ("finetune (random)", False), ("report", False)],
)
def test_costs_are_shown_of_selections_alone(step: str, shown: bool):
    assert (public_name(step, "costs.json") is not None) == shown


@pytest.mark.parametrize("key", ["a/../b (c) #?%41", "名" * 200])
def test_a_file_of_an_arm_is_fetched_from_where_the_list_says(service: Api, key: str):
    ids = [service.upload(many(40, name), name=name)["id"] for name in ("primary", "other", key)]
    config = {"seen_rows": "include", "budget": 5, "leave_one_out": True}
    job = service.client.post("/v1/jobs", json={"primary": ids[0], "auxiliary": ids[1:], "config": config}).json()
    service.choose(job)
    service.explain(job)
    service.finish(job, f"target (without {key})", {"costs.json": b"{}"})
    service.finish(job, f"finetune (without {key})", {"costs.json": b"{}", "evaluation.json": b"[1]"})
    items = service.client.get(f"/v1/jobs/{job['id']}/artifacts").json()["items"]
    (own,) = (each for each in items if each["name"].startswith("arms/"))
    assert {each["name"] for each in items} == {
        *("selection.parquet", "scores.parquet", "subset.parquet", "leaks.parquet"),
        *("counts.json", "explanations.parquet", own["name"]),
    }
    assert service.client.get(own["href"]).content == b"[1]"
