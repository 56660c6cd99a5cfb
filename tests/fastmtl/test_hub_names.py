"""Names of data sets on the hub, and what is said of texts that are none."""

from __future__ import annotations

import pytest

from fastmtl.errors import InvalidDataset
from fastmtl.hub_names import HubName, is_hub_name, parse


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("hub:nyu-mll/glue/rte#train", HubName("nyu-mll", "glue", "rte", None, "train")),
        ("hub:stanfordnlp/imdb#test", HubName("stanfordnlp", "imdb", None, None, "test")),
        ("hub:a/b.c@v1.0#dev", HubName("a", "b.c", None, "v1.0", "dev")),
        ("hub:a/b/c@refs/convert/parquet#x_y", HubName("a", "b", "c", "refs/convert/parquet", "x_y")),
    ],
)
def test_a_name_is_read_and_written_alike(text: str, name: HubName):
    assert (parse(text), str(name)) == (name, text)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("hub:nyu-mll/glue/rte", "names no split: write hub:OWNER/NAME"),
        ("hub:imdb#train", "is no name on the hub: write hub:OWNER/NAME"),
        ("hub:a/b/c/d#train", "is no name on the hub"),
        ("hub:a/../b#train", "is no name on the hub"),
        ("hub:a/b@refs/../../x#train", "is no name on the hub"),
        ("hub:a/b@/etc/passwd#train", "is no name on the hub"),
        ("hub:.a/b#train", "is no name on the hub"),
        ("hub:a/b?x=1#train", "is no name on the hub"),
        ("hub:a/" + "b" * 600 + "#train", "is no name on the hub"),
        ("hub:a/b#", "is no name on the hub"),
        ("hub:a/b#train[:100]", "'train\\[:100\\]' is no name of a split: slices and sums of splits are not taken"),
        ("hub:a/b#train+test", "slices and sums"),
        ("hub:a/b#train/../x", "is no name of a split"),
    ],
)
def test_what_is_no_name_is_told_how_one_is_written(text: str, told: str):
    with pytest.raises(InvalidDataset, match=told):
        parse(text)


@pytest.mark.parametrize(
    ("text", "title"),
    [
        ("hub:nyu-mll/glue/rte#train", "rte"),
        ("hub:nyu-mll/glue/rte#validation", "rte-validation"),
        ("hub:stanfordnlp/imdb#train", "imdb"),
        ("hub:me/reviews/default#test", "reviews-test"),
    ],
)
def test_rows_are_called_after_their_part(text: str, title: str):
    assert parse(text).title == title


def test_a_path_is_no_name_however_it_looks():
    assert [is_hub_name(each) for each in ("hub:x", "hub/x.csv", None, 3)] == [True, False, False, False]
