"""`fastmtl select`: what a shell sees."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from hub import COMMIT, hub_of, little_hub
from tiny import write_encoder
from typer.testing import CliRunner

from app.cli import app
from app.local_command import read_config
from fastmtl.errors import InvalidConfig

NO_OPTIONS = {"budget": None, "preset": None, "loss": None, "seed": None, "encoder": None}
SMALL = {
    "encoder": {"max_length": 16},
    "discriminator": {"rows_per_task": 8, "epochs": 1},
    "target": {"epochs": 1},
    "finetuning": {"epochs": 1},
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two tasks, a tiny encoder and a config that is quick."""
    for name, word in (("cats", "cat"), ("shops", "shop")):
        rows = [f"the {word} is {('old', 'new')[row % 2]} {row},{row % 2}" for row in range(30)]
        (tmp_path / f"{name}.csv").write_text("\n".join(["text,label", *rows]))
    write_encoder("bert", tmp_path / "encoder")
    (tmp_path / "config.json").write_text(json.dumps(SMALL))
    return tmp_path


def select(folder: Path, *options: str):
    files = ["--primary", folder / "cats.csv", "--auxiliary", folder / "shops.csv", "--output", folder / "out"]
    settings = ["--config", folder / "config.json", "--encoder", folder / "encoder", "--device", "cpu"]
    return CliRunner().invoke(app, ["select", *map(str, [*files, *settings]), *options])


def test_rows_are_chosen_trained_on_and_shown(folder):
    result = select(folder, "--budget", "5")
    assert result.exit_code == 0, result.output
    assert pq.read_metadata(folder / "out" / "selection.parquet").num_rows == 5
    assert "5 rows chosen" in result.output
    assert "no auxiliary rows" in result.output
    assert (folder / "out" / "model" / "model.safetensors").is_file()


def test_arms_are_compared_over_several_seeds(folder):
    wanted = ["--compare", "primary_only", "--compare", "dsir", "--repeats", "2", "--curve", "2,4"]
    result = select(folder, "--budget", "5", "--method", "bm25", "--selector", "label_balance", *wanted)
    assert result.exit_code == 0, result.output
    report = json.loads((folder / "out" / "report.json").read_text())
    assert list(report["arms"]) == ["selection", "primary_only", "dsir", "best 2", "best 4"]
    assert {len(arm["repeats"]) for arm in report["arms"].values()} == {2}
    assert "of 2 seeds" in " ".join(result.output.split())
    assert f"Report:{folder}/out/report.html" in "".join(result.output.split())
    assert (folder / "out" / "report.html").read_text().count("<figure>") == 6


def test_a_selection_alone_trains_nothing_after_it(folder):
    result = select(folder, "--budget", "5", "--no-train")
    assert result.exit_code == 0, result.output
    assert not (folder / "out" / "report.json").exists()
    assert "report.html" not in result.output


def test_with_json_the_result_is_a_document_and_steps_are_lines_beside_it(folder):
    result = select(folder, "--budget", "5", "--no-train", "--json")
    told = json.loads(result.stdout)
    assert (told["counts"]["shops"]["selected"], told["report"], len(told["digest"])) == (5, None, 64)
    assert "  discriminator" in result.stderr.splitlines()


def test_splits_of_the_hub_stand_in_the_place_of_files(folder, monkeypatch):
    with hub_of(folder, monkeypatch) as hub:
        little_hub(hub)
        names = ["--validation", "hub:nyu-mll/glue/rte#validation", "--auxiliary", "hub:nyu-mll/glue/sst2#train"]
        wanted = [
            "--primary",
            "hub:nyu-mll/glue/rte#train",
            "--budget",
            "5",
            "--no-train",
            "--json",
            "--method",
            "dsir",
        ]
        result = select(folder, *names, *wanted)
    told = json.loads(result.stdout)
    at = f"@{COMMIT}#"
    assert (told["counts"]["sst2"]["rows"], told["counts"]["shops"]["rows"]) == (30, 30)
    assert told["sources"] == json.loads((folder / "out" / "sources.json").read_text())
    assert told["sources"] == {
        "rte": f"hub:nyu-mll/glue/rte{at}train",
        "rte-validation": f"hub:nyu-mll/glue/rte{at}validation",
        "sst2": f"hub:nyu-mll/glue/sst2{at}train",
    }
    assert f"sst2 is hub:nyu-mll/glue/sst2{at}train" in result.stderr


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--primary", "hub:nyu-mll/glue/rte"], "names no split: write hub:OWNER/NAME"),
        (["--budget", "23"], "a budget of 23 rows, but only 22 are eligible"),
        (["--budget", "0"], "budget: Input should be greater than or equal to 1, found 0"),
        (["--preset", "big"], "preset: Input should be 'paper' or 'small', found 'big'"),
        (["--loss", "mse"], "discriminator.loss: Input should be 'ce' or 'bce', found 'mse'"),
        (["--method", "dsri"], "'dsri' is not known here. Did you mean 'dsir'?"),
        (["--selector", "tops"], "Did you mean 'top'?"),
        (["--selector", "[/b]"], "'[/b]' is not known here"),
        (["--compare", "everything"], "'everything' is not known here"),
        (["--budget", "5", "--curve", "2,5"], "budget_curve: every budget must be smaller than budget, 5"),
        (["--budget", "5", "--repeats", "0"], "repeats: Input should be greater than or equal to 1, found 0"),
        (["--budget", "5", "--curve", "two"], "budget_curve.0: Input should be a valid integer"),
        (["--budget", "5", "--device", "cuda:7"], "cuda:7"),
        (["--validation", "nowhere.csv"], "nowhere.csv"),
    ],
)
def test_what_the_user_can_mend_is_told_without_a_trace(folder, options, told):
    result = select(folder, *options)
    assert result.exit_code == 2
    assert told in " ".join(result.output.split())
    assert "Traceback" not in result.output


def test_an_unknown_encoder_gets_a_list_of_those_there_are(folder):
    result = select(folder, "--encoder", "bert-bass-cased")
    assert result.exit_code == 2
    assert "bert-base-cased" in result.output


def test_options_win_over_the_file(tmp_path):
    path = tmp_path / "config.json"
    path.write_text(json.dumps({"budget": 7, "seed": 3, "discriminator": {"epochs": 9}}))
    config = read_config(path, {**NO_OPTIONS, "budget": 8, "loss": "bce"})
    assert (config.budget, config.seed) == (8, 3)
    assert (config.discriminator.loss, config.discriminator.epochs) == ("bce", 9)


def test_options_of_arms_set_the_fields_of_their_names(tmp_path):
    options = {"method": "bm25", "selector": "caps", "compare": ["random"], "repeats": 3, "budget_curve": ["2", "4"]}
    config = read_config(None, {**NO_OPTIONS, **options})
    assert (config.method, config.selector, config.compare) == ("bm25", "caps", ("random",))
    assert (config.repeats, config.budget_curve) == (3, (2, 4))


@pytest.mark.parametrize(
    ("text", "told"), [("budget: 7", "config.json is not JSON"), ("[7]", "config.json holds no JSON object but list")]
)
def test_a_file_that_holds_no_config_is_named(tmp_path, text, told):
    path = tmp_path / "config.json"
    path.write_text(text)
    with pytest.raises(InvalidConfig, match=told):
        read_config(path, NO_OPTIONS)
