"""Which store the settings name, and whether it can be used, before anything starts."""

from __future__ import annotations

from pathlib import Path

from buckets import KEY_ID, SECRET, Bucket
from structlog.testing import capture_logs

from app.settings import Settings
from app.storage import FolderStorage, ObjectStorage, is_usable, open_storage


def test_a_folder_in_the_home_is_the_store_unless_another_is_named(tmp_path: Path, bucket: Bucket):
    assert isinstance(open_storage(Settings(home=tmp_path)), FolderStorage)
    assert isinstance(open_storage(Settings(home=tmp_path, **bucket.settings)), ObjectStorage)


def test_a_store_that_works_is_usable(tmp_path: Path, bucket: Bucket):
    with capture_logs() as lines:
        usable = [is_usable(Settings(home=tmp_path)), is_usable(Settings(home=tmp_path, **bucket.settings))]
    assert (usable, lines) == ([True, True], [])


def test_a_store_that_does_not_is_told_of_with_what_to_do(tmp_path: Path, bucket: Bucket):
    with capture_logs() as lines:
        assert not is_usable(Settings(home=tmp_path, **{**bucket.settings, "storage_url": "s3://no-such-bucket/p"}))
    assert lines == [
        {
            "event": "storage.unusable",
            "log_level": "error",
            "error": "the object store has no such bucket",
            "storage": f"s3://no-such-bucket/p at {bucket.endpoint}",
            "hint": "make the bucket, or correct FASTMTL_STORAGE_URL",
        }
    ]
    assert SECRET not in str(lines) and KEY_ID not in str(lines)
