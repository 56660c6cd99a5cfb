"""A job from Python: waited for, steered, and what it chose as tables."""

from __future__ import annotations

import sys
import threading
from pathlib import Path

import datasets
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from chosen import parquet, subset
from service import Api, many, selection

from fastmtl.client import Client, Conflict, Job, JobFailed, JobNotOver, MissingPackage, NotFound
from fastmtl.config import JobConfig

COLUMNS = ["rank", "dataset", "dataset_id", "row", "score"]


def chosen(client: Client, hand: Api, *, texts: bool = False) -> Job:
    """A job that has chosen the rows 4, 3, 2, 1, 0 of `other`."""
    job = client.job(hand.submit()["id"])
    if not texts:
        hand.choose(job.raw)
        return job
    for name in ("discriminator", "score 1/1", "rank", "leakage"):
        hand.finish(job.raw, name)
    files = {"selection.parquet": selection(), "subset.parquet": parquet(subset("other"))}
    hand.finish(job.raw, "select", files, {"digest": "d" * 64, "counts": {}})
    return job


def test_datasets_and_configs_are_given_as_they_are(client: Client, hand: Api):
    primary, other = (client.dataset(hand.upload(many(9, name), name=name)["id"]) for name in ("primary", "other"))
    config = JobConfig(budget=2, seen_rows="include", preset="small")
    job = client.submit(primary, [other], config=config, name="mine")
    assert (job.name, job.status, job.over, job.progress) == ("mine", "queued", False, 0.0)
    assert [each["id"] for each in job["datasets"]] == [primary.id, other.id]
    assert (job["config"]["budget"], job["config"]["preset"]) == (2, "small")
    assert {step.status for step in job.steps} == {"queued", "waiting"}
    assert client.estimate(primary, [other], config=config).seconds is None


def test_a_job_is_waited_for_and_every_state_is_told(client: Client, hand: Api):
    job = client.job(hand.submit()["id"])
    states: list[str] = []
    ender = threading.Timer(0.2, hand.end, [job.raw])
    ender.start()
    last = job.wait(60, every_seconds=0.02, progress=lambda state: states.append(state.status), check=False)
    ender.join()
    assert (last.status, last.over, states[0], states[-1]) == ("cancelled", True, "queued", "cancelled")


def test_a_job_that_ends_otherwise_than_well_is_an_error_that_carries_it(client: Client, hand: Api):
    job = client.job(hand.submit()["id"]).cancel()
    with pytest.raises(JobFailed, match=f"the job {job.id} was cancelled; `retry` takes it up") as caught:
        job.wait()
    assert isinstance(caught.value.job, Job) and caught.value.job.status == "cancelled"


def test_a_job_that_is_not_over_in_time_goes_on(client: Client, hand: Api):
    job = client.job(hand.submit()["id"])
    with pytest.raises(JobNotOver, match=r"is queued after 0\.05 s; it goes on"):
        job.wait(0.05, every_seconds=0.02)
    assert job.refresh().status == "queued"


def test_a_job_pauses_resumes_is_cancelled_tried_again_and_deleted(client: Client, hand: Api):
    job = client.job(hand.submit()["id"])
    assert [job.pause().status, job.resume().status, job.cancel().status] == ["paused", "queued", "cancelled"]
    with pytest.raises(Conflict):
        job.pause()
    assert job.retry().status == "queued"
    assert (job.cancel().delete().id, list(client.jobs())) == (job.id, [])


def test_jobs_are_listed_by_how_they_stand_over_all_pages(client: Client, hand: Api):
    jobs = [client.job(hand.submit()["id"]) for _ in range(3)]
    jobs[0].cancel()
    assert [job.id for job in client.jobs(limit=1, status="queued")] == [jobs[2].id, jobs[1].id]


def test_nothing_is_selected_until_it_is(client: Client, hand: Api):
    job = client.job(hand.submit()["id"])
    with pytest.raises(Conflict):
        job.selection()
    with pytest.raises(NotFound):
        job.subset()


def test_the_selection_comes_as_a_table_of_every_library(client: Client, hand: Api):
    found = chosen(client, hand).selection()
    assert (len(found), found.budget, found.digest, found.counts["other"]["selected"]) == (5, 5, "d" * 64, 5)
    assert isinstance(found.to_arrow(), pa.Table) and found.to_arrow().column_names == COLUMNS
    assert isinstance(found.to_pandas(), pd.DataFrame) and list(found.to_pandas()["row"]) == [4, 3, 2, 1, 0]
    assert isinstance(found.to_polars(), pl.DataFrame) and found.to_polars()["rank"].to_list() == [1, 2, 3, 4, 5]
    assert isinstance(found.to_dataset(), datasets.Dataset) and found.to_dataset()["row"][:] == [4, 3, 2, 1, 0]


def test_the_chosen_rows_come_with_their_texts(client: Client, hand: Api):
    found = chosen(client, hand, texts=True).subset()
    assert found.to_pandas().drop(columns="text_b").iloc[0].to_dict() == {
        **{"dataset": "other", "row": 3, "rank": 1, "score": 1.0},
        **{"text_a": "a cat", "label": "yes"},
    }
    assert found.to_arrow()["text_b"].to_pylist() == [None, None]


def test_a_library_that_is_missing_is_named(client: Client, hand: Api, monkeypatch: pytest.MonkeyPatch):
    found = chosen(client, hand).selection()
    for package in ("pandas", "polars", "datasets"):
        monkeypatch.setitem(sys.modules, package, None)
        with pytest.raises(MissingPackage, match=f"needs the package '{package}': pip install {package}"):
            getattr(found, f"to_{package.rstrip('s') if package == 'datasets' else package}")()


def test_the_chosen_rows_are_saved_as_a_folder_of_datasets(client: Client, hand: Api, tmp_path: Path):
    folder = chosen(client, hand, texts=True).save_subset(tmp_path / "rows")
    found = datasets.load_dataset(str(folder), split="train", cache_dir=str(tmp_path / "cache"))
    assert (found["text_a"][:], found["rank"][:]) == (["a cat", "a cat"], [1, 2])


def test_the_model_is_saved_as_a_folder(client: Client, hand: Api, tmp_path: Path):
    job = client.job(hand.submit(compare=[])["id"])
    hand.choose(job.raw)
    hand.finish(job.raw, "target (selection)")
    hand.finish(job.raw, "finetune (selection)", {"model/config.json": b"{}", "model/vocabulary/words.txt": b"cat"})
    folder = job.save_model(tmp_path / "models" / "mine")
    assert sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()) == [
        "config.json",
        "vocabulary/words.txt",
    ]
    assert [path.name for path in folder.parent.iterdir()] == ["mine"]
    with pytest.raises(FileExistsError, match="mine is there already and not an empty folder: name a new one"):
        job.save_model(folder)
