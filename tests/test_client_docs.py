"""docs/client.md and docs/command.md, run against a service with a worker, as a reader would."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import datasets
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from tiny import write_encoder

from app.embedded import EmbeddedStack
from app.exits import Exit
from fastmtl import client as package
from fastmtl.config import PACKAGED_ENCODER

ROOT = Path(__file__).parent.parent
DOCS = {name: (ROOT / "docs" / f"{name}.md").read_text() for name in ("client", "command")}
# One service for both pages: what one of them has computed the other finds done.
pytestmark = [pytest.mark.timeout(900), pytest.mark.xdist_group("client-docs")]


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedStack]:
    """The service as `make demo` starts it; its default encoder is a tiny one."""
    folder = tmp_path_factory.mktemp("stack")
    encoders = {PACKAGED_ENCODER: f"folder:{write_encoder('bert', folder / 'tiny')}"}
    settings = {"FASTMTL_ENCODERS": json.dumps(encoders), "FASTMTL_THREADS": "1", "FASTMTL_CALIBRATE": "false"}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {**settings, "FASTMTL_POLL_SECONDS": "0.05"}.items():
            patch.setenv(name, value)
        with EmbeddedStack(folder / "home", port=0) as running:
            yield running


@pytest.fixture
def place(stack: EmbeddedStack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to read in, where the examples lie, and an environment that names the service."""
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FASTMTL_URL", stack.url)
    monkeypatch.setenv("FASTMTL_API_KEY", stack.key)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    return tmp_path


def blocks(name: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", DOCS[name], re.DOTALL)


def test_the_page_on_python_is_true(place: Path, capsys: pytest.CaptureFixture[str]):
    found: dict[str, Any] = {}
    for block in blocks("client", "python"):
        exec(compile(block, "docs/client.md", "exec"), found)
    assert (found["job"].status, found["selection"].budget, len(found["frame"])) == ("succeeded", 100, 100)
    assert isinstance(found["frame"], pd.DataFrame) and isinstance(found["arrow"], pa.Table)
    assert isinstance(found["lazy"], pl.LazyFrame) and isinstance(found["rows"], datasets.Dataset)
    assert (len(found["every"]), set(found["policy_rows"]["dataset"])) == (100, {"policy_inference"})
    assert (found["names"].count("policy_inference"), found["failed"]) == (1, [])
    assert found["best"] == found["why"]._replace(percentile=None, nearest=None)
    assert {"config.json", "heads.safetensors"} <= {path.name for path in (place / "model").iterdir()}
    with package.Client() as client:
        client.download(found["job"].id, "predictions.parquet", place / "measured.parquet")
    assert predicted(found) == pq.read_table(place / "measured.parquet")["predicted"].to_pylist()
    told = capsys.readouterr()
    assert ("text 1 row 1" in told.out, "404 not-found there is no dataset" in told.out) == (True, True)
    assert [word for word in ("upload support", "job ") if word in told.err] == []  # no bar where nobody looks


def predicted(found: dict[str, Any]) -> list[str]:
    """What the exported classifier says of the rows that the job was measured on."""
    rows = pd.read_csv("examples/support_entailment/validation.csv")
    texts = [rows[name].to_list() for name in found["held"].columns.values() if name and name != "label"]
    with torch.inference_mode():
        inputs = found["tokenizer"](*texts, truncation=True, padding=True, return_tensors="pt")
        best = found["model"](**inputs).logits.argmax(1)
    return [found["model"].config.id2label[index] for index in best.tolist()]


def test_every_public_class_of_errors_is_on_the_page():
    errors = [name for name in package.__all__ if isinstance(each := getattr(package, name), type) if _is_error(each)]
    assert [
        name for name in errors if f"`{name}`" not in DOCS["client"] and name not in ("ClientError", "ServiceError")
    ] == []


def _is_error(each: type) -> bool:
    return issubclass(each, Exception)


def test_the_page_on_the_command_is_true(place: Path):
    shim = place / "bin" / "fastmtl"
    shim.parent.mkdir()
    shim.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m app.cli "$@"\n')
    shim.chmod(0o755)
    paths = {"PATH": f"{shim.parent}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}
    script = "set -euo pipefail\n" + "\n".join(blocks("command", "sh"))
    told = subprocess.run(["bash", "-c", script], env={**os.environ, **paths}, capture_output=True, text=True)
    assert told.returncode == 0, told.stdout + told.stderr
    assert "Traceback" not in told.stderr
    assert ("100 rows chosen" in told.stdout, "nothing that is needed is broken" in told.stdout) == (True, True)
    assert [mark for mark in ("\x1b", "\r") if mark in told.stdout + told.stderr] == []
    names = {path.relative_to(place).as_posix() for path in place.rglob("*") if path.is_file()}
    wanted = {
        "results/selection.parquet",
        "results/report.json",
        "results/report.html",
        "rows/README.md",
        "model/config.json",
        "classifier/config.json",
    }
    assert wanted | {"one/report.json", "completion.sh"} <= names


def test_every_exit_code_is_on_the_page():
    told = {int(code) for code in re.findall(r"^\| (\d+) \|", DOCS["command"], re.MULTILINE)}
    assert told == {int(each) for each in Exit}
