"""docs/own-data.md: every file in it is read, or refused, as it says; its blocks run."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from fenced import blocks, run_shell, table_between
from hub import COMMIT, Hub, hub_of, little_hub
from service import Api, api, served

from fastmtl import columns
from fastmtl.canonical import convert
from fastmtl.datasets import Summary
from fastmtl.errors import InvalidDataset
from fastmtl.labels import FEW_CLASSES, SURE_CLASSES
from fastmtl.readers import Limits

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "own-data.md").read_text()
MARKS = {"⏎": "\n", "⇥": "\t", "␠": "a" * 20_000}


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    with hub_of(tmp_path, monkeypatch) as hub:
        little_hub(hub)
        yield hub


def written(cell: str, folder: Path) -> Path:
    """Write the file that a cell of the table shows."""
    text = cell.strip("`")
    for mark, meant in MARKS.items():
        text = text.replace(mark, meant)
    (folder / "file").write_text(text, newline="")
    return folder / "file"


def told_of(summary: Summary) -> str:
    labels = summary.labels
    span = summary.label_range
    what = (
        f"the classes {', '.join(each.label for each in labels)}"
        if labels
        else f"numbers from {span[0]:g} to {span[1]:g}"
    )
    return f"{summary.file_format}, {summary.rows} rows of {summary.columns.text_a} with {what}"


@pytest.mark.parametrize(("file", "told"), table_between(PAGE, "works"))
def test_a_file_that_works_is_read_as_the_page_says(file: str, told: str, tmp_path: Path):
    assert told_of(convert(written(file, tmp_path), tmp_path / "out.parquet")) == told


@pytest.mark.parametrize(("file", "told"), table_between(PAGE, "refused"))
def test_a_file_that_is_refused_is_told_of_in_these_words(file: str, told: str, tmp_path: Path):
    with pytest.raises(InvalidDataset) as caught:
        convert(written(file, tmp_path), tmp_path / "out.parquet")
    assert told in [str(problem) for problem in caught.value.problems]


def test_the_usual_names_of_columns_are_those_of_the_code():
    names = dict(table_between(PAGE, None, after="| column | usual names |"))
    assert names["`text_a` and `text_b`"] == ", ".join(f"{first} + {second}" for first, second in columns.PAIRS)
    assert names["`text_a` alone"] == ", ".join(columns.SINGLES)
    assert names["`label`"] == ", ".join(columns.LABELS)


def test_the_bounds_are_those_of_the_code():
    limits = Limits()
    assert f"| rows of a file | {limits.max_rows:,} | |" in PAGE
    assert f"| a text | {limits.max_text_chars:,} characters;" in PAGE
    assert f"| columns | {limits.max_columns:,} | |" in PAGE
    assert f"than\n{FEW_CLASSES} differ; from {SURE_CLASSES + 1} on" in PAGE
    assert f"at most\n{limits.max_labels:,} classes" in PAGE


def test_its_python_runs(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(ROOT)
    for block in blocks(PAGE, "python"):
        exec(compile(block, "docs/own-data.md", "exec"), {})


def test_its_commands_run(hub: Hub, tmp_path: Path):
    with api(tmp_path / "home", hub="on") as client, served(client.app) as url:  # type: ignore[arg-type]
        place = {"FASTMTL_URL": url, "FASTMTL_API_KEY": Api(client, tmp_path / "home").key}
        cache = {"HF_HUB_OFFLINE": "0", "HF_HOME": str(tmp_path / "cache"), "HF_ENDPOINT": os.environ["HF_ENDPOINT"]}
        told = run_shell(blocks(PAGE, "sh"), tmp_path, {**place, **cache})
    sources = json.loads((tmp_path / "chosen" / "sources.json").read_text())
    assert f"source      hub:nyu-mll/glue/rte@{COMMIT}#train" in told
    assert sources["sst2"] == f"hub:nyu-mll/glue/sst2@{COMMIT}#train"


def test_what_it_says_of_the_hub_is_what_the_code_says():
    source = " ".join(path.read_text() for path in (ROOT / "fastmtl").glob("hub*.py"))
    rows = [told for told, _ in table_between(PAGE, None, after="| told | what to do |")]
    known = [re.split(r"…| train,| -1| 0 to", told)[0].strip() for told in rows]
    assert [each for each in known if each.split(": ")[0] not in source] == []
