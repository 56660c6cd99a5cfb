"""What a user has in hand, uploaded: files with progress and resumption, tables of every library."""

from __future__ import annotations

from pathlib import Path

import datasets
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from cutting import cutting
from hub import COMMIT, hub_of, little_hub
from service import CSV, Api, many, served

from fastmtl import resumable
from fastmtl.client import Client, Invalid, Unreachable
from fastmtl.client.frames import write_parquet
from fastmtl.errors import InvalidDataset

MIB = 2**20
COLUMNS = {"text": ["a cat", "a dog", "a bird"], "label": ["yes", "no", "no"]}


def dataset_of_names() -> datasets.Dataset:
    """As a hub gives it: classes by number, and rows in another order than they are stored."""
    kinds = datasets.Features({"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["no", "yes"])})
    made = datasets.Dataset.from_dict({"text": COLUMNS["text"][::-1], "label": [0, 0, 1]}, features=kinds)
    return made.select([2, 1, 0])


def indexed() -> pd.DataFrame:
    """A frame with an index that is no column of its data, and categories."""
    return pd.DataFrame(COLUMNS, index=["x", "y", "z"]).astype({"label": "category"})


@pytest.mark.parametrize(
    "table",
    [indexed(), pl.DataFrame(COLUMNS), pa.table(COLUMNS), dataset_of_names()],
    ids=["pandas", "polars", "arrow", "datasets"],
)
def test_a_table_of_any_library_is_the_same_dataset(client: Client, table: object):
    dataset = client.upload(table, name="animals")
    assert (dataset.name, dataset.rows, dataset.kind) == ("animals", 3, "classification")
    assert dataset.labels == {"no": 2, "yes": 1}
    assert [each["text_a"] for each in dataset["examples"]] == COLUMNS["text"]


def test_numbers_stay_numbers(client: Client):
    dataset = client.upload(pd.DataFrame({"text": ["a", "b"], "label": [0.5, 4.25]}), name="scores")
    assert (dataset.kind, dataset["label_range"]) == ("regression", [0.5, 4.25])


def test_what_is_wrong_with_a_table_is_told_by_row(client: Client):
    with pytest.raises(Invalid, match="the text is empty") as caught:
        client.upload(pd.DataFrame({"text": ["a", ""], "label": [1, 0]}), name="half")
    assert (caught.value.kind, [each.row for each in caught.value.errors]) == ("invalid-dataset", [1])


@pytest.mark.parametrize(
    ("data", "told"),
    [
        ([1, 2], "is the path of a file, a pandas or polars DataFrame, an Arrow table or a datasets.Dataset, not list"),
        ({"train": pa.table(COLUMNS), "test": None}, "several tables \\('train', 'test'\\): upload one of them"),
        (pd.Series(["a"]), "not Series"),
    ],
)
def test_what_is_no_table_is_refused_before_anything_is_sent(data: object, told: str):
    with Client("http://127.0.0.1:1", "key") as client, pytest.raises(TypeError, match=told):
        client.upload(data, name="x")


def test_a_table_needs_a_name():
    with Client("http://127.0.0.1:1", "key") as client, pytest.raises(ValueError, match="no name of its own"):
        client.upload(pa.table(COLUMNS))


def test_an_unlabelled_row_of_datasets_is_no_last_class(tmp_path: Path):
    kinds = datasets.Features({"label": datasets.ClassLabel(names=["no", "yes"])})
    write_parquet(datasets.Dataset.from_dict({"label": [1, -1]}, features=kinds), tmp_path / "a.parquet")
    assert pq.read_table(tmp_path / "a.parquet").to_pylist() == [{"label": "yes"}, {"label": None}]


def test_a_table_without_rows_is_refused_by_the_service(client: Client):
    empty = datasets.Dataset.from_dict({"text": [], "label": []})
    with pytest.raises(Invalid, match="no rows"):
        client.upload(empty, name="empty")


@pytest.mark.parametrize("resumable", [False, True])
def test_progress_is_told_to_the_last_byte(client: Client, tmp_path: Path, resumable: bool):
    path = tmp_path / "parcels.csv"
    path.write_text(many(20_000, "a parcel that came late and was open"))
    told: list[tuple[int, int]] = []
    client.upload(path, resumable=resumable, progress=lambda sent, total: told.append((sent, total)))
    size = path.stat().st_size
    assert (told[-1], {total for _, total in told}, told == sorted(told)) == ((size, size), {size}, True)
    assert len(told) > 1


def test_an_upload_that_was_given_up_is_gone_on_with_by_another_call(
    hand: Api, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(resumable, "ATTEMPTS", 1)
    path = tmp_path / "parcels.csv"
    path.write_text(many(40_000, "a parcel that came late and was open " * 3))
    with served(hand.client.app) as url:  # type: ignore[arg-type]
        with cutting(url, [2 * MIB]) as cutter, Client(cutter.url, hand.key) as first, pytest.raises(Unreachable):
            first.upload(path, resumable=True)
        began: list[int] = []
        with Client(url, hand.key) as second:
            made = second.upload(path, resumable=True, progress=lambda sent, _: began.append(sent))
            assert second.upload(path, resumable=True).id == made.id
            second.delete_dataset(made)
            anew = second.upload(path, resumable=True)
    assert (made.rows, began[0] > 0) == (40_000, True)
    assert (anew.rows, anew.id != made.id) == (40_000, True)


def test_what_was_refused_is_refused_anew(client: Client, tmp_path: Path):
    path = tmp_path / "bad.csv"
    path.write_text(CSV + ",yes\n")
    for _ in range(2):
        with pytest.raises(Invalid, match="the text is empty"):
            client.upload(path, resumable=True)


def test_a_split_of_the_hub_is_fetched_here_and_its_commit_kept(
    client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    with hub_of(tmp_path, monkeypatch) as hub:
        little_hub(hub)
        told: list[tuple[int, int]] = []
        made = client.upload("hub:nyu-mll/glue/rte#train", progress=lambda *each: told.append(each))
        again = client.upload(made.source, name="again", resumable=True)
    assert (made.name, made.rows, made.labels) == ("rte", 20, {"entailment": 10, "not_entailment": 10})
    assert made.source == f"hub:nyu-mll/glue/rte@{COMMIT}#train"
    assert (again.name, again.source, again.digest) == ("again", made.source, made.digest)
    assert told[-1][0] == told[-1][1] == made["bytes"]


def test_what_is_wrong_with_a_name_on_the_hub_is_told_before_anything_is_asked():
    with Client("http://127.0.0.1:1", "key") as client, pytest.raises(InvalidDataset, match="slices"):
        client.upload("hub:nyu-mll/glue/rte#train[:9]")


def test_a_file_has_no_source(client: Client, tmp_path: Path):
    (tmp_path / "a.csv").write_text(CSV)
    assert client.upload(tmp_path / "a.csv").source is None
