"""Where checkpoints stand, and that none outlives its step."""

from __future__ import annotations

from pathlib import Path

import pytest
from buckets import Bucket
from lives import CHAIN, OUT_OF_MEMORY, SCORE, TRAIN, World, spec
from stores import object_store
from structlog.testing import capture_logs

from app.db import Database
from app.jobs import Claim
from app.storage import FolderStorage, Storage
from fastmtl.keeping import Keeping
from worker import checkpoints
from worker.checkpoints import Keeper

WHOLE = f"00000001-{'0' * 64}.safetensors"
NEWER = f"00000002-{'0' * 64}.safetensors"


@pytest.fixture
def storage(tmp_path: Path) -> Storage:
    return FolderStorage(tmp_path)


@pytest.fixture
def world(database: Database) -> World:
    return World(database)


def keep(storage: Storage, claim: Claim, name: str = WHOLE) -> Path:
    """Keep something of an attempt."""
    place = Keeper(storage, claim).keeping(30).folder
    place.mkdir(parents=True, exist_ok=True)
    (place / name).write_text("")
    return place


def lose(world: World) -> None:
    """Let the lease of whatever runs run out."""
    world.clock.turn(60)
    world.jobs.sweep()


def test_an_attempt_writes_beside_the_older_ones_and_reads_the_latest_of_them_first(world, storage, tmp_path):
    world.create(CHAIN)
    places = []
    for _ in range(2):
        places.append(keep(storage, world.claim(TRAIN)))
        lose(world)
    claim = world.claim(TRAIN)
    place = tmp_path / "checkpoints" / str(claim.step_id) / str(claim.fence)
    assert Keeper(storage, claim).keeping(30) == Keeping(place, (places[1], places[0]), 30)


def test_the_older_ones_go_when_a_newer_one_stands_and_not_before(world, storage):
    world.create(CHAIN)
    old = keep(storage, world.claim(TRAIN))
    lose(world)
    claim = world.claim(TRAIN)
    keeper, new = Keeper(storage, claim), keep(storage, claim, ".partial")
    keeper.look(), keeper.wait()
    assert old.exists()
    keep(storage, claim)
    keeper.look(), keeper.wait()
    assert (old.exists(), new.exists()) == (False, True)


def test_those_of_steps_that_ended_by_anothers_hand_are_removed(world, storage):
    cancelled, other = spec("discriminator", seed=1), spec("discriminator", seed=2)
    job = world.create([cancelled])
    world.create([*CHAIN, other])
    places = [keep(storage, world.claim(each)) for each in (cancelled, other, TRAIN)]
    world.jobs.cancel(job)
    checkpoints.remove_ended(storage, world.database)
    assert [place.exists() for place in places] == [False, True, True]


def test_those_of_steps_that_are_not_there_any_more_are_removed(world, storage, tmp_path):
    world.create(CHAIN)
    place = keep(storage, world.claim(TRAIN))
    place.parent.rename(place.parent.with_name("00000000-0000-0000-0000-000000000000"))
    checkpoints.remove_ended(storage, world.database)
    assert list((tmp_path / "checkpoints").iterdir()) == []


def test_those_of_a_step_that_waits_for_another_attempt_stay(world, storage):
    world.create(CHAIN)
    claim = world.claim(TRAIN)
    place = keep(storage, claim)
    world.jobs.fail(claim, OUT_OF_MEMORY, again=True)
    checkpoints.remove_ended(storage, world.database)
    assert place.exists()


def test_where_nothing_was_kept_there_is_nothing_to_do(world, storage):
    world.create([TRAIN, SCORE])
    checkpoints.remove_ended(storage, world.database)
    assert Keeper(storage, world.claim(TRAIN)).keeping(30).older == ()


class TestOtherMachines:
    """What an attempt on one machine kept, and another goes on from."""

    @pytest.fixture
    def here(self, bucket: Bucket, tmp_path: Path) -> Storage:
        return object_store(tmp_path / "here", bucket)

    @pytest.fixture
    def there(self, bucket: Bucket, tmp_path: Path) -> Storage:
        return object_store(tmp_path / "there", bucket)

    def share(self, world: World, storage: Storage, claim: Claim, name: str = WHOLE) -> None:
        keep(storage, claim, name).joinpath(name).write_text(name)
        keeper = Keeper(storage, claim)
        keeper.look(), keeper.wait()

    def test_the_newest_checkpoint_is_fetched_and_goes_once_a_newer_one_stands(self, world, here, there, bucket):
        world.create(CHAIN)
        first = world.claim(TRAIN)
        for name in (WHOLE, NEWER):
            self.share(world, here, first, name)
        lose(world)
        second = world.claim(TRAIN)
        (older,) = Keeper(there, second).keeping(30).older
        assert [path.read_text() for path in older.iterdir()] == [NEWER]
        self.share(world, there, second)
        assert [key.split("/")[2] for key in bucket.keys()] == [str(second.fence)]
        assert not older.exists()

    def test_a_machine_goes_on_from_its_own_where_that_is_newer(self, world, here, bucket):
        world.create(CHAIN)
        first = world.claim(TRAIN)
        self.share(world, here, first)
        keep(here, first, NEWER)
        lose(world)
        (older,) = Keeper(here, world.claim(TRAIN)).keeping(30).older
        assert sorted(path.name for path in older.iterdir()) == [WHOLE, NEWER]

    def test_that_memory_did_not_suffice_is_known_everywhere(self, world, here, there):
        world.create(CHAIN)
        first = world.claim(TRAIN)
        checkpoints.note_killed(here, first)
        lose(world)
        assert Keeper(there, world.claim(TRAIN)).keeping(30).halvings == 1

    def test_a_store_that_is_away_costs_the_step_its_checkpoints_alone(self, world, tmp_path, gate, bucket):
        behind = object_store(tmp_path / "behind", bucket.behind(gate.url))
        world.create(CHAIN)
        claim = world.claim(TRAIN)
        keeper = Keeper(behind, claim)
        gate.shut()
        keep_in = behind.path(f"checkpoints/{claim.step_id}/{claim.fence}")
        keep_in.mkdir(parents=True)
        (keep_in / WHOLE).write_text("state")
        with capture_logs() as lines:
            keeper.look(), keeper.wait()
        assert [line["event"] for line in lines] == ["checkpoint.not_shared"]

    def test_those_of_a_step_that_is_over_are_removed_from_the_store(self, world, here, there, bucket):
        job = world.create(CHAIN)
        self.share(world, here, world.claim(TRAIN))
        world.jobs.cancel(job)
        checkpoints.remove_ended(there, world.database)
        assert bucket.keys() == []
