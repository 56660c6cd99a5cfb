"""`fastmtl jobs` and `fastmtl estimate`: what a shell sees."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path

import datasets
import pytest
from chosen import parquet, subset
from hub import COMMIT, hub_of, little_hub
from service import Api, api, many, selection
from shell import Shell, shell_of

SMALL = ["--budget", "5", "--config", "config.json"]
UNKNOWN = "6f0e2f6c-3b0a-4c58-9a55-0f3d1b2c4d5e"


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shell]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("fastmtl.transfer.FIRST_WAIT_SECONDS", 0.001)
    for name in ("primary", "other"):
        (tmp_path / f"{name}.csv").write_text(many(40, name))
    (tmp_path / "bad.csv").write_text("text,label\n,yes\n")
    (tmp_path / "config.json").write_text(json.dumps({"seen_rows": "include"}))
    with api(tmp_path / "home") as inner, shell_of(Api(inner, tmp_path / "home"), monkeypatch) as shell:
        yield shell


def submit(shell: Shell) -> dict:
    return shell.json(
        "jobs", "submit", "--primary", "primary.csv", "--auxiliary", "other.csv", *SMALL, "--name", "mine"
    )


def choose(shell: Shell, job: dict) -> None:
    """Finish the steps up to the selection, its files included."""
    for name in ("discriminator", "score 1/1", "rank", "leakage"):
        shell.hand.finish(job, name)
    counts = {"rows": 40, "seen": 0, "leaked": 0, "eligible": 40, "selected": 5, "share": 1.0, "random_share": 1.0}
    result = {"digest": "d" * 64, "counts": {"other": counts}}
    files = {"selection.parquet": selection(), "subset.parquet": parquet(subset("other"))}
    shell.hand.finish(job, "select", files, result)


def test_files_are_uploaded_once_however_often_they_are_named(shell: Shell):
    estimate = shell.json("estimate", "--primary", "primary.csv", "--auxiliary", "other.csv", *SMALL)
    job = submit(shell)
    uploaded = shell.json("datasets", "list")
    assert sorted(each["name"] for each in uploaded) == ["other", "primary"]
    assert {each["id"] for each in job["datasets"]} == {each["id"] for each in uploaded}
    assert (job["config"]["budget"], job["config"]["seen_rows"], job["name"]) == (5, "include", "mine")
    assert (estimate["basis"], estimate["seconds"]) == ("none", None)


def test_a_name_on_the_hub_stands_in_the_place_of_a_file(shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    with hub_of(tmp_path, monkeypatch) as hub:
        little_hub(hub)
        words = ["--primary", "hub:nyu-mll/glue/rte#train", "--auxiliary", "hub:nyu-mll/glue/sst2#train", *SMALL]
        jobs = [shell.json("jobs", "submit", *words) for _ in range(2)]
        refused = shell.refused("jobs", "submit", "--primary", "hub:nyu-mll/glue/rte#test", "--auxiliary", "other.csv")
    used = [sorted(each["id"] for each in job["datasets"]) for job in jobs]
    sources = {each["name"]: each["source"] for each in shell.json("datasets", "list")}
    assert (used[0], sources["rte"]) == (used[1], f"hub:nyu-mll/glue/rte@{COMMIT}#train")
    assert (refused[0], refused[1].splitlines()[0]) == (2, "hub:nyu-mll/glue/rte#test cannot be used")


def test_ids_are_taken_as_they_are_and_the_jobs_id_alone_is_printed(shell: Shell):
    ids = {name: shell.json("datasets", "upload", f"{name}.csv")["id"] for name in ("primary", "other")}
    result = shell("jobs", "submit", "--primary", ids["primary"], "--auxiliary", ids["other"], *SMALL)
    (job,) = shell.json("jobs", "list")
    assert (result.exit_code, result.stdout) == (0, f"{job['id']}\n")
    assert f"`fastmtl jobs watch {job['id']}` follows it" in result.stderr


def test_a_job_pauses_resumes_is_cancelled_tried_again_and_deleted(shell: Shell):
    job = submit(shell)["id"]
    states = [shell.json("jobs", word, job)["status"] for word in ("show", "pause", "resume", "cancel", "retry")]
    assert states == ["queued", "paused", "queued", "cancelled", "queued"]
    code, told = shell.refused("jobs", "delete", job)
    assert (code, "error: " in told) == (7, True)
    shell.json("jobs", "cancel", job)
    assert shell.json("jobs", "list", "--status", "cancelled")[0]["id"] == job
    assert (shell.json("jobs", "delete", job)["id"], shell.json("jobs", "list")) == (job, [])


def test_people_see_the_steps_of_a_job(shell: Shell):
    job = submit(shell)
    choose(shell, job)
    lines = shell("jobs", "show", job["id"]).stdout.splitlines()
    assert (lines[0], lines[1].split(",")[0]) == (f"{job['id']}  mine", "running")
    assert ["select", "succeeded"] in [line.split()[:2] for line in lines]
    listed = shell("jobs", "list").stdout.splitlines()
    assert (listed[0].split(), listed[1].split()[:3]) == (
        ["id", "name", "status", "done", "left", "submitted"],
        [job["id"], "mine", "running"],
    )


def test_a_job_is_followed_to_its_end_a_line_a_step_in_a_pipe(shell: Shell, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    job = submit(shell)
    choose(shell, job)
    ender = threading.Timer(0.8, shell.hand.end, [job])
    ender.start()
    result = shell("jobs", "watch", job["id"])
    ender.join()
    assert result.exit_code == 6  # cancelled
    steps = [line.split()[0] for line in result.stderr.splitlines() if " done in " in line]
    assert steps == ["discriminator", "score", "rank", "leakage", "select"]
    assert result.stdout.splitlines()[0] == f"{job['id']} cancelled"
    assert "5 rows chosen" in result.stdout
    assert [mark for mark in ("\x1b", "\r") if mark in result.stdout + result.stderr] == []


def test_watching_gives_up_when_told_to_and_the_job_goes_on(shell: Shell):
    job = submit(shell)["id"]
    result = shell("jobs", "watch", job, "--timeout-seconds", "0.1")
    assert (result.exit_code, f"the job {job} is queued after 0.1 s; it goes on" in result.stderr) == (8, True)
    assert shell.json("jobs", "show", job)["status"] == "queued"


def test_what_a_job_made_is_downloaded(shell: Shell, tmp_path: Path):
    job = submit(shell)
    choose(shell, job)
    found = shell.json("jobs", "download", job["id"], "files")
    assert found["files"] == ["files/selection.parquet", "files/subset.parquet"]
    one = shell("jobs", "download", job["id"], "one", "--file", "subset.parquet").stdout
    assert (one, (tmp_path / "one" / "subset.parquet").stat().st_size > 0) == ("one/subset.parquet\n", True)
    shell.json("jobs", "download", job["id"], "--as", "dataset", "rows")
    rows = datasets.load_dataset(str(tmp_path / "rows"), split="train", cache_dir=str(tmp_path / "cache"))
    assert rows["text_a"][:] == ["a cat", "a cat"]


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (["show", UNKNOWN], 3, "error: there is no job"),
        (["list", "--status", "done"], 2, "error: --status 'done' is none of waiting, queued, running, paused"),
        (["download", UNKNOWN, "--as", "csv"], 2, "error: --as 'csv' is none of files, dataset, model, classifier"),
        (["watch", "mine"], 2, "error: job_id: "),
    ],
)
def test_what_cannot_be_done_is_said_in_a_line(shell: Shell, words: list[str], code: int, told: str):
    found, line = shell.refused("jobs", *words)
    assert (found, line[: len(told)]) == (code, told)


@pytest.mark.parametrize(
    ("primary", "options", "told"),
    [
        ("none.csv", [], "'none.csv' is neither a file here nor the id of a dataset (`fastmtl datasets list` shows"),
        ("primary.csv", ["--budget", "0"], "budget: Input should be greater than or equal to 1, found 0"),
        ("primary.csv", ["--budget", "81"], "a budget of 81 rows, but only 40 are eligible"),
        ("primary.csv", ["--method", "dsri"], "'dsri' is not known here. Did you mean 'dsir'?"),
        ("other.csv", [], "is the same dataset as primary; every dataset has one role"),
        ("bad.csv", [], "bad.csv cannot be used\nerror: row 0 (line 2), column 'text': the text is empty"),
    ],
)
def test_what_a_job_cannot_be_made_of_is_said(shell: Shell, primary: str, options: list[str], told: str):
    words = ["--primary", primary, "--auxiliary", "other.csv", "--config", "config.json", *options]
    result = shell("jobs", "submit", *words)
    assert (result.exit_code, told in result.stderr) == (2, True), result.stderr
    assert shell.json("jobs", "list") == []
