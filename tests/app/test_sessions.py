"""Sessions of the web page: begun with a key, and ended with it."""

from __future__ import annotations

import pytest
from lives import Clock
from sqlalchemy import select

from app.db import Database
from app.errors import Unauthorized
from app.keys import Caller, Keys, Scope
from app.models import PageSession
from app.sessions import Sessions
from app.settings import Settings


class World:
    """A tenant with a key, and sessions of a minute."""

    def __init__(self, database: Database) -> None:
        settings = Settings(secret="s" * 32, session_seconds=60)
        self.database, self.clock = database, Clock()
        self.keys = Keys(database, settings, self.clock)
        self.sessions = Sessions(database, self.keys, settings, self.clock)
        self.ada = self.keys.tenant("ada's", make=True).id
        made = self.keys.create(self.ada, "a key", Scope.WRITE)
        self.key, self.key_id = made.text, made.record.id

    def stored(self) -> list[PageSession]:
        with self.database.reading() as session:
            return list(session.scalars(select(PageSession)))

    def refusal(self, token: str) -> str:
        with pytest.raises(Unauthorized) as refused:
            self.sessions.authenticate(token)
        return refused.value.detail


@pytest.fixture
def world(database: Database) -> World:
    return World(database)


ENDED = "this session has ended: sign in again"


def test_a_session_lets_in_whom_its_key_lets_in(world: World):
    begun = world.sessions.begin(world.key)
    assert world.sessions.authenticate(begun.token) == Caller(world.ada, Scope.WRITE, world.key_id)


def test_neither_token_nor_key_is_stored(world: World):
    begun = world.sessions.begin(world.key)
    (stored,) = world.stored()
    assert (stored.key_id, stored.expires_at) == (world.key_id, begun.expires_at)
    assert begun.token not in str(vars(stored)) and world.key not in str(vars(stored))


def test_no_two_sessions_have_one_token(world: World):
    assert len({world.sessions.begin(world.key).token for _ in range(3)}) == 3


@pytest.mark.parametrize("key", ["", "nonsense", "fastmtl_3fJ8kQ0aZ1bX_0123456789"])
def test_without_a_key_that_counts_none_begins(world: World, key: str):
    with pytest.raises(Unauthorized):
        world.sessions.begin(key)
    assert world.stored() == []


@pytest.mark.parametrize("token", ["", "nonsense", "x" * 100_000, "fastmtl-session.0123456789abcdef0123456789abcdef"])
def test_a_token_that_was_never_given_lets_nobody_in(world: World, token: str):
    assert world.refusal(token) == ENDED


def test_a_session_ends_by_itself_and_is_forgotten_when_the_next_begins(world: World):
    first = world.sessions.begin(world.key).token
    world.clock.turn(60)
    assert world.refusal(first) == ENDED
    world.sessions.begin(world.key)
    assert len(world.stored()) == 1


def test_who_signs_out_is_out_and_others_are_not(world: World):
    mine, other = (world.sessions.begin(world.key).token for _ in range(2))
    world.sessions.end(mine)
    world.sessions.end("never there")
    assert (world.refusal(mine), world.sessions.authenticate(other).key_id) == (ENDED, world.key_id)


def test_a_session_dies_with_its_key(world: World):
    token = world.sessions.begin(world.key).token
    world.keys.revoke(world.ada, world.key_id, even_last=True)
    assert world.refusal(token) == "this key was revoked"
