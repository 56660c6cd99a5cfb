"""The client against a served API, its jobs worked by hand."""

from __future__ import annotations

from pathlib import Path

import pytest
from fastapi import FastAPI, Response
from service import CSV, served

from fastmtl.client import Client, Invalid, NotFound, Unavailable


@pytest.fixture
def csv_file(tmp_path: Path) -> Path:
    path = tmp_path / "animals.csv"
    path.write_text(CSV)
    return path


def test_a_file_is_uploaded_under_its_own_name(client, csv_file):
    dataset = client.upload(csv_file)
    assert (dataset["name"], dataset["rows"], dataset["columns"]["label"]) == ("animals", 3, "label")


def test_what_is_said_of_a_file_is_passed_on(client, tmp_path):
    path = tmp_path / "numbers.dat"
    path.write_text("a\tb\tn\none\ttwo\t1\nthree\tfour\t2\n")
    said = {"name": "mine", "file_format": "tsv", "text_a": "a", "text_b": "b", "label": "n", "kind": "regression"}
    dataset = client.upload(path, **said)
    assert (dataset["name"], dataset["kind"], dataset["columns"]["text_b"]) == ("mine", "regression", "b")


def test_a_refusal_says_what_the_service_said(client, tmp_path):
    path = tmp_path / "bad.csv"
    path.write_text("text,label\n,1\n")
    with pytest.raises(Invalid, match="the text is empty") as caught:
        client.upload(path)
    assert caught.value.problem["status"] == 422


def test_a_job_is_watched_to_its_end_and_its_rows_are_downloaded(client, hand, tmp_path):
    request = hand.request()
    job = client.submit(request["primary"], request["auxiliary"], config=request["config"], name="mine")
    assert (client.job(job["id"])["name"], job["status"]) == ("mine", "queued")
    hand.choose(job)
    assert [row.row for row in client.selection(job["id"]).rows] == [4, 3, 2, 1, 0]
    hand.explain(job)
    why = client.selection(job["id"], explain=True).rows[0]
    assert (why.percentile, why.nearest[0]) == (100.0, (1, 0.5))
    assert "selection.parquet" in {each["name"] for each in client.artifacts(job["id"])}
    target = client.download(job["id"], "selection.parquet", tmp_path / "new folder" / "mine.parquet")
    assert target.read_bytes()[:4] == b"PAR1"
    client.cancel(job["id"])
    assert [state["status"] for state in client.watch(job["id"])] == ["cancelled"]


def test_a_file_that_is_not_there_leaves_nothing_behind(client, hand, tmp_path):
    job = hand.submit()
    with pytest.raises(NotFound, match="the job has no file"):
        client.download(job["id"], "nothing.parquet", tmp_path / "downloads" / "nothing.parquet")
    assert list((tmp_path / "downloads").iterdir()) == []


def test_lists_run_over_all_pages(client, hand):
    ids = [hand.upload(name=f"d{number}")["id"] for number in range(5)]
    assert [each["id"] for each in client.datasets(limit=2)] == ids[::-1]


def test_another_servers_answer_is_told_as_it_is():
    other = FastAPI()

    @other.get("/v1/jobs/x")
    def answer() -> Response:
        return Response("<html>Bad gateway</html>", status_code=502)

    with served(other) as url, Client(url) as client, pytest.raises(Unavailable, match="HTTP 502"):
        client.job("x")
