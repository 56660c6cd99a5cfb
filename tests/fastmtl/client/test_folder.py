"""The chosen rows as a folder, opened by `datasets` itself."""

from __future__ import annotations

from pathlib import Path

import datasets
import pytest
from chosen import subset

from fastmtl.client.folder import write_subset


@pytest.fixture
def cache(tmp_path: Path) -> str:
    return str(tmp_path / "cache")


def test_all_rows_are_the_default_and_each_dataset_is_a_configuration(tmp_path: Path, cache: str):
    folder = write_subset(subset("mnli", "qqp"), tmp_path / "rows", "job 1")
    assert datasets.get_dataset_config_names(str(folder)) == ["all", "mnli", "qqp"]
    every = datasets.load_dataset(str(folder), cache_dir=cache)["train"]
    assert (every["dataset"][:], every["rank"][:]) == (["mnli", "mnli", "qqp", "qqp"], [1, 2, 3, 4])
    (one,) = datasets.load_dataset(str(folder), "qqp", cache_dir=cache).values()
    assert (one["dataset"][:], one.column_names) == (["qqp", "qqp"], every.column_names)


def test_single_texts_and_pairs_stand_in_one_table(tmp_path: Path, cache: str):
    folder = write_subset(subset("mnli"), tmp_path / "rows", "job 1")
    pairs = write_subset(subset("mnli", texts=("a", "b")), tmp_path / "pairs", "job 2")
    found = [datasets.load_dataset(str(each), split="train", cache_dir=cache)["text_b"][:] for each in (folder, pairs)]
    assert found == [[None, None], ["b", "b"]]


@pytest.mark.parametrize("name", ["all", "a/b: |c", "mnli@1", "猫", "../up", "*", "-", "x" * 300, 'say "no"\nto: it'])
def test_a_dataset_may_have_any_name(name: str, tmp_path: Path, cache: str):
    folder = write_subset(subset(name, "other"), tmp_path / "rows", "job 1")
    configs = datasets.get_dataset_config_names(str(folder))
    assert (len(configs), configs[0], configs[-1]) == (3, "all", "other")
    mine = datasets.load_dataset(str(folder), configs[1], split="train", cache_dir=cache)
    assert set(mine["dataset"]) == {name}
    assert len(datasets.load_dataset(str(folder), split="train", cache_dir=cache)) == 4
    assert {path.parent for path in tmp_path.rglob("*.parquet")} == {folder / "data"}


def test_names_that_differ_in_what_no_file_may_be_called_stay_apart(tmp_path: Path, cache: str):
    folder = write_subset(subset("a b", "a/b"), tmp_path / "rows", "job 1")
    names = datasets.get_dataset_config_names(str(folder))
    rows = [datasets.load_dataset(str(folder), name, split="train", cache_dir=cache)["dataset"][0] for name in names]
    assert rows == ["a b", "a b", "a/b"]


def test_a_folder_that_is_there_is_left_as_it_is(tmp_path: Path):
    (tmp_path / "mine").write_text("precious")
    with pytest.raises(FileExistsError, match="mine is there already"):
        write_subset(subset("mnli"), tmp_path / "mine", "job 1")
    assert ((tmp_path / "mine").read_text(), len(list(tmp_path.iterdir()))) == ("precious", 1)
