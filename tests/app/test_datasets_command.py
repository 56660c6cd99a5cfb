"""`fastmtl datasets`: what a shell sees."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

import pytest
from hub import COMMIT, hub_of, little_hub
from service import CSV, Api, api
from shell import Shell, shell_of

from app import remote

HIDDEN = "every label is -1: those of this split are hidden, as in many test sets. Take another split"
UNKNOWN = "6f0e2f6c-3b0a-4c58-9a55-0f3d1b2c4d5e"


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shell]:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "animals.csv").write_text(CSV)
    with api(tmp_path / "home") as inner, shell_of(Api(inner, tmp_path / "home"), monkeypatch) as shell:
        yield shell


def test_a_file_is_uploaded_listed_shown_and_deleted(shell: Shell):
    made = shell.json("datasets", "upload", "animals.csv", "--name", "mine", "--label", "label")
    assert (made["name"], made["rows"]) == ("mine", 3)
    assert [each["id"] for each in shell.json("datasets", "list")] == [made["id"]]
    assert shell.json("datasets", "show", made["id"]) == made
    assert shell.json("datasets", "delete", made["id"])["id"] == made["id"]
    assert shell.json("datasets", "list") == []


def test_people_get_lines_that_can_be_read(shell: Shell):
    shown = shell("datasets", "upload", "animals.csv").stdout.splitlines()
    assert [line.split(maxsplit=1)[0] for line in shown] == "id name rows kind columns labels characters".split()
    assert "no 2, yes 1" in shown[5]
    listed = shell("datasets", "list").stdout.splitlines()
    assert (listed[0].split(), listed[1].split()[1:4]) == (
        ["id", "name", "rows", "kind", "uploaded"],
        ["animals", "3", "classification"],
    )


def test_a_split_of_the_hub_is_uploaded_by_its_name(shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    with hub_of(tmp_path, monkeypatch) as hub:
        little_hub(hub)
        made = shell.json("datasets", "upload", "hub:nyu-mll/glue/rte#validation")
        shown = shell("datasets", "show", made["id"]).stdout
        hidden = shell.refused("datasets", "upload", "hub:nyu-mll/glue/rte#test")
        missing = shell.refused("datasets", "upload", "hub:nyu-mll/glue/rte#dev")
        hub.down = True
        down = shell.refused("datasets", "upload", "hub:me/other#train", "--json")
    assert (made["name"], made["rows"]) == ("rte-validation", 10)
    assert f"source      hub:nyu-mll/glue/rte@{COMMIT}#validation" in shown
    assert hidden == (2, f"error: column 'label': {HIDDEN}")
    assert missing == (3, "error: hub:nyu-mll/glue/rte#dev is not there: its splits are train, validation, test")
    assert (down[0], json.loads(down[1])["title"]) == (5, "HubUnavailable")


def test_what_is_wrong_with_a_file_is_told_by_row(shell: Shell, tmp_path: Path):
    (tmp_path / "bad.csv").write_text(CSV + ",yes\n")
    told = shell.refused("datasets", "upload", "bad.csv")
    assert told == (2, "error: row 3 (line 5), column 'text': the text is empty")


def test_with_json_a_refusal_is_the_problem(shell: Shell):
    code, told = shell.refused("datasets", "show", UNKNOWN, "--json")
    problem = json.loads(told)
    assert (code, problem["exit"], problem["status"], problem["type"]) == (3, 3, 404, "urn:fastmtl:problem:not-found")


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (["upload", "none.csv"], 2, "error: none.csv: No such file or directory"),
        (["upload", "."], 2, "error: .: Is a directory"),
        (["show", UNKNOWN], 3, f"error: there is no dataset {UNKNOWN}"),
        (["delete", "../jobs"], 3, "error: Not Found"),
        (["show", "mine"], 2, "error: dataset_id: "),
        (["list", "--url", "ftp://x"], 2, "error: 'ftp://x' is no address of a service"),
        (["list", "--url", "http://127.0.0.1:9"], 5, "error: the service at http://127.0.0.1:9 cannot be reached"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_line(shell: Shell, words: list[str], code: int, told: str, monkeypatch):
    monkeypatch.setattr("fastmtl.transfer.FIRST_WAIT_SECONDS", 0.001)
    found, line = shell.refused("datasets", *words)
    assert (found, line[: len(told)], line.count("\n")) == (code, told, 0)


def test_a_key_that_does_not_count_is_a_kind_of_its_own(shell: Shell, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("FASTMTL_API_KEY", "fastmtl_wrong")
    assert shell.refused("datasets", "list")[0] == 4


def test_the_key_in_the_home_goes_to_this_machine_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    keys: list[str | None] = []
    monkeypatch.setattr(remote, "Client", lambda url, key: keys.append(key) or nullcontext())
    monkeypatch.setenv("FASTMTL_HOME", str(tmp_path))
    (tmp_path / "api-key").write_text("fastmtl_mine\n")
    for url in ("http://127.0.0.1:1", "http://localhost:1", "http://[::1]:1", "https://example.com", "http://10.0.0.1"):
        with remote.connected(url):
            pass
    assert keys == ["fastmtl_mine", "fastmtl_mine", "fastmtl_mine", None, None]


def test_what_nobody_foresaw_is_said_without_a_trace(shell: Shell, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(remote, "Client", lambda url, key: {}["nothing"])
    told = "error: this is our mistake (KeyError: 'nothing'); with FASTMTL_LOG_LEVEL=debug it shows where"
    assert shell.refused("datasets", "list") == (1, told)
