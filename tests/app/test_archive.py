"""A tar that is nowhere: any part of it can be read, and the whole is one that others open."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest

from app.archive import Member, Whole, length, read, tar, tar_digest
from app.storage import FolderStorage

LONG = "d" * 90 + "/" + "ä" * 90


@pytest.fixture
def members(tmp_path: Path) -> list[Member]:
    found = []
    for index, (name, content) in enumerate({"a.txt": b"one", "empty": b"", LONG: bytes(range(256)) * 5}.items()):
        (tmp_path / str(index)).write_bytes(content)
        whole = Whole(FolderStorage(tmp_path), str(index), len(content))
        found.append(Member(name, whole, f"digest {index}"))
    return found


def test_the_whole_is_a_tar_of_the_files(members: list[Member]):
    pieces = tar(members)
    whole = b"".join(read(pieces, 0, length(pieces)))
    assert len(whole) == length(pieces)
    with tarfile.open(fileobj=io.BytesIO(whole)) as found:
        files = {each.name: found.extractfile(each).read() for each in found.getmembers()}  # type: ignore[union-attr]
    assert files == {"a.txt": b"one", "empty": b"", LONG: bytes(range(256)) * 5}


def test_every_part_is_what_the_whole_has_there(members: list[Member]):
    pieces = tar(members)
    total = length(pieces)
    whole = b"".join(read(pieces, 0, total))
    cuts = [*range(0, total, 97), total]
    for start in cuts:
        for stop in (start, start + 1, start + 700, total):
            assert b"".join(read(pieces, start, min(stop, total))) == whole[start:stop]


def test_the_digest_changes_with_name_size_and_content(members: list[Member]):
    first = members[0]
    others = [
        first._replace(name="b"),
        first._replace(file=first.file._replace(bytes=4)),
        first._replace(sha256="other"),
    ]
    found = {tar_digest(members), *(tar_digest([each, *members[1:]]) for each in others), tar_digest(members[1:])}
    assert len(found) == 5


def test_a_file_that_was_cut_short_ends_the_download(tmp_path: Path):
    (tmp_path / "file").write_bytes(b"123")
    with pytest.raises(OSError, match="shorter than it was"):
        list(read([Whole(FolderStorage(tmp_path), "file", 5)], 0, 5))
