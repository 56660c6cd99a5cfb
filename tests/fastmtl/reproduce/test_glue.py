"""GLUE's files, found and read by whatever names they and their columns go."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from little_glue import HELD, PAIRS, ROWS, SINGLES, little_glue, table, write

from fastmtl.datasets import Dataset, TaskKind
from fastmtl.errors import InvalidConfig, InvalidDataset
from fastmtl.reproduce import glue, hub


def digests(prepared: glue.Glue) -> list[str]:
    return [each.digest for each in (*prepared.train.values(), *prepared.validation.values())]


def prepare(folder: Path, target: Path, max_rows: int = 0) -> glue.Glue:
    return glue.prepare(folder, target, ["rte", "stsb"], max_rows)


def test_glues_own_column_names_plain_ones_and_the_hubs_shards_give_the_same_data(tmp_path):
    own = prepare(little_glue(tmp_path / "own"), tmp_path / "a")
    sharded = prepare(little_glue(tmp_path / "sharded", shards=True), tmp_path / "b")
    for task in (*PAIRS, *SINGLES):
        for part, rows in (("train", ROWS), ("validation", HELD)):
            write(tmp_path / "plain", task, part, rows, plain=True)
    plain = prepare(tmp_path / "plain", tmp_path / "c")
    assert digests(own) == digests(sharded) == digests(plain)


def test_labels_stay_as_they_are_and_stsb_is_a_regression(tmp_path):
    prepared = prepare(little_glue(tmp_path / "glue"), tmp_path / "a")
    opened = {name: Dataset.open(each.path) for name, each in prepared.train.items()}
    classes = {name: each.classes for name, each in opened.items()}
    two = {name: ("0", "1") for name in ("rte", "mrpc", "cola", "sst2", "qqp", "qnli")}
    assert classes == {**two, "mnli": ("0", "1", "2"), "stsb": ()}
    assert opened["stsb"].kind == TaskKind.REGRESSION
    assert {name for name, each in opened.items() if not each.pair} == {"cola", "sst2"}
    assert opened["qnli"].texts()[0] == table("qnli", ROWS)["question"].to_pylist()


@pytest.mark.parametrize("nothing", [None, float("nan")])
def test_a_single_sentence_may_have_a_second_column_without_texts(tmp_path, nothing):
    folder = little_glue(tmp_path / "glue")
    plain = table("cola", ROWS, plain=True).set_column(1, "text_b", pa.array([nothing] * ROWS))
    pq.write_table(plain, folder / "cola" / "train.parquet")
    assert not Dataset.open(prepare(folder, tmp_path / "a").train["cola"].path).pair


def test_rows_with_an_empty_text_are_left_out_and_counted(tmp_path):
    folder = little_glue(tmp_path / "glue")
    rows = table("qqp", ROWS).to_pydict()
    rows["question2"][3], rows["question1"][5] = " ", None
    pq.write_table(pa.table(rows), folder / "qqp" / "train.parquet")
    found = prepare(folder, tmp_path / "a").train["qqp"]
    assert (found.rows, found.empty) == (ROWS - 2, 2)


def test_max_rows_cuts_all_tasks_but_the_primaries_the_same_way_each_time(tmp_path):
    folder = little_glue(tmp_path / "glue")
    cut, again = prepare(folder, tmp_path / "a", 15), prepare(folder, tmp_path / "b", 15)
    rows = {name: each.rows for name, each in cut.train.items()}
    assert rows == {name: ROWS if name in ("rte", "stsb") else 15 for name in glue.TASKS}
    assert digests(cut) == digests(again)
    assert cut.sizes()[5] == "MNLI (15 of 392,702)"


def test_the_shards_of_a_part_are_put_end_to_end_and_a_missing_one_is_told_of(tmp_path):
    folder = little_glue(tmp_path / "glue")
    whole = table("qqp", ROWS)
    (folder / "qqp" / "train.parquet").unlink()
    pq.write_table(whole.slice(0, 30), folder / "qqp" / "train-00000-of-00002.parquet")
    with pytest.raises(InvalidDataset, match="one of 2 shards, and 1 are there"):
        prepare(folder, tmp_path / "a")
    pq.write_table(whole.slice(30), folder / "qqp" / "train-00001-of-00002.parquet")
    assert prepare(folder, tmp_path / "a").train["qqp"].rows == ROWS


@pytest.mark.parametrize("name", ["validation", "validation_matched", "validation_matched-00000-of-00001"])
def test_mnlis_validation_is_the_matched_one(tmp_path, name):
    path = write(tmp_path, "mnli", "validation", HELD, name)
    assert glue.locate(tmp_path, "mnli", "validation") == [path]


@pytest.mark.parametrize("missing", ["sst2/train.parquet", "rte/validation.parquet"])
def test_a_missing_file_is_named_and_nothing_is_written(tmp_path, missing):
    folder = little_glue(tmp_path / "glue")
    (folder / missing).unlink()
    with pytest.raises(InvalidDataset, match=f"glue/{missing} is not there"):
        prepare(folder, tmp_path / "a")
    assert not (tmp_path / "a").exists()


def test_a_pair_with_one_text_column_and_a_file_that_is_none_are_named(tmp_path):
    folder = little_glue(tmp_path / "glue")
    pq.write_table(table("rte", ROWS).drop_columns("sentence2"), folder / "rte" / "train.parquet")
    with pytest.raises(InvalidDataset, match=r"rte/train.parquet: RTE holds pairs of texts"):
        prepare(folder, tmp_path / "a")
    (folder / "rte" / "train.parquet").write_text("text_a,label")
    with pytest.raises(InvalidDataset, match=r"rte/train.parquet is not a Parquet file"):
        prepare(folder, tmp_path / "a")


def test_a_hub_that_cannot_be_reached_says_that_a_folder_will_do(tmp_path):
    with pytest.raises(InvalidConfig, match=r"could not be fetched .* --data FOLDER"):
        hub.fetch(["rte/train-*.parquet"], cache=tmp_path)
