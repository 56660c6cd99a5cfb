"""Every operation of the API against every key that may not: refused, and nothing written.

The rows are made from the OpenAPI document. A new route has its rows by being there; it fails here if it asks for no
key, if it takes an id that this world does not hold (add one to `World.ids`), or if its body names things by id and
`NAMED_IN_BODY` does not say what another tenant is told.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from access import FOR_EVERYBODY, NAMED_IN_BODY, NO_IDS, NO_KEYS, World, beyond_scope, of_another_tenant, without_a_key
from fastapi.routing import iter_route_contexts
from service import Api, api

from app.keys import Scope
from app.main import create_app
from app.settings import Settings

PAGES = {"/openapi.json", "/docs", "/", "/pages/{version}/{name}", "/session"}
"""What is served besides and stands not in the document: it is the document, or shows it, or is the web page's."""


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    home = tmp_path_factory.mktemp("matrix") / "home"
    with api(home, rate_limit=None) as client:
        yield World(Api(client, home))


def test_every_operation_asks_for_a_key_of_one_scope_but_these(world: World):
    assert {each.name for each in world.operations if each.scope is None} == FOR_EVERYBODY


def test_nothing_is_served_that_the_document_does_not_describe():
    app = create_app(Settings())
    described = set(app.openapi()["paths"])
    served = {str(each.path_format) for each in iter_route_contexts(app.routes)}
    assert served - described == PAGES


@pytest.mark.parametrize("key", NO_KEYS)
def test_without_a_key_that_counts_nothing_is_answered(world: World, key: str):
    before = world.written()
    sent = without_a_key(world, key)
    assert [each.wrong for each in sent if each.wrong] == []
    assert (len(sent), world.written()) == (len(world.keyed), before)


@pytest.mark.parametrize(("scope", "at_least"), [(Scope.READ, 14), (Scope.WRITE, 5)])
def test_a_key_that_may_less_is_refused(world: World, scope: Scope, at_least: int):
    before = world.written()
    sent = beyond_scope(world, scope)
    assert [each.wrong for each in sent if each.wrong] == []
    assert (len(sent) >= at_least, world.written()) == (True, before)


def test_what_reads_may_be_asked_by_a_key_that_reads(world: World):
    reading = [each for each in world.keyed if each.scope == Scope.READ]
    answers = {each.name: world.send(each, "ada's read", world.ids).status_code for each in reading}
    assert {name: status for name, status in answers.items() if status in (401, 403, 404)} == {}


def test_another_tenants_things_are_not_there(world: World):
    before = world.written()
    sent = of_another_tenant(world)
    assert [each.wrong for each in sent if each.wrong] == []
    named = {each.name for each in world.keyed if each.parameters("path")} | set(NAMED_IN_BODY)
    assert ({each.operation for each in sent}, world.written()) == (named, before)


def test_what_lists_and_shows_tells_nothing_of_another_tenant(world: World):
    showing = [each for each in world.keyed if each.method == "GET" and not each.parameters("path")]
    answers = {each.name: world.send(each, "eve's", world.ids) for each in showing}
    assert {each.status_code for each in answers.values()} == {200}
    assert {"list_datasets", "list_jobs", "list_keys"} <= set(answers)
    secret = next(each for each in world.keyed if each.name == "get_webhook_secret")
    theirs = [
        world.send(secret, "ada's admin", {}).json()["secret"],
        *(value for name, value in world.ids.items() if name not in NO_IDS),
    ]
    assert [name for name, each in answers.items() for value in theirs if value in each.text] == []


def test_what_a_body_or_a_query_names_by_id_has_a_row(world: World):
    named = {each.name for each in world.keyed if "uuid" in str(each.body) and not each.parameters("path")}
    asked = {each.name for each in world.keyed if "uuid" in str(each.parameters("query"))}
    assert (named, asked) == (set(NAMED_IN_BODY), set())
