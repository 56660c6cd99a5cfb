"""Files are complete under their keys, or not there."""

from __future__ import annotations

import errno
import signal
import subprocess
import sys
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import pytest

from app.jobs import StoredFile
from app.storage import Storage, lock_file


@pytest.fixture
def storage(tmp_path: Path) -> Storage:
    return Storage(tmp_path / "storage")


def test_a_folder_is_stored_file_by_file_with_digests(storage: Storage, tmp_path: Path):
    (tmp_path / "made" / "deep").mkdir(parents=True)
    (tmp_path / "made" / "a").write_bytes(b"1")
    (tmp_path / "made" / "deep" / "b").write_bytes(b"23")
    stored = storage.store_folder(tmp_path / "made", "steps/x")
    digests = [sha256(content).hexdigest() for content in (b"1", b"23")]
    assert stored == [
        StoredFile("a", "steps/x/a", 1, digests[0]),
        StoredFile("deep/b", "steps/x/deep/b", 2, digests[1]),
    ]
    assert storage.path("steps/x/deep/b").read_bytes() == b"23"


@pytest.mark.parametrize("key", ["../x", "a/../../x", "/etc/passwd", ""])
def test_a_key_that_leads_out_of_the_folder_is_refused(storage: Storage, key: str):
    with pytest.raises(AssertionError, match="is no key"):
        storage.path(key)


def test_what_is_coming_in_is_gone_after_it_was_looked_at(storage: Storage):
    with storage.incoming() as folder:
        (folder / "half").write_bytes(b"x")
    assert not folder.exists()


def unknown(_prefix: str) -> bool:
    return False


def incoming(storage: Storage) -> list[str]:
    return sorted(path.name for path in storage.path("incoming").iterdir())


LEAVE = """
import os, sys
from pathlib import Path
from app.storage import Storage, lock_file
storage = Storage(Path(sys.argv[1]))
with storage.incoming() as folder:
    (folder / "half").write_bytes(b"x")
    (folder / "whole").write_bytes(b"x")
    storage.announce(folder, sys.argv[2])
    storage.put(folder / "whole", f"{sys.argv[2]}/data")
    print("there", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def other(storage: Storage) -> Iterator[subprocess.Popen[bytes]]:
    """Another process that has put a file which no database knows, and holds its folder."""
    command = [sys.executable, "-c", LEAVE, storage.path("incoming").parent, "datasets/x"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stdout.readline() == b"there\n"
        yield process
        process.kill()


def test_what_a_living_process_receives_stays(storage: Storage, other: subprocess.Popen[bytes]):
    with storage.incoming() as folder:
        left = storage.remove_left(unknown)
        assert (left, folder.exists(), len(incoming(storage)), storage.exists("datasets/x/data")) == (0, True, 4, True)


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
        Storage(tmp_path, spare_bytes=2**60).check_room(0)
    assert caught.value.errno == errno.ENOSPC


def test_a_prefix_is_deleted_with_all_that_is_below_it(storage: Storage, tmp_path: Path):
    for name in ("steps/x/1/a", "steps/x/2/a"):
        (tmp_path / "f").write_bytes(b"1")
        storage.put(tmp_path / "f", name)
    storage.delete_prefix("steps/x/1")
    assert [storage.exists(f"steps/x/{fence}/a") for fence in (1, 2)] == [False, True]
