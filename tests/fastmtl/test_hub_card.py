"""Heads of data sets' READMEs, in the forms in which people and tools write them."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from fastmtl.errors import NotOnHub
from fastmtl.hub_card import Card, read, usual
from fastmtl.hub_names import parse


def card(text: str) -> Card:
    return read(yaml.safe_load(text))


@pytest.mark.parametrize(
    ("files", "splits"),
    [
        ("rows.parquet", {"train": ("rows.parquet",)}),
        ("[a.parquet, b.parquet]", {"train": ("a.parquet", "b.parquet")}),
        ("[{split: test, path: t/*}]", {"test": ("t/*",)}),
        ("[{split: test, path: [./a, b]}]", {"test": ("a", "b")}),
        ("[{split: test, path: ../../other/*}]", {"test": ()}),
        ("[{split: test, path: /etc/*}]", {"test": ()}),
        ("7", {}),
    ],
)
def test_files_are_named_in_several_forms_and_never_outside(files: str, splits: dict[str, tuple[str, ...]]):
    assert card(f"configs: [{{config_name: c, data_files: {files}}}]").files == {"c": splits}


@pytest.mark.parametrize(
    ("names", "classes"),
    [
        ("{'0': bad, '1': good}", ("bad", "good")),
        ("{'10': k, '9': j}", ("j", "k")),
        ("[bad, good]", ("bad", "good")),
        ("{'0': no, '1': yes}", ("no", "yes")),  # which YAML reads as booleans
        ("[1, 2]", ("1", "2")),
    ],
)
def test_classes_are_names_in_the_order_of_their_numbers(names: str, classes: tuple[str, ...]):
    found = card(f"dataset_info: {{features: [{{name: label, dtype: {{class_label: {{names: {names}}}}}}}]}}")
    assert found.classes_of("default") == {"label": classes}


@pytest.mark.parametrize("head", [None, 3, [], {"configs": 7}, {"dataset_info": {"features": "x"}}, {"configs": [{}]}])
def test_what_cannot_be_read_counts_as_not_said(head: Any):
    assert (read(head), read(head).part(parse("hub:a/b#train"))) == (Card(), None)


def test_the_part_is_the_one_that_is_named_else_the_default_else_the_only_one():
    two = Card(files={"x": {}, "y": {}})
    assert two.part(parse("hub:a/b/y#train")) == "y"
    assert Card(files=two.files, default="x").part(parse("hub:a/b#train")) == "x"
    assert Card(files={"only": {}}).part(parse("hub:a/b#train")) == "only"
    assert Card(files={"z": {}, "default": {}}).part(parse("hub:a/b#train")) == "default"
    with pytest.raises(NotOnHub, match="has several parts: name one, as in hub:a/b/x#train; there are x, y"):
        two.part(parse("hub:a/b#train"))


def test_where_nothing_is_said_files_are_looked_for_where_they_usually_lie():
    assert Card().patterns(None, parse("hub:a/b/c#train")) == usual("c", "train")
    assert ("data/train-*.parquet",) in usual(None, "train")
