"""The command itself: quick to start, completed by shells, and what every command has."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from app.cli import app

RESULTS = (
    "select reproduce estimate doctor datasets:upload datasets:list datasets:show datasets:delete jobs:submit "
    "jobs:watch jobs:list jobs:show jobs:cancel jobs:pause jobs:resume jobs:retry jobs:delete jobs:download "
    "keys:create keys:list keys:revoke keys:rotate tenants:create tenants:list tenants:set-quota"
).split()


@pytest.mark.parametrize("words", RESULTS)
def test_a_command_that_prints_a_result_prints_it_as_json_too(words: str):
    told = CliRunner().invoke(app, [*words.split(":"), "--help"], env={"COLUMNS": "200", "TERM": "dumb"}).output
    assert "--json" in told


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_named_shell_gets_its_completion(shell: str):
    told = fastmtl("--show-completion", shell)
    mark = {"bash": "complete -o default -F", "zsh": "#compdef", "fish": "complete --command"}[shell]
    assert (told.returncode, mark in told.stdout) == (0, True), told.stderr


def test_a_shell_completes_the_names_of_commands():
    asked = {"_FASTMTL_COMPLETE": "complete_bash", "COMP_WORDS": "fastmtl jo", "COMP_CWORD": "1"}
    code = "import sys; sys.argv[0] = 'fastmtl'; from app.cli import main; main()"
    told = subprocess.run([sys.executable, "-c", code], env={**os.environ, **asked}, capture_output=True, text=True)
    assert told.stdout.split() == ["jobs"], told.stderr


def test_help_imports_nothing_that_commands_need():
    heavy = {"torch", "pydantic", "sqlalchemy", "celery", "pyarrow", "numpy", "httpx2", "fastapi"}
    code = f"import sys, app.cli; print(sorted(set(sys.modules) & {heavy}))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "[]\n"


def fastmtl(*words: str) -> subprocess.CompletedProcess[str]:
    code = "import sys; sys.argv[0] = 'fastmtl'; from app.cli import main; main()"
    return subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True)
