"""A bucket as a store: what is fetched is checked, what is away comes back, and machines share nothing else."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from hashlib import sha256
from pathlib import Path

import httpx2
import pytest
from buckets import Bucket
from gate import Gate
from stores import content, object_store, put
from structlog.testing import capture_logs

from app.storage import BRIEF, Manner, ObjectStorage, StorageUnavailable

MIB = 2**20
STREAM = """
import hashlib, json, os, resource, sys
from pathlib import Path
from app.storage import BRIEF, ObjectStorage
from app.store_address import Place
root, mib, endpoint, bucket = Path(sys.argv[1]), int(sys.argv[2]), *sys.argv[3:5]
storage = ObjectStorage(root, Place(bucket, "", endpoint, None), 2**32, BRIEF)
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
storage.try_out()
with storage.incoming() as folder:
    digest = hashlib.sha256()
    with (folder / "large").open("wb") as file:
        for _ in range(mib):
            block = os.urandom(2**20)
            digest.update(block), file.write(block)
    before = peak()
    storage.put(folder / "large", "datasets/large", digest.hexdigest())
put = peak()
other = ObjectStorage(root.with_name("other"), Place(bucket, "", endpoint, None), 2**32, BRIEF)
with other.local("datasets/large", digest.hexdigest()) as path:
    print(json.dumps({"size": path.stat().st_size, "growth": [put - before, peak() - put]}))
"""


def test_memory_stays_flat_while_a_large_file_goes_there_and_comes_back(bucket: Bucket, tmp_path: Path):
    """Sent, and fetched, with its digest checked, by another machine: 200 MiB each time."""
    command = [sys.executable, "-c", STREAM, tmp_path / "one", "200", bucket.endpoint, bucket.name]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr[-2000:]
    told = json.loads(done.stdout)
    assert told["size"] == 200 * MIB
    assert sum(told["growth"]) < 100 * MIB, told


@pytest.fixture
def storage(bucket: Bucket, tmp_path: Path) -> ObjectStorage:
    return object_store(tmp_path / "here", bucket)


@pytest.fixture
def elsewhere(bucket: Bucket, tmp_path: Path) -> ObjectStorage:
    """The same store, as another machine has it."""
    return object_store(tmp_path / "elsewhere", bucket)


def test_what_one_machine_stores_another_reads(storage: ObjectStorage, elsewhere: ObjectStorage):
    digest = put(storage, "steps/x/1/model")
    assert content(elsewhere, "steps/x/1/model", digest) == b"content"


def test_a_file_that_became_another_is_not_read(storage: ObjectStorage, elsewhere: ObjectStorage, bucket: Bucket):
    digest = put(storage, "steps/x/1/model")
    bucket.overwrite("steps/x/1/model", b"c0ntent")
    with pytest.raises(OSError, match="its SHA-256 is another"):
        content(elsewhere, "steps/x/1/model", digest)
    bucket.overwrite("steps/x/1/model", b"content")
    assert content(elsewhere, "steps/x/1/model", digest) == b"content"


def test_who_made_a_file_need_not_fetch_it(storage: ObjectStorage, bucket: Bucket):
    digest = put(storage, "steps/x/1/model")
    bucket.overwrite("steps/x/1/model", b"another")
    assert content(storage, "steps/x/1/model", digest) == b"content"


def test_what_lies_beside_a_fetched_file_counts_to_the_bound_and_goes_with_it(bucket: Bucket, tmp_path: Path):
    storage = object_store(tmp_path / "here", bucket, cache_bytes=1_000)
    put(storage, "datasets/x/canonical.parquet")
    made = storage.beside("datasets/x/canonical.parquet") / "tokens"
    made.mkdir()
    (made / "ids.npy").write_bytes(bytes(900))
    another = object_store(tmp_path / "here", bucket, cache_bytes=1_000)  # counts what is there anew
    put(another, "datasets/y/canonical.parquet", bytes(950))
    assert not made.exists()
    put(storage, "datasets/z/canonical.parquet")
    kept = storage.beside("datasets/z/canonical.parquet") / "tokens"
    kept.mkdir()
    storage.delete_prefix("datasets/z")
    assert not kept.exists()


def test_a_file_that_is_open_is_read_to_its_end_whatever_becomes_of_it(storage: ObjectStorage):
    digest = put(storage, "steps/x/1/model")
    with storage.local("steps/x/1/model", digest) as path:
        file = path.open("rb")
    storage.delete_prefix("steps/x")
    with file:
        assert file.read() == b"content"


def test_what_is_removed_here_is_gone_everywhere_but_in_a_cache_that_names_it_still(
    storage: ObjectStorage, elsewhere: ObjectStorage
):
    digest = put(storage, "steps/x/1/model")
    content(elsewhere, "steps/x/1/model", digest)
    storage.delete_prefix("steps/x")
    assert (storage.folders("steps"), elsewhere.folders("steps")) == (set(), {"x"})
    elsewhere.delete_prefix("steps/x")  # as its janitor does
    assert elsewhere.folders("steps") == set()


def test_a_store_that_is_away_says_so_and_is_there_again_when_it_is_back(bucket: Bucket, gate: Gate, tmp_path: Path):
    storage = object_store(tmp_path, bucket.behind(gate.url))
    digest = put(storage, "steps/x/1/model")
    gate.shut()
    with pytest.raises(StorageUnavailable, match="the object store does not answer"):
        put(storage, "steps/x/1/other")
    with capture_logs() as lines:
        storage.delete_prefix("steps/y")
    assert [line["event"] for line in lines] == ["storage.not_removed"]
    gate.open()
    assert (storage.exists("steps/x/1/other"), storage.exists("steps/x/1/model")) == (False, True)
    assert content(storage, "steps/x/1/model", digest) == b"content"


def test_who_is_patient_waits_for_a_store_that_is_away_for_a_moment(bucket: Bucket, gate: Gate, tmp_path: Path):
    storage = object_store(tmp_path, bucket.behind(gate.url), manner=Manner(60.0, 10.0))
    gate.shut()
    threading.Timer(1.5, gate.open).start()
    digest = put(storage, "steps/x/1/model")
    assert bucket.keys() == ["steps/x/1/model"]
    assert digest == sha256(b"content").hexdigest()


def test_the_newest_checkpoint_takes_the_place_of_the_one_before(storage: ObjectStorage, elsewhere: ObjectStorage):
    prefix = "checkpoints/x/1"
    storage.path(prefix).mkdir(parents=True)
    for number in ("00000001", "00000002"):
        (storage.path(prefix) / number).write_text(number)
        storage.share(prefix, number)
    assert elsewhere.shared(prefix) == ["00000002"]
    elsewhere.take(prefix, "00000002")
    assert (elsewhere.path(prefix) / "00000002").read_text() == "00000002"


def test_a_presigned_address_serves_the_file_with_its_name_and_type(bucket: Bucket, tmp_path: Path):
    storage = ObjectStorage(tmp_path, bucket.place, 2**20, BRIEF, signing=(None, 60))
    put(storage, "steps/x/1/über.parquet")
    url = storage.signed("steps/x/1/über.parquet")
    answer = httpx2.get(url)
    assert (answer.content, answer.headers["Content-Type"]) == (b"content", "application/vnd.apache.parquet")
    assert answer.headers["Content-Disposition"] == (
        "attachment; filename=\"_ber.parquet\"; filename*=UTF-8''%C3%BCber.parquet"
    )


def test_addresses_are_signed_for_where_clients_reach_the_store(bucket: Bucket, tmp_path: Path):
    storage = ObjectStorage(tmp_path, bucket.place, 2**20, BRIEF, signing=("https://files.example.org", 60))
    assert storage.signed("a").startswith(f"https://files.example.org/{bucket.name}/fastmtl/a?X-Amz-Algorithm=")


def test_without_the_setting_nothing_is_signed(storage: ObjectStorage):
    assert storage.signed("a") is None
