"""What a step reads is brought to its worker, or the worker stops."""

from __future__ import annotations

import threading
import uuid
from pathlib import Path

import pytest
from buckets import Bucket
from lives import spec
from stores import object_store, put

from app.jobs import Claim, StoredFile
from app.storage import FolderStorage, Storage
from worker.inputs import bring


@pytest.fixture(params=["folder", "objects"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Storage:
    if request.param == "folder":
        return FolderStorage(tmp_path / "storage")
    bucket: Bucket = request.getfixturevalue("bucket")
    return object_store(tmp_path / "storage", bucket)


def claim(storage: Storage) -> Claim:
    digest = put(storage, "datasets/1/data.parquet", b"rows")
    model = StoredFile("model/heads", "steps/1/1/model/heads", 7, put(storage, "steps/1/1/model/heads", b"weights"))
    known = {"datasets": {digest: "datasets/1/data.parquet"}, "inputs": {"f" * 64: [model]}}
    return Claim(uuid.uuid4(), 1, 1, spec("score"), tenant_id=uuid.uuid4(), job_ids=(), **known)


def test_datasets_and_files_of_needed_steps_stand_where_the_request_says(storage: Storage, tmp_path: Path):
    brought = bring(storage, claim(storage), tmp_path / "scratch", threading.Event())
    (dataset,), (model,) = brought.datasets.values(), brought.inputs.values()
    assert (dataset.read_bytes(), (model / "model" / "heads").read_bytes()) == (b"rows", b"weights")


def test_a_worker_that_stops_brings_no_more(storage: Storage, tmp_path: Path):
    stopping = threading.Event()
    stopping.set()
    brought = bring(storage, claim(storage), tmp_path / "scratch", stopping)
    assert [path.exists() for path in (*brought.datasets.values(), *brought.inputs.values())] == [False, False]
