"""Reading a file in a process of its own: one JSON object, whatever the file is."""

import errno
import json
import subprocess
import sys
from pathlib import Path

import pytest


def answer(folder, content, *arguments):
    (folder / "source").write_text(content)
    command = [sys.executable, "-m", "fastmtl.convert", folder / "source", folder / "target", *arguments]
    return json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def test_a_good_file_is_summed_up(tmp_path):
    options = {"file_format": "csv", "kind": "classification", "columns": {"text_a": "t", "label": "y"}}
    summary = answer(tmp_path, "t,y\na,1\nb,0\n", "--options-json", json.dumps(options))["summary"]
    assert len(summary.pop("digest")) == 64
    assert summary == {
        "rows": 2,
        "kind": "classification",
        "file_format": "csv",
        "columns": {"text_a": "t", "text_b": None, "label": "y"},
        "labels": [{"label": "0", "rows": 1}, {"label": "1", "rows": 1}],
        "label_range": None,
        "lengths": {"mean": 1.0, "median": 1.0, "p95": 1.0, "longest": 1},
        "duplicates": 0,
        "examples": [
            {"row": 0, "text_a": "a", "text_b": None, "label": "1"},
            {"row": 1, "text_a": "b", "text_b": None, "label": "0"},
        ],
        "warnings": [],
    }


def test_a_bad_file_is_an_answer_too(tmp_path):
    problem = {"message": "the text is empty", "field": "text", "row": 0, "line": 2}
    assert answer(tmp_path, "text,label\n,1\n", "--memory-bytes", str(2**31)) == {"problems": [problem], "total": 1}


@pytest.mark.parametrize("columns", [None, {}])
def test_columns_need_not_be_named(tmp_path, columns):
    options = json.dumps({"columns": columns, "file_format": None, "kind": None})
    assert answer(tmp_path, "text,label\na,1\nb,0\n", "--options-json", options)["summary"]["rows"] == 2


def test_a_file_that_needs_too_much_memory_is_told_and_leaves_nothing(tmp_path):
    many = "[" + "[]," * 2_700_000 + "[]]"  # 8 MB of text, 170 MB of lists; Arrow alone has 120 MiB of data
    content = '{"text": "a", "label": 1}\n{"text": "b", "label": 0, "more": ' + many + "}\n"
    told = "reading this file needs more than 200 MiB of memory: split it"
    found = answer(tmp_path, content, "--memory-bytes", str(200 * 2**20))
    assert found == {"problems": [{"message": told, "field": None, "row": None, "line": None}], "total": 1}
    assert [path.name for path in tmp_path.iterdir()] == ["source"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_a_full_disk_is_an_answer_too(tmp_path):
    (tmp_path / "target.draft").symlink_to("/dev/full")
    assert answer(tmp_path, "text,label\na,1\nb,0\n") == {"errno": errno.ENOSPC}


MEASURE = """
import resource, sys
from pathlib import Path
import pyarrow
from fastmtl.canonical import convert
pyarrow.set_cpu_count(1)
def peak(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
before = peak()
print(convert(Path(sys.argv[1]), Path(sys.argv[2])).rows, peak() - before)
"""


@pytest.mark.parametrize("chars", [200, 80_000])
def test_a_file_of_50_mb_is_read_in_bounded_memory(tmp_path, chars):
    row = '"{} ' + "x" * chars + '",{}\n'
    rows = 50_000_000 // len(row)
    with (tmp_path / "big.csv").open("w") as file:
        file.write("text,label\n")
        file.writelines(row.format(number, number % 2) for number in range(rows))
    command = [sys.executable, "-c", MEASURE, tmp_path / "big.csv", tmp_path / "target"]
    answer = subprocess.run(command, capture_output=True, text=True, check=True)
    counted, grown_mib = map(int, answer.stdout.split())
    assert counted == rows
    assert grown_mib < 150
