"""One request at a time writes to an upload, on both databases."""

from __future__ import annotations

import uuid

import pytest
from lives import NOON, Clock

from app.db import Database
from app.errors import Conflict, Locked
from app.holds import Hold, Holds
from app.models import Dataset, PartialUpload, Tenant
from app.settings import Settings


class World:
    """An upload of ten bytes, and a clock that is turned by hand."""

    def __init__(self, database: Database) -> None:
        self.database, self.clock = database, Clock()
        self.holds = Holds(database, Settings(), self.clock)
        self.tenant, self.upload, self.dataset = uuid.uuid4(), uuid.uuid4(), uuid.uuid4()
        with database.transaction() as session:
            session.add(Tenant(id=self.tenant, name="ada's", created_at=NOON))
            session.flush()
            times = {"created_at": NOON, "expires_at": NOON.replace(day=2)}
            session.add(PartialUpload(id=self.upload, tenant_id=self.tenant, bytes=10, options={"name": "a"}, **times))

    def take(self) -> Hold:
        return self.holds.take(self.tenant, self.upload)

    def row(self) -> PartialUpload:
        with self.database.reading() as session:
            return session.get_one(PartialUpload, self.upload)

    def settle(self, hold: Hold) -> None:
        """Make a dataset of it, as `Datasets` does."""
        names = ("name", "kind", "digest", "source_sha256", "storage_key")
        numbers = {"rows": 1, "source_bytes": 10, "created_at": NOON, "summary": {}}
        made = Dataset(id=uuid.uuid4(), tenant_id=self.tenant, **dict.fromkeys(names, "x"), **numbers)
        with self.database.transaction() as session:
            session.add(made)
            session.flush()
            self.holds.settle(session, hold, made.id)

    def datasets(self) -> int:
        with self.database.reading() as session:
            return session.query(Dataset).count()


@pytest.fixture
def world(database: Database) -> World:
    return World(database)


def test_an_upload_is_held_by_one_and_lives_a_day_longer(world: World):
    world.clock.turn(3600)
    hold = world.take()
    assert (hold.length, hold.options.name) == (10, "a")
    assert (world.row().held_until, (world.row().expires_at - NOON).total_seconds()) == (hold.until, 86_400 + 3600)
    with pytest.raises(Locked):
        world.take()


def test_a_hold_that_ran_out_goes_to_the_next_and_the_first_cannot_let_go_of_it(world: World):
    first = world.take()
    world.clock.turn(61)
    second = world.take()
    world.holds.let_go(first)
    assert world.row().held_until == second.until
    world.holds.let_go(second)
    assert world.row().held_until is None


def test_renewing_moves_the_end_and_tells_who_lost_it(world: World):
    first = world.take()
    world.clock.turn(50)
    world.holds.renew(first)
    first.check()
    world.clock.turn(50)
    with pytest.raises(Locked):
        world.take()
    world.clock.turn(50)
    world.take()
    world.holds.renew(first)
    with pytest.raises(Locked, match="stood still"):
        first.check()


def test_of_two_requests_that_both_read_the_file_one_makes_a_dataset(world: World):
    first = world.take()
    world.clock.turn(61)
    second = world.take()
    world.settle(first)
    with pytest.raises(Conflict):
        world.settle(second)
    world.holds.refuse(second, {"status": 422})
    assert (world.datasets(), world.row().error) == (1, None)


def test_what_is_refused_cannot_be_taken_any_more(world: World):
    hold = world.take()
    world.holds.refuse(hold, {"status": 422})
    world.holds.let_go(hold)
    with pytest.raises(Locked):
        world.take()
    assert world.row().error == {"status": 422}
