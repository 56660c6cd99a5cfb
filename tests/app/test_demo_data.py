"""Where the demonstration's data comes from."""

from __future__ import annotations

import io
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from app.demo_data import EXAMPLES, NoData, find, sample
from fastmtl.canonical import convert
from fastmtl.datasets import Dataset

CSV = "text,label\n" + "".join(f"text {row},{row % 2}\n" for row in range(9))


def parquet() -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.table({"sentence": ["a", "b"], "label": [0, 1], "idx": [0, 1]}), sink)
    return sink.getvalue()


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """A hub that answers every path with a small Parquet file; yields the paths that were asked for."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(200)
            self.end_headers()
            self.wfile.write(parquet())

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
        monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
        yield asked
        server.shutdown()


def task(folder: Path, name: str, **files: str) -> None:
    (folder / name).mkdir()
    for stem, text in files.items():
        (folder / name / f"{stem}.csv").write_text(text)


def test_a_folder_that_is_given_is_used_and_its_smallest_task_with_validation_is_the_primary(tmp_path):
    task(tmp_path, "large", train=CSV * 3, validation=CSV)
    task(tmp_path, "small", train=CSV, validation=CSV)
    task(tmp_path, "alone", train="text,label\na,1\n")
    data = find(tmp_path, None, tmp_path)
    assert (data.primary.name, [each.name for each in data.auxiliary]) == ("small", ["alone", "large"])


def test_glue_is_fetched_where_the_hub_can_be_reached_and_not_twice(tmp_path, hub):
    told = [find(None, None, tmp_path).told for _ in range(2)]
    assert told == ["GLUE from the Hugging Face hub"] * 2
    assert len(hub) == 16
    assert "/datasets/nyu-mll/glue/resolve/main/mnli/validation_matched-00000-of-00001.parquet" in hub


def test_the_examples_are_used_where_the_hub_cannot_be_reached(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    data = find(None, None, tmp_path)
    assert (data.primary.name, len(data.auxiliary)) == ("support_entailment", 5)
    assert "could not be reached" in data.told


@pytest.mark.parametrize("make", [lambda folder: None, lambda folder: task(folder, "one", train=CSV)])
def test_a_folder_without_tasks_is_refused_with_what_it_should_look_like(tmp_path, make):
    make(tmp_path)
    with pytest.raises(NoData, match="one folder a task"):
        find(tmp_path, None, tmp_path)


def test_an_unknown_primary_lists_the_tasks_there_are(tmp_path):
    with pytest.raises(NoData, match=r"there is no task 'rte'.*policy_inference"):
        find(EXAMPLES, "rte", tmp_path)


def test_a_sample_is_drawn_from_the_whole_file_and_the_same_every_time(tmp_path):
    task(tmp_path, "t", train=CSV)
    drawn = []
    for _ in range(2):
        path, rows = sample(tmp_path / "t" / "train.csv", 4, tmp_path)
        convert(path, tmp_path / "out.parquet")
        drawn.append(Dataset.open(tmp_path / "out.parquet").texts()[0])
    assert (rows, len(drawn[0]), drawn[0] == drawn[1]) == (9, 4, True)
    assert sample(tmp_path / "t" / "train.csv", None, tmp_path)[0] == tmp_path / "t" / "train.csv"


@pytest.mark.parametrize("file", sorted(EXAMPLES.glob("*/*.*")), ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_every_example_is_read_without_a_word_and_holds_no_row_twice(tmp_path, file):
    summary = convert(file, tmp_path / "out.parquet")
    assert (summary.warnings, summary.duplicates, 200 <= summary.rows <= 600) == ((), 0, True)


def test_the_examples_are_what_their_generator_writes(tmp_path):
    import runpy
    import shutil
    import sys

    copy = shutil.copytree(EXAMPLES, tmp_path / "examples")
    sys.path.insert(0, str(copy))
    try:
        runpy.run_path(str(copy / "make_examples.py"), run_name="__main__")
    finally:
        sys.path.remove(str(copy))
        sys.modules.pop("material", None)
    files = sorted(path.relative_to(EXAMPLES) for path in EXAMPLES.glob("*/*.*") if "__pycache__" not in path.parts)
    same = [
        path
        for path in files
        if path.suffix == ".parquet" or (EXAMPLES / path).read_bytes() == (copy / path).read_bytes()
    ]
    assert same == files
