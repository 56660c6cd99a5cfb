"""The canonical form is written while a file is read, and says in the end what all of its labels mean."""

from __future__ import annotations

import errno
from collections.abc import Sequence
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from fastmtl import blocks, canonical
from fastmtl.canonical import convert
from fastmtl.datasets import Summary
from fastmtl.errors import InvalidDataset

CHANGING = {
    "another class": ["0", "1"] * 40 + ["2"],
    "sorted": ["0"] * 40 + ["1"] * 40,
    "a word among integers": ["0", "1"] * 40 + ["none"],
    "a word among numbers": ["0.5", "1.5"] * 40 + ["none"],
    "a fraction among integers": ["0", "1"] * 40 + ["0.5"],
    "more integers than classes": [str(number) for number in range(80)],
}


def read(folder: Path, labels: Sequence[str], block_bytes: int, pairs: bool) -> tuple[Summary, bytes]:
    """Write rows with these labels as CSV and read them, so many bytes and then 5 rows at a time."""
    head, second = ("text_a,text_b", ",b") if pairs else ("text", "")
    rows = "".join(f"row {number}{second},{label}\n" for number, label in enumerate(labels))
    (folder / "source.csv").write_text(f"{head},label\n{rows}")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(blocks, "BLOCK_BYTES", block_bytes)
        patch.setattr(canonical, "GROUP_ROWS", 5)
        summary = convert(folder / "source.csv", folder / "target")
    assert sorted(path.name for path in folder.iterdir()) == ["source.csv", "target"]
    return summary, (folder / "target").read_bytes()


@pytest.mark.parametrize("pairs", [False, True])
@pytest.mark.parametrize("labels", CHANGING.values(), ids=CHANGING)
def test_labels_that_turn_out_otherwise_are_written_as_if_that_was_known(tmp_path, labels, pairs):
    assert read(tmp_path, labels, 60, pairs) == read(tmp_path, labels, 2**22, pairs)
    assert pq.read_table(tmp_path / "target")["label"].null_count == 0


def test_one_class_is_refused_and_leaves_nothing(tmp_path):
    with pytest.raises(InvalidDataset, match="one class only"):
        read(tmp_path, ["1"] * 50, 60, pairs=False)
    assert [path.name for path in tmp_path.iterdir()] == ["source.csv"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
@pytest.mark.parametrize("file", ["draft", "labels", "part"])
def test_a_full_disk_is_told_and_leaves_nothing(tmp_path, file):
    (tmp_path / f"target.{file}").symlink_to("/dev/full")
    with pytest.raises(OSError, match="No space left") as caught:
        read(tmp_path, CHANGING["sorted"], 60, pairs=True)
    assert caught.value.errno == errno.ENOSPC
    assert [path.name for path in tmp_path.iterdir()] == ["source.csv"]
