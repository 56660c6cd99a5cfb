"""Fetched files: each is fetched once, is what it should be, and goes when there is no room and nobody uses it."""

from __future__ import annotations

import os
import threading
import uuid
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pytest

from app.storage.cache import FETCHING, FileCache, Writer

CONTENT = b"0123456789"


class World:
    """A cache of 30 bytes, files of ten, and how often each was fetched."""

    def __init__(self, folder: Path) -> None:
        self.root, self._folder = folder / "cache", folder
        self.cache = FileCache(self.root, 30)
        self.fetched: list[str] = []

    def use(self, key: str, content: bytes = CONTENT, digest: str | None = None, hold: Callable = lambda: None) -> Path:
        """Link to a file; what the store sends is `content`."""

        def fetch(file: Writer, length: int) -> None:
            assert length == 10
            self.fetched.append(key)
            hold()
            file.write(content[:4]), file.write(content[4:])

        target = self._folder / "in use" / uuid.uuid4().hex
        self.cache.link(key, digest or sha256(CONTENT).hexdigest(), lambda: 10, fetch, target)
        return target

    def used(self, *keys: str) -> None:
        """Use files and be done with them."""
        for age, key in enumerate(reversed(keys)):
            self.use(key).unlink()
            os.utime(self.root / key, (1_000_000 - age,) * 2)

    def kept(self) -> list[str]:
        return sorted(str(path.relative_to(self.root)) for path in self.root.rglob("*") if path.is_file())


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_a_file_is_fetched_once_and_read_from_then_on(world: World):
    found = [world.use("steps/a/model").read_bytes() for _ in range(3)]
    assert (found, world.fetched, world.kept()) == ([CONTENT] * 3, ["steps/a/model"], ["steps/a/model"])


def test_what_is_not_what_it_should_be_is_not_kept_and_may_be_had_again(world: World):
    with pytest.raises(OSError, match="its SHA-256 is another"):
        world.use("a", b"9876543210")
    assert world.kept() == []
    assert world.use("a").read_bytes() == CONTENT


def test_a_file_that_is_shorter_than_was_said_is_kept_as_it_is(world: World):
    assert world.use("a", b"012", sha256(b"012").hexdigest()).read_bytes() == b"012"


def test_what_was_not_asked_for_longest_goes_first(world: World):
    world.used("a", "b", "c")
    world.use("a").unlink()
    world.use("d")
    assert world.kept() == ["a", "c", "d"]


def test_what_somebody_uses_stays_even_over_the_bound(world: World):
    in_use = [world.use(key) for key in ("a", "b", "c", "d")]
    assert (world.kept(), world.cache.bytes()) == (["a", "b", "c", "d"], 40)
    in_use[1].unlink()
    world.use("e")
    assert world.kept() == ["a", "c", "d", "e"]
    assert all(path.read_bytes() == CONTENT for path in in_use if path.exists())


def test_a_file_that_was_removed_is_still_there_for_who_uses_it(world: World):
    place = world.use("steps/a/model")
    world.cache.delete_prefix("steps/a")
    assert (world.kept(), place.read_bytes()) == ([], CONTENT)


def test_a_file_that_was_sent_is_kept_without_being_fetched(world: World, tmp_path: Path):
    world.used("a", "b", "c")
    (tmp_path / "made").write_bytes(CONTENT)
    world.cache.add(tmp_path / "made", "steps/x/made")
    assert (world.use("steps/x/made").read_bytes(), world.fetched) == (CONTENT, ["c", "b", "a"])
    assert world.kept() == ["b", "c", "steps/x/made"]


def test_a_file_beyond_the_bound_is_not_kept_unless_it_is_used(world: World, tmp_path: Path):
    (tmp_path / "made").write_bytes(b"x" * 31)
    world.cache.add(tmp_path / "made", "steps/x/made")
    assert (world.kept(), (tmp_path / "made").exists()) == ([], False)


def test_folders_that_are_empty_go_too(world: World):
    world.used("steps/a/1/model", "b", "c")
    world.use("d")
    assert (world.cache.folders("steps"), (world.root / "steps").exists()) == (set(), False)


def test_of_many_who_want_a_file_one_fetches_it_and_the_others_wait(world: World):
    together = threading.Barrier(4)

    def want() -> None:
        together.wait()
        found.append(world.use("a").read_bytes())

    found: list[bytes] = []
    threads = [threading.Thread(target=want) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (found, world.fetched) == ([CONTENT] * 4, ["a"])


def test_who_waited_for_one_that_failed_fetches_it_himself(world: World):
    begun, go_on = threading.Event(), threading.Event()

    def fail() -> None:
        begun.set()
        go_on.wait(30)
        raise ConnectionError

    def want() -> None:
        with pytest.raises(ConnectionError):
            world.use("a", hold=fail)

    failing = threading.Thread(target=want)
    failing.start()
    begun.wait(30)
    waiting = threading.Thread(target=world.use, args=("a",))
    waiting.start()
    go_on.set()
    failing.join(), waiting.join()
    assert (world.fetched, world.kept()) == (["a", "a"], ["a"])


def test_what_a_process_that_died_had_of_a_file_goes_and_is_not_used(world: World):
    for key in ("a", "never asked for again"):
        (world.root / FETCHING / sha256(key.encode()).hexdigest()).write_bytes(b"half of an old one")
    assert world.use("a").read_bytes() == CONTENT
    assert world.kept() == ["a"]
