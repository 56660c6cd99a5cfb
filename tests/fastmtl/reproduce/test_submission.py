"""A submission is what was predicted, in GLUE's order and form."""

from __future__ import annotations

import zipfile

import pyarrow.parquet as pq
import pytest
from little_glue import table, write

from fastmtl.errors import InvalidDataset
from fastmtl.reproduce import submission
from fastmtl.reproduce.table import METRICS, Figure, Row

SAID = {"rte": ["0", "1", "1"], "mrpc": ["1", "0", "1"], "stsb": [-0.5, 2.34567, 7.0]}


def row(arm: str, budget: int | None, mean: float | None, primary: str = "rte", protocol: str = "ours") -> Row:
    metrics = {name: Figure(mean, None) for name in METRICS[primary]}
    return Row(primary, protocol, arm, budget, metrics, 1, 1, 1.0, None)


def test_each_task_has_its_own_form(tmp_path):
    for task in SAID:
        write(tmp_path, task, "test", 3)
    files = submission.write(tmp_path / "s.zip", tmp_path, list(SAID), lambda primary, a, b: SAID[primary])
    assert files == ["RTE.tsv", "MRPC.tsv", "STS-B.tsv"]
    with zipfile.ZipFile(tmp_path / "s.zip") as archive:
        assert {name: archive.read(name).decode() for name in archive.namelist()} == {
            "RTE.tsv": "index\tprediction\n0\tentailment\n1\tnot_entailment\n2\tnot_entailment\n",
            "MRPC.tsv": "index\tprediction\n0\t1\n1\t0\n2\t1\n",
            "STS-B.tsv": "index\tprediction\n0\t0.000\n1\t2.346\n2\t5.000\n",
        }


def test_rows_are_put_into_glues_order_before_they_are_predicted(tmp_path):
    rows = table("rte", 3, "test")
    write(tmp_path, "rte", "test", 3)
    pq.write_table(rows.take([2, 0, 1]), tmp_path / "rte" / "test.parquet")
    seen: list[list[str]] = []

    def predict(primary, text_a, text_b):
        seen.extend([text_a, text_b])
        return SAID[primary]

    submission.write(tmp_path / "s.zip", tmp_path, ["rte"], predict)
    assert seen == [rows["sentence1"].to_pylist(), rows["sentence2"].to_pylist()]


def test_a_primary_without_test_rows_is_refused(tmp_path):
    write(tmp_path, "rte", "test", 3)
    with pytest.raises(InvalidDataset, match=r"mrpc/test.parquet is not there.*leave mrpc out of --primaries"):
        submission.check(tmp_path, ["rte", "mrpc"])


def test_the_best_budget_of_what_was_chosen_predicts_and_the_smaller_of_equal_ones():
    rows = [row("full MT-DNN", None, 0.99), row("random", 5, 0.98), row("CE-TD", 10, 0.7), row("CE-TD", 5, 0.7)]
    rows += [row("BCE-TD", 5, None), row("CE-TD", 20, 0.95, protocol="as published"), row("CE-TD", 20, 0.6)]
    assert submission.best(rows, "rte", "ours") == rows[3]
    assert submission.best(rows[:2], "rte", "ours") == rows[1]
    assert submission.best(rows[:1], "rte", "ours") is None


def test_what_the_leaderboard_also_wants_is_said_and_not_made_up():
    told = submission.still_wanted(["RTE.tsv"])
    assert told.startswith("The archive holds RTE.tsv: what was predicted, and nothing else.")
    assert (
        "CoLA.tsv, SST-2.tsv, MRPC.tsv, STS-B.tsv, QQP.tsv, MNLI-m.tsv, MNLI-mm.tsv, QNLI.tsv, WNLI.tsv, AX.tsv" in told
    )
