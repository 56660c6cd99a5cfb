"""What a command says, and what it ends with."""

from __future__ import annotations

import json

import pytest

from app.exits import Exit, exit_of
from app.terminal import Terminal, run
from fastmtl.client import (
    Conflict,
    Forbidden,
    Invalid,
    JobFailed,
    JobNotOver,
    MissingPackage,
    NotFound,
    ServiceError,
    TooManyRequests,
    Unauthorized,
    Unavailable,
    Unreachable,
)
from fastmtl.errors import DamagedArtifact, InvalidConfig, InvalidDataset, Problem

ENDS = [
    (Invalid({}), Exit.USAGE),
    (InvalidConfig("budget", "too much"), Exit.USAGE),
    (InvalidDataset([Problem("empty")]), Exit.USAGE),
    (FileNotFoundError(2, "No such file", "a.csv"), Exit.USAGE),
    (MissingPackage("pandas"), Exit.USAGE),
    (NotFound({}), Exit.NOT_FOUND),
    (Unauthorized({}), Exit.REFUSED),
    (Forbidden({}), Exit.REFUSED),
    (Unavailable({}), Exit.UNAVAILABLE),
    (Unreachable({}), Exit.UNAVAILABLE),
    (TooManyRequests({}), Exit.UNAVAILABLE),
    (Conflict({}), Exit.CONFLICT),
    (JobFailed(None, "it failed"), Exit.JOB_FAILED),
    (JobNotOver(None, "not over"), Exit.NOT_OVER),
    (ServiceError({"status": 500}), Exit.FAILED),
    (DamagedArtifact("a"), Exit.FAILED),
    (RuntimeError("a"), Exit.FAILED),
    (KeyboardInterrupt(), Exit.INTERRUPTED),
]


@pytest.mark.parametrize(("error", "code"), ENDS, ids=[type(error).__name__ for error, _ in ENDS])
def test_every_kind_of_error_has_its_code(error: BaseException, code: Exit):
    assert exit_of(error) is code


def fails(error: BaseException, *, as_json: bool = False) -> int:
    def command() -> None:
        raise error

    return run(Terminal(as_json=as_json), command)


def test_a_refusal_is_told_with_all_that_is_wrong_and_when_to_come_again(capsys: pytest.CaptureFixture[str]):
    problem = {"title": "No", "detail": "two things", "errors": [{"message": "one"}, {"message": "another"}]}
    assert fails(TooManyRequests(problem, retry_after=7)) == 5
    told = "error: two things\nerror: one\nerror: another\nerror: try again in 7 s\n"
    assert capsys.readouterr() == ("", told)


def test_with_json_a_refusal_is_json(capsys: pytest.CaptureFixture[str]):
    assert fails(FileNotFoundError(2, "No such file", "a.csv"), as_json=True) == 2
    assert json.loads(capsys.readouterr().err) == {
        **{"title": "FileNotFoundError", "detail": "a.csv: No such file", "exit": 2}
    }


def test_text_is_shown_as_it_is(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    Terminal().result({}, "a [red]name[/red] " + "long " * 40)
    assert capsys.readouterr().out == "a [red]name[/red] " + "long " * 40 + "\n"


def test_json_keeps_letters(capsys: pytest.CaptureFixture[str]):
    Terminal(as_json=True).result({"name": "猫"}, "not shown")
    assert capsys.readouterr().out == '{\n  "name": "猫"\n}\n'
