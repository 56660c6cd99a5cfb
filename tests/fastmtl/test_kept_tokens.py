"""Tokens that were made once are read again, whatever else asks for the rows, and are never worth a failure."""

from __future__ import annotations

import errno
import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from transformers import AutoTokenizer, PreTrainedTokenizerBase
from worlds import config, run, write_world

from fastmtl import kept_tokens, reading
from fastmtl.canonical import convert
from fastmtl.datasets import Dataset
from fastmtl.reading import read_span, read_tokens
from fastmtl.tokens import Tokens, tokenize

ROWS = 50


@pytest.fixture(params=["bert", "distilbert"])
def tokenizer(request, encoder_folders) -> PreTrainedTokenizerBase:
    return AutoTokenizer.from_pretrained(encoder_folders[request.param])


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    lines = "".join(f"{'the cat runs ' * (row % 4)}{row},a dog,{row % 2}\n" for row in range(ROWS))
    (tmp_path / "source").write_text("text_a,text_b,label\n" + lines)
    convert(tmp_path / "source", tmp_path / "dataset")
    return Dataset.open(tmp_path / "dataset", tmp_path / "tokens")


@pytest.fixture
def tokenized(monkeypatch) -> list[str]:
    """The texts that were tokenized."""
    texts: list[str] = []

    def noted(tokenizer, text_a, text_b, max_length) -> Tokens:
        texts.extend(text_a)
        return tokenize(tokenizer, text_a, text_b, max_length)

    monkeypatch.setattr(reading, "tokenize", noted)
    return texts


def same(found: Tokens, dataset: Dataset, rows: np.ndarray, tokenizer: PreTrainedTokenizerBase, length: int) -> bool:
    """Whether tokens are those that are made of the rows' texts."""
    made = tokenize(tokenizer, *dataset.texts(rows), length)
    equal = [np.array_equal(getattr(found, name), getattr(made, name)) for name in ("ids", "offsets", "types")]
    kinds = [found.ids.dtype == made.ids.dtype, found.offsets.dtype == made.offsets.dtype]
    return all([*equal, *kinds, found.pad_id == made.pad_id])


ASKED = [
    np.array([7, 3, 40]),
    np.arange(10, 30),
    np.array([3, 3, 12, 49]),
    np.arange(ROWS)[::-1],
    np.zeros(0, np.int64),
]


def test_rows_are_those_that_are_tokenized_anew_in_whatever_order_they_are_asked_for(dataset, tokenizer):
    for rows in ASKED:
        assert same(read_tokens(dataset, rows, tokenizer, 12), dataset, rows, tokenizer, 12)


def test_each_text_is_tokenized_once_for_a_tokenizer_and_a_length(dataset, tokenizer, tokenized):
    for rows in ASKED:
        read_tokens(dataset, rows, tokenizer, 12)
    assert sorted(tokenized) == sorted(dataset.texts()[0])
    read_span(dataset, 0, 5, tokenizer, 8)
    assert len(tokenized) == ROWS + 5


def test_a_tokenizer_that_was_saved_and_loaded_is_the_same_one(dataset, tokenizer, tokenized, tmp_path):
    read_span(dataset, 0, ROWS, tokenizer, 12)
    tokenizer.save_pretrained(tmp_path / "saved")
    read_span(dataset, 0, ROWS, AutoTokenizer.from_pretrained(tmp_path / "saved"), 12)
    assert len(tokenized) == ROWS


def test_another_tokenizer_is_another_one(dataset, tokenizer, tmp_path):
    tokenizer.save_pretrained(tmp_path / "saved")
    other = AutoTokenizer.from_pretrained(tmp_path / "saved")
    other.add_tokens(["runs 1"])
    read_span(dataset, 0, 5, tokenizer, 12)
    assert same(read_span(dataset, 0, 5, other, 12), dataset, np.arange(5), other, 12)


def test_tokens_of_the_last_two_lengths_are_kept(dataset, tokenizer):
    for age, length in enumerate((8, 10, 12)):
        read_span(dataset, 0, 5, tokenizer, length)
        (folder,) = dataset.tokens.glob(f"*-{length}")
        os.utime(folder, (age, age))
    read_span(dataset, 0, 5, tokenizer, 12)
    assert sorted(path.name.rpartition("-")[2] for path in dataset.tokens.iterdir()) == ["10", "12"]


@pytest.mark.parametrize("name", ["ids.npy", "rows.npy", "tokens.json"])
@pytest.mark.parametrize("content", [None, b"", b"\x93NUMPY"])
def test_what_is_damaged_is_made_again(dataset, tokenizer, tokenized, name, content):
    read_span(dataset, 0, 5, tokenizer, 12)
    (path,) = dataset.tokens.glob(f"*/*/{name}")
    path.unlink() if content is None else path.write_bytes(content)
    assert same(read_span(dataset, 0, 5, tokenizer, 12), dataset, np.arange(5), tokenizer, 12)
    assert len(tokenized) == 10
    assert len(list(dataset.tokens.glob("*/*"))) == 1


def test_a_part_that_a_dead_process_left_unfinished_is_removed(dataset, tokenizer):
    read_span(dataset, 0, 5, tokenizer, 12)
    (key,) = dataset.tokens.iterdir()
    left, new = key / f"{kept_tokens.UNFINISHED}old", key / f"{kept_tokens.UNFINISHED}new"
    left.mkdir(), new.mkdir()
    os.utime(left, (0, 0))
    read_span(dataset, 0, 5, tokenizer, 12)
    assert (left.exists(), new.exists()) == (False, True)


def test_rows_are_read_where_nothing_can_be_written(dataset, tokenizer, monkeypatch):
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "no space left")

    monkeypatch.setattr(kept_tokens.stored, "write", full)
    rows = np.array([4, 2])
    assert same(read_tokens(dataset, rows, tokenizer, 12), dataset, rows, tokenizer, 12)
    assert list(dataset.tokens.glob("*/*")) == []


def test_nothing_is_kept_where_the_disk_is_nearly_full(dataset, tokenizer, monkeypatch):
    monkeypatch.setattr(kept_tokens, "SPARE_BYTES", 2**60)
    rows = np.array([4, 2])
    assert same(read_tokens(dataset, rows, tokenizer, 12), dataset, rows, tokenizer, 12)
    assert list(dataset.tokens.glob("*/*")) == []


def test_the_folder_of_a_dataset_that_was_deleted_is_not_made_again(dataset, tokenizer, tmp_path):
    gone = replace(dataset, tokens=tmp_path / "gone" / "tokens")
    assert len(read_span(gone, 0, 5, tokenizer, 12)) == 5
    assert not (tmp_path / "gone").exists()


def test_tokens_go_with_their_folder(dataset, tokenizer, tokenized):
    read_span(dataset, 0, 5, tokenizer, 12)
    shutil.rmtree(dataset.tokens)
    read_span(dataset, 0, 5, tokenizer, 12)
    assert len(tokenized) == 10


def test_a_job_tokenizes_each_text_once_and_a_second_job_none(tmp_path, known, tokenized):
    world, cache = write_world(tmp_path), tmp_path / "cache"
    first = run(world, tmp_path / "a", known, cache=cache)
    assert 0 < len(tokenized) <= sum(summary.rows for summary in first.summaries.values())
    tokenized.clear()
    again = run(world, tmp_path / "b", known, cache=cache, config=config(seed=7))
    assert not {"discriminator", "target selection", "finetune selection"} & set(again.reused)
    assert tokenized == []
