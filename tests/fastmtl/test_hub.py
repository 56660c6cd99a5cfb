"""Data sets of the hub by name: which files are fetched, at which commit, and what a user is told where that fails."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import huggingface_hub
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hub import COMMIT, GLUE, Hub, hub_of, little_hub
from little_glue import table

from fastmtl.canonical import convert
from fastmtl.columns import Columns
from fastmtl.errors import HubUnavailable, InvalidDataset, NotOnHub
from fastmtl.hub import Access, fetch


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    with hub_of(tmp_path, monkeypatch) as hub:
        little_hub(hub)
        yield hub


def labels(path: Path) -> list[str]:
    return pq.read_table(path)["label"].to_pylist()


def test_a_split_comes_whole_in_order_with_classes_by_name_and_its_commit(hub: Hub, tmp_path: Path):
    fetched = fetch("hub:nyu-mll/glue/rte#train", tmp_path)
    assert fetched == (
        tmp_path / "rte.parquet",
        f"hub:nyu-mll/glue/rte@{COMMIT}#train",
        "rte",
        Columns("sentence1", "sentence2", "label"),
    )
    rows = pq.read_table(fetched.path)
    wanted = [*table("rte", 12)["sentence1"].to_pylist(), *table("rte", 8, "other")["sentence1"].to_pylist()]
    assert (rows.column_names, rows["sentence1"].to_pylist()) == (["sentence1", "sentence2", "label"], wanted)
    assert labels(fetched.path)[:3] == ["entailment", "not_entailment", "entailment"]
    parts = [f"rte/train-0000{part}-of-00002.parquet" for part in range(2)]
    assert sorted(hub.fetched()) == ["README.md", *parts]


def test_what_was_fetched_reads_as_a_users_own_file(hub: Hub, tmp_path: Path):
    fetched = fetch("hub:nyu-mll/glue/rte#validation", tmp_path)
    summary = convert(fetched.path, tmp_path / "canonical.parquet")
    assert (fetched.title, summary.rows, [each.label for each in summary.labels]) == (
        "rte-validation",
        10,
        ["entailment", "not_entailment"],
    )


def test_the_name_that_is_told_fetches_the_same_bytes_again(hub: Hub, tmp_path: Path):
    first = fetch("hub:nyu-mll/glue/rte#train", tmp_path)
    before = first.path.read_bytes()
    second = fetch(first.source, tmp_path)
    assert (second.path.read_bytes(), second.source) == (before, first.source)


def test_what_is_in_the_cache_needs_no_hub(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    online = fetch("hub:nyu-mll/glue/rte#train", tmp_path)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    assert fetch("hub:nyu-mll/glue/rte#train", tmp_path) == online
    with pytest.raises(HubUnavailable):
        fetch("hub:nyu-mll/glue/rte#validation", tmp_path)


def test_columns_are_as_they_are_said(hub: Hub, tmp_path: Path):
    fetched = fetch("hub:nyu-mll/glue/rte#train", tmp_path, Columns("sentence2", None, "label"))
    assert pq.read_schema(fetched.path).names == ["sentence2", "label"]
    with pytest.raises(InvalidDataset, match="there is no column 'premise'; the columns are 'sentence1'"):
        fetch("hub:nyu-mll/glue/rte#train", tmp_path, Columns("premise"))


def test_the_names_in_the_files_count_more_than_the_cards(hub: Hub, tmp_path: Path):
    info = b'{"info": {"features": {"label": {"_type": "ClassLabel", "names": ["bad", "good"]}}}}'
    rows = table("sst2", 4).replace_schema_metadata({b"huggingface": info})
    hub.add("me/reviews", {"data/train-00000-of-00001.parquet": rows})
    assert labels(fetch("hub:me/reviews#train", tmp_path).path) == ["bad", "good", "bad", "good"]


@pytest.mark.parametrize("path", ["train.parquet", "data/train-00000-of-00001.parquet", "default/train/0000.parquet"])
def test_without_a_card_files_are_found_where_they_usually_lie(hub: Hub, tmp_path: Path, path: str):
    hub.add("me/reviews", {path: table("sst2", 4), "data/notrain-0.parquet": table("sst2", 9)})
    fetched = fetch("hub:me/reviews#train", tmp_path)
    assert (fetched.title, labels(fetched.path)) == ("reviews", [0, 1, 0, 1])


def test_rows_that_lie_there_twice_are_taken_once(hub: Hub, tmp_path: Path):
    hub.add("me/reviews", {"train.parquet": table("sst2", 4), "data/train-00000-of-00001.parquet": table("sst2", 4)})
    assert labels(fetch("hub:me/reviews#train", tmp_path).path) == [0, 1, 0, 1]


def test_the_hubs_own_conversion_is_a_revision_like_others(hub: Hub, tmp_path: Path):
    hub.branches["me/old"] = {"refs/convert/parquet"}
    hub.add("me/old", {"plain_text/train/0000.parquet": table("sst2", 4)})
    fetched = fetch("hub:me/old/plain_text@refs/convert/parquet#train", tmp_path)
    assert fetched.source == f"hub:me/old/plain_text@{COMMIT}#train"


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("hub:nyu-mll/glue#train", "nyu-mll/glue has several parts: name one, as in hub:nyu-mll/glue/rte#train"),
        ("hub:nyu-mll/glue/rta#train", "has no part 'rta' \\(did you mean 'rte'\\?\\); there are rte, sst2"),
        ("hub:nyu-mll/glue/rte#dev", "its splits are train, validation, test"),
        ("hub:nyu-mll/glue/rte@v9#train", "nyu-mll/glue has no revision 'v9'"),
        ("hub:nobody/nothing#train", "there is no data set nobody/nothing at .*, or it is private: then set HF_TOKEN"),
        ("hub:me/secret#train", "me/secret is gated: ask for access at .*/datasets/me/secret, then set HF_TOKEN"),
        ("hub:me/csv#train", "lie in train.csv, and only Parquet is read.*try hub:me/csv@refs/convert/parquet#train"),
        ("hub:me/empty#train", "no files of hub:me/empty@.* are found: its Parquet files are rows/all.parquet"),
    ],
)
def test_what_is_not_there_is_told_with_what_is(hub: Hub, tmp_path: Path, name: str, told: str):
    card = "---\nconfigs:\n- config_name: default\n  data_files: train.csv\n---\n"
    hub.add("me/csv", {"README.md": card, "train.csv": "text,label\n"})
    hub.add("me/empty", {"rows/all.parquet": table("sst2", 4)})
    hub.add("me/secret", {"train.parquet": table("sst2", 4)})
    hub.gated.add("me/secret")
    with pytest.raises(NotOnHub, match=told):
        fetch(name, tmp_path)


def test_a_gated_data_set_opens_to_a_token(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    hub.add("me/secret", {"train.parquet": table("sst2", 4)})
    hub.gated.add("me/secret")
    hub.tokens.add("hf_mine")
    monkeypatch.setenv("HF_TOKEN", "hf_mine")
    assert labels(fetch("hub:me/secret#train", tmp_path).path) == [0, 1, 0, 1]
    with pytest.raises(NotOnHub, match="gated"):
        fetch("hub:me/secret#train", tmp_path, access=Access(token=False, cache=tmp_path / "other"))


def test_hidden_labels_are_called_so(hub: Hub, tmp_path: Path):
    with pytest.raises(InvalidDataset, match="every label is -1: those of this split are hidden, as in many test sets"):
        fetch("hub:nyu-mll/glue/rte#test", tmp_path)
    hub.add("me/plain", {"test.parquet": table("sst2", 4, "test")})
    with pytest.raises(InvalidDataset, match="hidden"):
        fetch("hub:me/plain#test", tmp_path)


def test_a_label_that_stands_for_no_class_is_told_by_row(hub: Hub, tmp_path: Path):
    rows = pa.table({"sentence1": ["a", "b", "c"], "sentence2": ["x", "y", "z"], "label": [0, -1, 2]})
    hub.add(GLUE, {"rte/train-00000-of-00002.parquet": rows})
    with pytest.raises(InvalidDataset) as caught:
        fetch("hub:nyu-mll/glue/rte#train", tmp_path)
    told = [(each.row, each.field, each.message.partition(".")[0]) for each in caught.value.problems]
    assert told == [
        (row, "label", f"the label is {value}, and the classes are 0 to 1") for row, value in ((1, -1), (2, 2))
    ]


def test_a_shard_that_is_missing_is_not_passed_over(hub: Hub, tmp_path: Path):
    del hub.files[GLUE]["rte/train-00001-of-00002.parquet"]
    with pytest.raises(HubUnavailable, match=r"of the 2 files rte/train-\*.parquet of .* only 1 are here"):
        fetch("hub:nyu-mll/glue/rte#train", tmp_path)


def test_files_that_are_too_large_are_not_fetched(hub: Hub, tmp_path: Path):
    with pytest.raises(InvalidDataset, match=r"have [0-9,]+ bytes, and 100 are the most"):
        fetch("hub:nyu-mll/glue/rte#train", tmp_path, access=Access(max_bytes=100))
    assert hub.fetched() == ["README.md"]


def test_a_hub_that_cannot_be_reached_is_told_with_what_to_look_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    with hub_of(tmp_path, monkeypatch) as hub:
        hub.down = True
        with pytest.raises(HubUnavailable, match=r"is not in the local cache, and http://127.0.0.1:.*HF_HUB_OFFLINE"):
            fetch("hub:nyu-mll/glue/rte#train", tmp_path)


def test_a_broken_card_is_none(hub: Hub, tmp_path: Path):
    hub.add("me/odd", {"README.md": "---\na: [b\n---\n", "train.parquet": table("sst2", 4)})
    assert labels(fetch("hub:me/odd#train", tmp_path).path) == [0, 1, 0, 1]


def test_a_damaged_file_is_told_of(hub: Hub, tmp_path: Path):
    hub.add("me/bad", {"train.parquet": b"PAR1 and then nothing"})
    with pytest.raises(InvalidDataset, match="the Parquet files on the hub cannot be read as one"):
        fetch("hub:me/bad#train", tmp_path)


def test_the_download_is_told_of_to_the_last_byte(hub: Hub, tmp_path: Path):
    told: list[tuple[int, int]] = []
    fetch("hub:nyu-mll/glue/rte#train", tmp_path, progress=lambda done, total, unit, _="": told.append((done, total)))
    size = sum(len(hub.files[GLUE][path]) for path in hub.fetched()[1:])
    assert told[-1] == (size, size)
