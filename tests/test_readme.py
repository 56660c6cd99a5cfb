"""The README says what is there: every setting, every command, and code that is true."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from app.cli import app
from app.settings import Settings
from fastmtl.config import JobConfig

README = (Path(__file__).parent.parent / "README.md").read_text()
MAKEFILE = (Path(__file__).parent.parent / "Makefile").read_text()


@pytest.mark.parametrize("name", sorted(Settings.model_fields))
def test_every_setting_of_a_machine_is_told_of(name: str):
    assert f"FASTMTL_{name.upper()}" in README


@pytest.mark.parametrize("name", sorted(set(JobConfig.model_fields) - {"preset"}))
def test_every_field_of_a_job_is_told_of(name: str):
    assert re.search(rf"\| .*`{name}[.`]", README)


def test_every_make_target_that_is_named_exists():
    named = set(re.findall(r"^make (\w+)", README, re.MULTILINE)) | set(re.findall(r"`make (\w+)[` ]", README))
    assert named - set(re.findall(r"^(\w[\w-]*):", MAKEFILE, re.MULTILINE)) == set()


def test_every_option_of_the_command_that_is_named_exists():
    used = re.search(r"fastmtl select (.*?)\n```", README, re.DOTALL)
    assert used
    told = CliRunner().invoke(app, ["select", "--help"], env={"COLUMNS": "200", "TERM": "dumb"}).output
    assert [option for option in re.findall(r"--[\w-]+", used[1]) if option not in told] == []


def test_the_python_example_compiles_and_its_imports_are_there():
    (code,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    exec(compile("\n".join(line for line in code.splitlines() if "import" in line), "README", "exec"), {})
    compile(code, "README", "exec")


def test_every_file_that_is_linked_exists():
    links = [link for link in re.findall(r"\]\(([^)#:]+)\)", README)]
    assert [link for link in links if not (Path(__file__).parent.parent / link).exists()] == []
