"""Keys: what they look like, when they count, who may make and end them."""

from __future__ import annotations

import hmac
import re
import stat
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from lives import NOON, Clock
from sqlalchemy import select, text
from sqlalchemy.exc import OperationalError

from app.db import Database
from app.errors import AnswerNotKept, ApiError, Conflict, Forbidden, NotFound, Unauthorized
from app.keys import Caller, Keys, Scope, service_secret
from app.models import ApiKey, Base
from app.settings import Settings

SECRET = "s" * 32
DAY = timedelta(days=1)


class World:
    """A tenant's keys over one database."""

    def __init__(self, database: Database) -> None:
        self.database, self.clock = database, Clock()
        self.keys = Keys(database, Settings(secret=SECRET), self.clock)
        self.ada = self.keys.tenant("ada's", make=True).id

    def make(self, scope: Scope = Scope.ADMIN, expires_at: datetime | None = None) -> tuple[str, uuid.UUID]:
        made = self.keys.create(self.ada, "a key", scope, expires_at)
        return made.text, made.record.id

    def record(self, key_id: uuid.UUID) -> ApiKey:
        with self.database.reading() as session:
            return session.get_one(ApiKey, key_id)

    def refusal(self, key: str) -> str:
        with pytest.raises(Unauthorized) as refused:
            self.keys.authenticate(key)
        return refused.value.detail


@pytest.fixture
def world(database: Database) -> World:
    return World(database)


def test_a_key_lets_its_tenant_in(world: World):
    key, key_id = world.make(Scope.WRITE)
    assert re.fullmatch(r"fastmtl_[0-9A-Za-z]{12}_[0-9A-Za-z]{38}", key)
    assert world.keys.authenticate(key) == Caller(world.ada, Scope.WRITE, key_id)


@pytest.mark.parametrize(
    "change",
    [
        lambda key: "",
        lambda key: "fastmtl_",
        lambda key: key[:-1],
        lambda key: key + "0",
        lambda key: key.upper(),
        lambda key: key[:-1] + ("a" if key[-1] != "a" else "b"),
        lambda key: key[:25] + ("a" if key[25] != "a" else "b") + key[26:],
        lambda key: key.replace("fastmtl", "fastmtx"),
        lambda key: key[:10] + "\x00" + key[11:],
        lambda key: key[:10] + "é" + key[11:],
        lambda key: key[:10] + "%" + key[11:],
    ],
)
def test_a_typo_is_told_from_a_key_that_does_not_count(world: World, change: Callable[[str], str]):
    key, _ = world.make()
    assert world.refusal(change(key)) == (
        "this is not a key of this service: keys begin with fastmtl_, and this one may have a typo"
    )


def test_an_unknown_key_and_a_wrong_secret_have_one_answer(world: World, monkeypatch: pytest.MonkeyPatch):
    key, key_id = world.make()
    with world.database.transaction() as session:
        session.get_one(ApiKey, key_id).hash = "f" * 64
    compared: list[int] = []
    compare = hmac.compare_digest
    monkeypatch.setattr(hmac, "compare_digest", lambda a, b: compared.append(len(a)) or compare(a, b))
    wrong = world.refusal(key)
    with world.database.transaction() as session:
        session.get_one(ApiKey, key_id).prefix = "another"
    assert (world.refusal(key), wrong, compared) == (wrong, "this key is not known here", [64, 64])


def test_a_key_of_a_service_with_another_secret_is_not_known(world: World):
    other = Keys(world.database, Settings(secret="o" * 32), world.clock)
    assert world.refusal(other.create(world.ada, "a key", Scope.READ).text) == "this key is not known here"


def test_a_key_counts_until_it_ends(world: World):
    key, _ = world.make(expires_at=NOON + DAY)
    world.clock.turn(DAY.total_seconds() - 1)
    assert world.keys.authenticate(key).tenant_id == world.ada
    world.clock.turn(1)
    assert world.refusal(key) == "this key expired at 2026-01-02T12:00:00Z"


def test_a_revoked_key_counts_no_more(world: World):
    key, key_id = world.make(Scope.READ)
    world.keys.revoke(world.ada, key_id)
    assert world.refusal(key) == "this key was revoked"


def test_the_last_use_is_noted_once_a_minute(world: World):
    key, key_id = world.make()
    noted = []
    for seconds in (0, 30, 31):
        world.clock.turn(seconds)
        world.keys.authenticate(key)
        noted.append(world.record(key_id).used_at)
    assert noted == [NOON, NOON, NOON + timedelta(seconds=61)]


def test_a_use_that_cannot_be_noted_does_not_shut_anybody_out(world: World, monkeypatch: pytest.MonkeyPatch):
    key, key_id = world.make()

    @contextmanager
    def full() -> Iterator[None]:
        raise OperationalError("UPDATE", {}, Exception("database or disk is full"))
        yield

    monkeypatch.setattr(world.database, "transaction", full)
    assert world.keys.authenticate(key) == Caller(world.ada, Scope.ADMIN, key_id)


@pytest.mark.parametrize(
    ("scope", "may"),
    [("read", ["read"]), ("write", ["read", "write"]), ("admin", ["read", "write", "admin"])],
)
def test_a_scope_holds_those_before_it(scope: str, may: list[str]):
    assert [each for each in Scope if Scope(scope).allows(each)] == may


@pytest.mark.parametrize(("giver", "gives"), [("read", "write"), ("read", "admin"), ("write", "admin")])
def test_a_key_cannot_give_more_than_it_has(world: World, giver: str, gives: str):
    with pytest.raises(Forbidden, match=f"scope {giver} cannot make one with the scope {gives}"):
        world.keys.create(world.ada, "more", Scope(gives), giver=Scope(giver))
    assert world.keys.page(world.ada, 10, None).items == []


def test_a_key_that_is_there_already_is_not_made_again(world: World):
    """As when a request is sent again whose answer was lost: what the key is, nobody can tell any more."""
    made = world.keys.create(world.ada, "once", Scope.READ, key_id=uuid.UUID(int=7))
    with pytest.raises(AnswerNotKept, match="rotate it, or revoke it"):
        world.keys.create(world.ada, "once", Scope.READ, key_id=uuid.UUID(int=7))
    assert world.keys.authenticate(made.text).key_id == uuid.UUID(int=7)


def test_pages_show_a_tenants_own_keys_newest_first(world: World):
    for number in range(3):
        world.clock.turn(1)
        world.keys.create(world.ada, str(number), Scope.READ)
    world.keys.create(world.keys.tenant("eve's", make=True).id, "eve's", Scope.READ)
    first = world.keys.page(world.ada, 2, None)
    rest = world.keys.page(world.ada, 2, first.next_cursor)
    assert ([each.name for each in first.items], [each.name for each in rest.items]) == (["2", "1"], ["0"])
    assert rest.next_cursor is None


def test_revoking_twice_is_the_same_as_once(world: World):
    _, key_id = world.make(Scope.WRITE)
    first = world.keys.revoke(world.ada, key_id).revoked_at
    world.clock.turn(60)
    assert (first, world.keys.revoke(world.ada, key_id).revoked_at) == (NOON, NOON)


def test_the_last_admin_key_is_kept_unless_the_operator_says_so(world: World):
    _, first = world.make()
    _, second = world.make()
    world.make(Scope.WRITE)
    world.make(expires_at=NOON - DAY)  # an admin's, but it has ended
    world.keys.revoke(world.ada, first)
    with pytest.raises(Conflict, match="this is the last admin key"):
        world.keys.revoke(world.ada, second)
    assert world.keys.revoke(world.ada, second, even_last=True).revoked_at == NOON
    assert world.keys.revoke(world.ada, second).revoked_at == NOON  # it has ended: nothing is lost by saying so again


def test_two_admins_that_revoke_one_another_leave_one(world: World):
    ids = [world.make()[1] for _ in range(2)]
    told = at_once([lambda key_id=key_id: world.keys.revoke(world.ada, key_id) for key_id in ids])
    assert sorted(type(each).__name__ for each in told) == ["ApiKey", "Conflict"]


def at_once(calls: list[Callable[[], object]]) -> list[object]:
    """Make calls at the same moment; return what each returned or raised."""
    told: list[object] = [None] * len(calls)
    gate = threading.Barrier(len(calls))

    def run(index: int) -> None:
        gate.wait()
        try:
            told[index] = calls[index]()
        except ApiError as error:
            told[index] = error

    threads = [threading.Thread(target=run, args=(index,)) for index in range(len(calls))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return told


def test_a_rotated_key_is_followed_by_one_like_it(world: World):
    old, old_id = world.make(Scope.WRITE, NOON + 90 * DAY)
    world.clock.turn(DAY.total_seconds())
    made = world.keys.rotate(world.ada, old_id, timedelta(hours=24))
    told = (made.record.name, made.record.scope, made.record.expires_at, world.record(old_id).expires_at)
    assert told == ("a key", "write", NOON + 91 * DAY, NOON + 2 * DAY)
    assert [world.keys.authenticate(key).key_id for key in (old, made.text)] == [old_id, made.record.id]
    world.clock.turn(DAY.total_seconds())
    assert world.refusal(old) == "this key expired at 2026-01-03T12:00:00Z"


def test_an_overlap_does_not_keep_a_key_beyond_its_end(world: World):
    _, old_id = world.make(expires_at=NOON + timedelta(hours=1))
    world.keys.rotate(world.ada, old_id, timedelta(hours=24))
    assert world.record(old_id).expires_at == NOON + timedelta(hours=1)


def test_a_key_without_an_end_is_followed_by_one_without(world: World):
    _, old_id = world.make()
    made = world.keys.rotate(world.ada, old_id, timedelta())
    assert (made.record.expires_at, world.record(old_id).counts(NOON)) == (None, False)


def test_a_key_is_replaced_once_and_its_announced_end_stands(world: World):
    _, old_id = world.make(Scope.WRITE)
    made = world.keys.rotate(world.ada, old_id, timedelta(hours=24))
    world.clock.turn(60)
    for overlap in (timedelta(), timedelta(days=20)):
        with pytest.raises(Conflict, match=f"replaced by the key {made.record.id}: rotate that one"):
            world.keys.rotate(world.ada, old_id, overlap)
    assert (world.record(old_id).expires_at, world.record(old_id).replaced_by) == (NOON + DAY, made.record.id)
    assert (world.record(made.record.id).expires_at, len(world.keys.page(world.ada, 10, None).items)) == (None, 2)


def test_every_key_of_a_chain_of_rotations_lasts_as_long_as_the_first_was_made_for(world: World):
    _, first = world.make(expires_at=NOON + 90 * DAY)
    second = world.keys.rotate(world.ada, first, timedelta(hours=1)).record.id
    world.clock.turn(DAY.total_seconds())
    third = world.keys.rotate(world.ada, second, timedelta(hours=1)).record.id
    ends = [world.record(each).expires_at for each in (first, second, third)]
    assert ends == [NOON + timedelta(hours=1), NOON + DAY + timedelta(hours=1), NOON + 91 * DAY]


def test_of_two_rotations_of_one_key_at_once_one_makes_a_key(world: World):
    _, key_id = world.make()
    told = at_once([lambda: world.keys.rotate(world.ada, key_id, DAY)] * 2)
    assert sorted(type(each).__name__ for each in told) == ["Conflict", "NewKey"]


def test_a_rotation_that_is_done_again_by_its_id_says_that_it_was_done(world: World):
    _, key_id = world.make()
    world.keys.rotate(world.ada, key_id, timedelta(), uuid.UUID(int=7))
    with pytest.raises(AnswerNotKept, match="the key 00000000-0000-0000-0000-000000000007 was made"):
        world.keys.rotate(world.ada, key_id, timedelta(), uuid.UUID(int=7))


@pytest.mark.parametrize("ended", ["revoked", "expired"])
def test_a_key_that_has_ended_is_not_rotated(world: World, ended: str):
    _, key_id = world.make(Scope.READ, NOON + DAY)
    if ended == "revoked":
        world.keys.revoke(world.ada, key_id)
    else:
        world.clock.turn(DAY.total_seconds())
    with pytest.raises(Conflict, match="this key has ended"):
        world.keys.rotate(world.ada, key_id, timedelta(hours=1))


def test_another_tenants_key_is_not_there(world: World):
    eve = world.keys.tenant("eve's", make=True).id
    _, key_id = world.make()
    world.make()
    for call in (lambda: world.keys.revoke(eve, key_id), lambda: world.keys.rotate(eve, key_id, DAY)):
        with pytest.raises(NotFound, match=f"there is no key {key_id}"):
            call()
    assert world.record(key_id).counts(NOON)


def test_the_first_key_is_in_a_file_that_its_owner_alone_reads(world: World, tmp_path: Path):
    made = world.keys.first(tmp_path / "api-key")
    assert made is not None and (tmp_path / "api-key").read_text() == made + "\n"
    assert stat.S_IMODE((tmp_path / "api-key").stat().st_mode) == 0o600
    assert world.keys.authenticate(made).scope == Scope.ADMIN
    assert world.keys.first(tmp_path / "api-key") is None


def test_no_first_key_is_made_where_there_is_any_key(world: World, tmp_path: Path):
    world.make(Scope.READ)
    assert (world.keys.first(tmp_path / "api-key"), (tmp_path / "api-key").exists()) == (None, False)


def test_of_processes_that_start_at_once_one_makes_the_first_key(world: World, tmp_path: Path):
    world.keys.tenant("default", make=True)  # as the migration leaves it
    told = at_once([lambda: world.keys.first(tmp_path / "api-key")] * 4)
    made = [each for each in told if each]
    assert (len(made), (tmp_path / "api-key").read_text()) == (1, f"{made[0]}\n")


def test_the_database_holds_no_secret(world: World):
    key, key_id = world.make()
    rotated = world.keys.rotate(world.ada, key_id, DAY).text
    world.keys.authenticate(key)
    with world.database.reading() as session:
        rows = [str(row) for table in Base.metadata.tables for row in session.execute(text(f"SELECT * FROM {table}"))]
        stored = session.scalars(select(ApiKey.hash)).all()
    assert [secret for secret in (key[21:], rotated[21:], SECRET) if any(secret in row for row in rows)] == []
    assert [len(each) for each in stored] == [64, 64]


def test_the_services_secret_is_given_or_made_once_and_kept(tmp_path: Path):
    settings = Settings(home=tmp_path / "new")
    made = service_secret(settings)
    assert (service_secret(Settings(home=tmp_path / "new", secret=SECRET)), service_secret(settings)) == (
        SECRET.encode(),
        made,
    )
    assert len(made) == 64 and stat.S_IMODE((tmp_path / "new" / "secret").stat().st_mode) == 0o600
