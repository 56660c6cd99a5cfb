"""The README says what is there: every setting, every command, and code that is true."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from types import ModuleType

import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from app.cli import app
from app.settings import Settings
from fastmtl import methods, selectors
from fastmtl.config import JobConfig
from fastmtl.local import select_rows

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
    used = re.findall(r"fastmtl select (.*?)\n```", README, re.DOTALL)
    assert len(used) == 2
    told = CliRunner().invoke(app, ["select", "--help"], env={"COLUMNS": "200", "TERM": "dumb"}).output
    assert [option for option in re.findall(r"--[\w-]+", " ".join(used)) if option not in told] == []


LOCAL, METHOD = re.findall(r"```python\n(.*?)```", README, re.DOTALL)[::-1]


def test_the_python_example_compiles_and_its_imports_are_there():
    exec(compile("\n".join(line for line in LOCAL.splitlines() if "import" in line), "README", "exec"), {})
    compile(LOCAL, "README", "exec")


def test_the_method_of_twenty_lines_is_one_and_chooses_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    assert len([line for line in METHOD.splitlines() if line.strip()]) <= 20
    (tmp_path / "length.py").write_text(METHOD)
    monkeypatch.setattr(methods, "__path__", [*methods.__path__, str(tmp_path)])
    for name, texts in {"primary": ["abcd", "abcde"], "other": ["a" * 50, "abcf", "a" * 9]}.items():
        rows = "".join(f"{text},{index % 2}\n" for index, text in enumerate(texts))
        (tmp_path / f"{name}.csv").write_text(f"text,label\n{rows}")
    config = JobConfig(method="length", budget=2, explain=0)
    result = select_rows(
        tmp_path / "primary.csv", [tmp_path / "other.csv"], tmp_path / "out", config=config, device="cpu", train=False
    )
    assert pq.read_table(result.folder / "selection.parquet")["row"].to_pylist() == [1, 2]
    monkeypatch.delitem(sys.modules, "fastmtl.methods.length")


@pytest.mark.parametrize("kind", [methods, selectors])
def test_every_method_and_selector_is_told_of(kind: ModuleType):
    assert [name for name in kind.names() if not re.search(rf"^\| .*`{name}`.* \|", README, re.MULTILINE)] == []


def test_every_file_that_is_linked_exists():
    links = [link for link in re.findall(r"\]\(([^)#:]+)\)", README)]
    assert [link for link in links if not (Path(__file__).parent.parent / link).exists()] == []
