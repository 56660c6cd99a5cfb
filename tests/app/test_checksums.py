"""The list of digests, checked by the program that it is for."""

from __future__ import annotations

import hashlib
import subprocess
from pathlib import Path

import pytest

from app.checksums import listing

NAMES = ["plain.txt", "model/deep file.bin", "ünïcode ✓", "back\\slash", "new\nline", "return\r", " space ", "*star"]


def test_a_list_is_read_by_sha256sum(tmp_path: Path):
    digests = []
    for name in NAMES:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
        digests.append((name, hashlib.sha256(name.encode()).hexdigest()))
    assert check(tmp_path, listing(digests)) == 0
    (tmp_path / "new\nline").write_text("other")
    assert check(tmp_path, listing(digests)) == 1


def check(folder: Path, text: str) -> int:
    told = subprocess.run(["sha256sum", "--check", "--strict", "--quiet", "-"], cwd=folder, input=text.encode())
    return told.returncode


@pytest.mark.parametrize(
    ("name", "line"), [("a b", "{}  a b\n"), ("a\\b", "\\{}  a\\\\b\n"), ("a\nb", "\\{}  a\\nb\n")]
)
def test_a_name_that_would_break_the_line_is_escaped(name: str, line: str):
    assert listing([(name, "d" * 64)]) == line.format("d" * 64)
