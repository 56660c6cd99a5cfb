"""What a key stands for, over time, on both databases."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from lives import Clock, World

from app.db import Database
from app.idempotency import OTHER_BODY, Answer, Answered, Asked, Begun, Held, IdempotentAnswers, Taken, forget
from app.models import IdempotentAnswer
from app.settings import Settings

DAY = 24 * 3600
DONE = Answer(202, [("location", "/v1/jobs/1"), ("x-odd", "\xe9")], b'{"id": 1}\n')


class Keys:
    """Answers over one database, by a clock that is turned by hand."""

    def __init__(self, database: Database) -> None:
        self.database, self.clock, self.world = database, Clock(), World(database)
        self.answers = IdempotentAnswers(database, Settings(lease_seconds=30), self.clock)
        self.asked = Asked(self.world.tenant, "k", "POST /v1/jobs")

    def begin(self, body: str | None = "a") -> Begun | Answered | Held | Taken:
        return self.answers.begin(self.asked, body)

    def begun(self, body: str | None = "a") -> Begun:
        found = self.begin(body)
        assert isinstance(found, Begun)
        return found

    def rows(self) -> int:
        with self.database.reading() as session:
            return session.query(IdempotentAnswer).count()

    def forget(self) -> int:
        with self.database.transaction() as session:
            return forget(session, self.clock(), DAY)


@pytest.fixture
def keys(database: Database) -> Keys:
    return Keys(database)


def test_a_request_is_held_until_it_is_answered_and_then_answered_the_same(keys: Keys):
    begun = keys.begun()
    assert keys.begin() == Held()
    assert keys.answers.keep(keys.asked, begun, DONE) == DONE
    assert keys.begin() == Answered(DONE, "a")


def test_another_body_or_another_request_finds_the_key_taken(keys: Keys):
    keys.begun()
    assert keys.begin("b") == Taken(OTHER_BODY)
    other = Asked(keys.asked.tenant_id, "k", "POST /v1/datasets?name=x")
    assert keys.answers.begin(other, "a") == Taken("this Idempotency-Key stands for POST /v1/jobs")


def test_a_body_that_is_not_read_yet_is_compared_when_it_is(keys: Keys):
    begun = keys.begun(None)
    assert begun.body_sha256 is None
    keys.answers.note_body(keys.asked, begun, "a")
    keys.clock.turn(31)
    assert keys.begin("b") == Taken(OTHER_BODY)
    assert keys.begun(None).body_sha256 == "a"


def test_a_request_whose_process_died_is_taken_over_as_the_same_thing(keys: Keys):
    first = keys.begun()
    keys.clock.turn(29)
    assert keys.begin() == Held()
    keys.clock.turn(2)
    assert keys.begun() == first
    assert keys.begin() == Held()


def test_a_hold_that_is_renewed_lasts(keys: Keys):
    begun = keys.begun()
    keys.clock.turn(29)
    keys.answers.hold_on(keys.asked, begun)
    keys.clock.turn(29)
    assert keys.begin() == Held()


def test_of_two_holders_the_first_answer_kept_counts_for_both(keys: Keys):
    asleep = keys.begun()
    keys.clock.turn(31)
    awake = keys.begun()
    assert keys.answers.keep(keys.asked, awake, DONE) == DONE
    assert keys.answers.keep(keys.asked, asleep, DONE._replace(status=200)) == DONE


def test_a_request_that_failed_begins_again_at_once_and_as_the_same_thing(keys: Keys):
    begun = keys.begun()
    keys.answers.let_go(keys.asked, begun)
    assert keys.begun() == begun


def test_a_request_that_was_refused_frees_its_key_but_not_that_of_the_next(keys: Keys):
    begun = keys.begun()
    keys.answers.free(keys.asked, begun)
    again = keys.begun("b")
    assert again.resource_id != begun.resource_id
    keys.answers.free(keys.asked, begun)
    assert keys.begin("b") == Held()


def test_an_answer_that_is_given_once_is_known_to_have_been(keys: Keys):
    keys.answers.keep(keys.asked, keys.begun(), DONE._replace(body=None))
    assert keys.begin() == Answered(DONE._replace(body=None), "a")


def test_an_answer_is_forgotten_after_its_day_and_what_is_held_is_not(keys: Keys):
    keys.answers.keep(keys.asked, keys.begun(), DONE)
    held = Asked(keys.asked.tenant_id, "held", "POST /v1/datasets")
    begun = keys.answers.begin(held, None)
    assert isinstance(begun, Begun)
    keys.clock.turn(DAY)
    keys.answers.hold_on(held, begun)
    assert (keys.forget(), keys.rows()) == (0, 2)
    keys.clock.turn(1)
    assert (keys.forget(), keys.rows()) == (1, 1)


def test_a_key_whose_day_is_over_is_a_new_one_even_before_it_is_forgotten(keys: Keys):
    first = keys.begun()
    keys.answers.keep(keys.asked, first, DONE)
    keys.clock.turn(DAY + 1)
    again = keys.begun("another body")
    assert again.resource_id != first.resource_id


def test_tenants_have_keys_of_their_own(keys: Keys):
    other = Asked(keys.world.add_tenant("bob's"), "k", "POST /v1/jobs")
    assert keys.begun().resource_id != keys.answers.begin(other, "a").resource_id  # type: ignore[union-attr]


def test_of_many_at_once_one_begins(keys: Keys):
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: keys.begin(), range(24)))
    assert sorted(type(each).__name__ for each in found) == ["Begun"] + ["Held"] * 23
