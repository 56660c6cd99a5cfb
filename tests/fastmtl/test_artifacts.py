"""Finished steps on disk: complete or absent."""

import hashlib

import pytest

from fastmtl.artifacts import Cache, File, list_files
from fastmtl.errors import DamagedArtifact


@pytest.fixture
def cache(tmp_path):
    return Cache(tmp_path / "cache")


def store(cache, fingerprint="f", text="hello", result=None):
    with cache.writing() as folder:
        (folder / "deep").mkdir()
        (folder / "deep" / "file.txt").write_text(text)
        return cache.keep(folder, fingerprint, result or {})


def test_what_was_kept_is_found_with_its_result(cache):
    kept = store(cache, result={"digest": "abc"})
    assert cache.find("f") == (kept, {"digest": "abc"})
    assert (kept / "deep" / "file.txt").read_text() == "hello"


def test_what_was_never_kept_is_not_found(cache):
    assert cache.find("f") is None


def test_what_was_written_and_not_kept_is_removed(cache, tmp_path):
    with pytest.raises(RuntimeError), cache.writing() as folder:
        (folder / "half").write_text("half a file")
        raise RuntimeError
    assert list((tmp_path / "cache").iterdir()) == []


def test_a_folder_without_a_manifest_was_never_finished(cache, tmp_path):
    (tmp_path / "cache" / "f").mkdir()
    assert cache.find("f") is None


def test_the_first_of_two_writers_wins_and_both_go_on(cache, tmp_path):
    first, second = store(cache, text="first"), store(cache, text="second")
    assert first == second
    assert (first / "deep" / "file.txt").read_text() == "first"
    assert [path.name for path in (tmp_path / "cache").iterdir()] == ["f"]


@pytest.mark.parametrize("damage", ["gone", "longer"])
def test_a_damaged_step_is_told_of_with_what_to_remove(cache, damage):
    path = store(cache) / "deep" / "file.txt"
    path.unlink() if damage == "gone" else path.write_text("hello and more")
    with pytest.raises(DamagedArtifact, match=r"file.txt is missing or was changed; remove .*/f to compute it again"):
        cache.find("f")


def test_files_are_listed_by_name_with_size_and_digest(cache):
    expected = File("deep/file.txt", 5, hashlib.sha256(b"hello").hexdigest())
    assert list_files(store(cache)) == [expected]
