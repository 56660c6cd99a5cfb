"""Files are complete under their keys, or not there."""

from __future__ import annotations

import os
from hashlib import sha256
from pathlib import Path

import pytest

from app.jobs import StoredFile
from app.storage import LEFT_SECONDS, Storage


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


def test_only_what_was_left_a_day_ago_is_removed(storage: Storage):
    with storage.incoming() as new, storage.incoming() as old:
        os.utime(old, (0, 0))
        storage.remove_left()
        assert (new.exists(), old.exists(), LEFT_SECONDS) == (True, False, 86_400)


def test_a_prefix_is_deleted_with_all_that_is_below_it(storage: Storage, tmp_path: Path):
    for name in ("steps/x/1/a", "steps/x/2/a"):
        (tmp_path / "f").write_bytes(b"1")
        storage.put(tmp_path / "f", name)
    storage.delete_prefix("steps/x/1")
    assert [storage.exists(f"steps/x/{fence}/a") for fence in (1, 2)] == [False, True]
