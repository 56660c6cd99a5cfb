"""What every store offers: files are complete under their keys, or not there; and the folder on this machine."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import pytest
from stores import content, object_store, put

from app.jobs import StoredFile
from app.storage import FolderStorage, ObjectStorage, Storage
from app.storage.face import lock_file

ODD = 'steps/x/1/arms/a, b~c/odd "näme"\\ 100%;+&=?#.bin'


@pytest.fixture(params=["folder", "objects"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Storage:
    if request.param == "folder":
        return FolderStorage(tmp_path / "storage")
    return object_store(tmp_path / "storage", request.getfixturevalue("bucket"))


def test_a_folder_is_stored_file_by_file_with_digests(storage: Storage, tmp_path: Path):
    (tmp_path / "made" / "deep").mkdir(parents=True)
    (tmp_path / "made" / "a").write_bytes(b"1")
    (tmp_path / "made" / "deep" / "b").write_bytes(b"23")
    stored = storage.store_folder(tmp_path / "made", "steps/x")
    digests = [sha256(each).hexdigest() for each in (b"1", b"23")]
    assert stored == [
        StoredFile("a", "steps/x/a", 1, digests[0]),
        StoredFile("deep/b", "steps/x/deep/b", 2, digests[1]),
    ]
    assert content(storage, "steps/x/deep/b", digests[1]) == b"23"


@pytest.mark.parametrize("key", ["steps/x/1/model.bin", ODD])
def test_any_part_of_a_file_is_read(storage: Storage, key: str):
    put(storage, key, b"0123456789")
    read = [b"".join(storage.read(key, *part)) for part in ((0, 10), (3, 7), (9, 10), (4, 4))]
    assert (storage.size(key), read) == (10, [b"0123456789", b"3456", b"9", b""])


def test_what_is_made_of_a_file_has_a_place_beside_it_as_long_as_it_is_there(storage: Storage):
    put(storage, "datasets/x/canonical.parquet")
    assert storage.beside("datasets/x/canonical.parquet").is_dir()
    storage.delete_prefix("datasets/x")
    assert not storage.beside("datasets/x/canonical.parquet").exists()


def test_an_empty_file_is_a_file(storage: Storage):
    digest = put(storage, "steps/x/empty", b"")
    assert (storage.size("steps/x/empty"), content(storage, "steps/x/empty", digest)) == (0, b"")


def test_a_file_that_is_shorter_than_it_was_is_told_of(storage: Storage):
    put(storage, "steps/x/a", b"0123")
    with pytest.raises(OSError, match="shorter than it was"):
        list(storage.read("steps/x/a", 0, 9))


def test_what_is_not_there_is_said_to_be_missing(storage: Storage):
    assert (storage.size("steps/x/a"), storage.exists("steps/x/a")) == (None, False)
    with pytest.raises(FileNotFoundError):
        content(storage, "steps/x/a", "0" * 64)


def test_a_file_is_placed_where_a_step_reads_it(storage: Storage, tmp_path: Path):
    digest = put(storage, "steps/x/model/a")
    storage.place("steps/x/model/a", digest, tmp_path / "inputs" / "model" / "a")
    assert (tmp_path / "inputs" / "model" / "a").read_bytes() == b"content"


@pytest.mark.parametrize("key", ["../x", "a/../../x", "/etc/passwd", ""])
def test_a_key_that_leads_out_of_the_folder_is_refused(storage: Storage, key: str):
    with pytest.raises(AssertionError, match="is no key"):
        storage.path(key)


def test_a_prefix_is_deleted_with_all_that_is_below_it_and_nothing_else(storage: Storage):
    for key in ("steps/x/1/a", "steps/x/1/deep/b", "steps/x/10/a", "steps/x/2/a"):
        put(storage, key)
    storage.delete_prefix("steps/x/1")
    kept = [storage.exists(key) for key in ("steps/x/1/a", "steps/x/1/deep/b", "steps/x/10/a", "steps/x/2/a")]
    assert (kept, storage.folders("steps/x")) == ([False, False, True, True], {"10", "2"})


def test_a_prefix_is_as_old_as_the_last_that_was_added(storage: Storage):
    began = time.time()
    put(storage, "steps/x/a")
    assert -1.5 <= storage.age_seconds("steps/x") <= time.time() - began + 1.5  # the store tells whole seconds
    assert storage.age_seconds("steps/y") < 1


def test_a_trial_leaves_nothing(storage: Storage, tmp_path: Path):
    storage.try_out()
    assert storage.folders("probes") == set()
    assert [path for path in (tmp_path / "storage").rglob("*") if path.is_file()] == []


def test_what_was_shared_is_known_by_name_and_stands_where_it_is_taken(storage: Storage):
    prefix = "checkpoints/step/1"
    storage.path(prefix).mkdir(parents=True)
    (storage.path(prefix) / "00000001").write_bytes(b"state")
    storage.share(prefix, "00000001")
    assert storage.shared(prefix) == ["00000001"]
    storage.take(prefix, "00000001")
    assert (storage.path(prefix) / "00000001").read_bytes() == b"state"


def test_what_is_coming_in_is_gone_after_it_was_looked_at(storage: Storage):
    with storage.incoming() as place:
        (place / "half").write_bytes(b"x")
    assert not place.exists()


def unknown(_prefix: str) -> bool:
    return False


def incoming(storage: Storage) -> list[str]:
    return sorted(path.name for path in storage.path("incoming").iterdir())


LEAVE = """
import sys
from app.settings import Settings
from app.storage import open_storage
storage = open_storage(Settings())
with storage.incoming() as folder:
    (folder / "half").write_bytes(b"x")
    (folder / "whole").write_bytes(b"x")
    storage.announce(folder, sys.argv[1])
    storage.put(folder / "whole", f"{sys.argv[1]}/data", "")
    print("there", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def other(storage: Storage, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Another process that has put a file which no database knows, and holds its folder."""
    store = request.getfixturevalue("bucket").environment if isinstance(storage, ObjectStorage) else {}
    environment = {**os.environ, **store, "FASTMTL_HOME": str(tmp_path)}
    command = [sys.executable, "-c", LEAVE, "datasets/x"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment) as process:
        assert process.stdout is not None and process.stdout.readline() == b"there\n"
        yield process
        process.kill()


def test_what_a_living_process_receives_stays(storage: Storage, other: subprocess.Popen[bytes]):
    with storage.incoming() as place:
        left = storage.remove_left(unknown)
        assert (left, place.exists(), len(incoming(storage)), storage.exists("datasets/x/data")) == (0, True, 4, True)


@pytest.mark.parametrize("known", [False, True])
def test_what_a_dead_process_left_is_removed_and_what_it_had_put_too_if_nobody_knows_it(
    storage: Storage, other: subprocess.Popen[bytes], known: bool
):
    other.send_signal(signal.SIGKILL)
    other.wait()
    left = storage.remove_left(lambda prefix: known and prefix == "datasets/x")
    assert (left, incoming(storage), storage.exists("datasets/x/data")) == (1, [], known)


def test_a_folder_that_has_no_lock_is_nobodys(storage: Storage):
    (storage.path("incoming") / "old").mkdir()
    assert (storage.remove_left(unknown), incoming(storage)) == (1, [])


def test_a_file_is_locked_by_one_alone_and_not_after_it_was_removed(tmp_path: Path):
    first = lock_file(tmp_path / "lock")
    assert first is not None and lock_file(tmp_path / "lock") is None
    first.close()
    second = lock_file(tmp_path / "lock")
    assert second is not None
    second.close()


def test_room_is_left_free(tmp_path: Path):
    with pytest.raises(OSError, match="No space left") as caught:
        FolderStorage(tmp_path, spare_bytes=2**60).check_room(0)
    assert caught.value.errno == errno.ENOSPC
