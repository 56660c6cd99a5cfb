"""`fastmtl reproduce`: what a shell sees, on a made-up GLUE with a tiny encoder."""

from __future__ import annotations

import csv
import json
import zipfile
from pathlib import Path

import pytest
from little_glue import HELD, little_glue, write
from tiny import write_encoder
from typer.testing import CliRunner

from app.cli import app
from app.reproduce_command import Request, Tools, run_reproduce
from fastmtl.reproduce.figures import draw
from fastmtl.reproduce.network import predict_texts

SMALL = {
    "encoder": {"max_length": 16},
    "discriminator": {"rows_per_task": 8, "epochs": 1},
    "target": {"epochs": 1},
    "finetuning": {"epochs": 1},
    "precision": "fp32",
}
GRID = ["--budgets", "5,10", "--seeds", "0,1"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """GLUE, a tiny encoder and a config that is quick."""
    path = tmp_path_factory.mktemp("reproduce")
    little_glue(path / "glue")
    write(path / "glue", "rte", "test", 7)
    write(path / "glue", "stsb", "test", 7)
    write_encoder("bert", path / "encoder")
    (path / "config.json").write_text(json.dumps(SMALL))
    return path


def reproduce(folder: Path, output: Path, *options: str):
    given = ["--data", folder / "glue", "--output", output, "--config", folder / "config.json"]
    given += ["--encoder", folder / "encoder", "--device", "cpu"]
    return CliRunner().invoke(app, ["reproduce", *map(str, given), *options])


def records(output: Path) -> list[dict]:
    return [json.loads(line) for line in (output / "runs.jsonl").read_text().splitlines()]


def test_the_table_has_a_row_for_every_arm_and_budget_and_a_second_run_computes_nothing(folder, tmp_path):
    first = reproduce(folder, tmp_path, *GRID, "--primaries", "rte,stsb", "--methods", "ce-td,random")
    assert first.exit_code == 0, first.output
    with (tmp_path / "table.csv").open() as file:
        found = [(row["task"], row["arm"], row["budget"], row["seeds"]) for row in csv.DictReader(file)]
    with_budget = [(arm, budget) for arm in ("CE-TD", "random") for budget in ("5", "10")]
    arms = [("primary only", ""), ("full MT-DNN", ""), *with_budget]
    assert found == [(task, *arm, "2") for task in ("rte", "stsb") for arm in arms]
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "cache").iterdir()}
    again = reproduce(folder, tmp_path, *GRID, "--primaries", "rte,stsb", "--methods", "ce-td,random", "--json")
    assert (again.exit_code, again.stderr.count("finished before")) == (0, 24)
    assert json.loads(again.stdout) == json.loads((tmp_path / "results.json").read_text())
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "cache").iterdir()} == before
    assert {path.name for path in (tmp_path / "figures").iterdir()} == {
        f"{name}.{form}" for name in ("budget-ours", "time-ours", "tsne") for form in ("png", "svg")
    }


def test_the_discriminator_is_trained_once_a_seed_whatever_the_primaries_and_budgets(folder, tmp_path):
    options = [*GRID, "--primaries", "rte,mrpc", "--methods", "CE-TD", "--no-figures"]
    assert reproduce(folder, tmp_path, *options).exit_code == 0
    assert len(list((tmp_path / "cache").glob("*/model/heads.safetensors"))) == 2  # all other weights are removed


def test_runs_under_both_protocols_stand_side_by_side(folder, tmp_path):
    options = ["--budgets", "5", "--seeds", "0,1", "--primaries", "rte", "--methods", "CE-TD", "--no-figures"]
    assert reproduce(folder, tmp_path, *options).exit_code == 0
    told = reproduce(folder, tmp_path, *options, "--as-published")
    assert told.exit_code == 0, told.output
    rows = json.loads((tmp_path / "results.json").read_text())["rows"]
    assert [(row["arm"], row["protocol"], row["trainings"]) for row in rows] == [
        ("primary only", "ours", 2),
        ("primary only", "as published", 1),  # one training seed: the other seed's is the same training
        ("full MT-DNN", "ours", 2),
        ("full MT-DNN", "as published", 1),
        ("CE-TD", "ours", 2),
        ("CE-TD", "as published", 2),
    ]


def test_a_submission_holds_what_was_predicted_and_says_what_it_lacks(folder, tmp_path):
    options = ["--budgets", "5", "--seeds", "0", "--primaries", "rte,stsb", "--methods", "CE-TD", "--no-figures"]
    told = reproduce(folder, tmp_path, *options, "--submission")
    assert told.exit_code == 0, told.output
    assert "WNLI.tsv, AX.tsv; they were not predicted here and are not made up" in " ".join(told.output.split())
    with zipfile.ZipFile(tmp_path / "submission.zip") as archive:
        lines = {name: archive.read(name).decode().splitlines() for name in archive.namelist()}
    assert {name: len(each) for name, each in lines.items()} == {"RTE.tsv": 8, "STS-B.tsv": 8}
    assert [line.partition("\t")[0] for line in lines["RTE.tsv"]] == ["index", *map(str, range(7))]
    assert {line.partition("\t")[2] for line in lines["RTE.tsv"][1:]} <= {"entailment", "not_entailment"}


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--primaries", "cola"], "'cola' is not known here"),
        (["--methods", "magic"], "'magic' is not known here"),
        (["--budgets", "ten"], "budgets: whole numbers are needed, found 'ten'"),
        (["--budgets", "0"], "budgets: every one must be at least 1, found 0"),
        (["--seeds", "-1"], "seeds: every one must be from 0"),
        (["--budgets", "5,225"], "a budget of 225 rows, but only 224 are eligible"),  # 7 auxiliaries · (40 - 8)
        (["--data", "nowhere"], "nowhere/rte/train.parquet is not there"),
        (["--submission"], "mrpc/test.parquet is not there"),
        (["--preset", "big"], "preset: Input should be 'paper' or 'small'"),
    ],
)
def test_what_the_user_can_mend_is_told_before_anything_is_trained(folder, tmp_path, options, told):
    result = reproduce(folder, tmp_path / "out", *options)
    assert (result.exit_code, "Traceback" in result.output) == (2, False)
    assert told in " ".join(result.output.split())
    assert not list((tmp_path / "out").glob("cache/*"))


def test_a_config_that_sets_what_the_grid_sets_is_refused(folder, tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({**SMALL, "budget": 7}))
    result = reproduce(folder, tmp_path / "out", "--config", str(tmp_path / "config.json"))
    assert (result.exit_code, "budget: the protocol sets it" in result.output) == (2, True)


def test_what_was_stopped_halfway_goes_on_with_the_first_run_that_is_not_finished(folder, tmp_path):
    options = ["--budgets", "5,10", "--seeds", "0", "--primaries", "rte", "--methods", "CE-TD", "--no-figures"]
    assert reproduce(folder, tmp_path, *options).exit_code == 0
    whole = (tmp_path / "runs.jsonl").read_text().splitlines(keepends=True)
    (tmp_path / "runs.jsonl").write_text("".join(whole[:2]))
    again = reproduce(folder, tmp_path, *options)
    assert (again.exit_code, again.output.count("finished before")) == (0, 2)
    assert [each["metrics"] for each in records(tmp_path)] == [json.loads(line)["metrics"] for line in whole]


def test_glue_is_fetched_from_the_hub_with_only_the_files_that_are_read(folder, tmp_path):
    asked: list[tuple[list[str], str | None]] = []

    def fetch(patterns, revision):
        asked.append((list(patterns), revision))
        return little_glue(tmp_path / "snapshot", shards=True)

    request = Request(
        data="hub",
        output=tmp_path / "out",
        primaries=["rte"],
        methods=["random"],
        budgets=["5"],
        seeds=["0"],
        config=folder / "config.json",
        encoder=str(folder / "encoder"),
        device="cpu",
        revision="abc",
    )
    assert run_reproduce(request, Tools(fetch, predict_texts, draw)) == 0
    ((patterns, revision),) = asked
    assert (len(patterns), patterns[-1], revision) == (9, "rte/validation-*.parquet", "abc")
    assert [each["rows"]["measured"] for each in records(tmp_path / "out")] == [HELD] * 3
