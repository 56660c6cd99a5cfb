"""Every operation of the API with every key that may not send it."""

from __future__ import annotations

from access import NAMED_IN_BODY, World, problem
from accounts import Account, Place, Scale, exactly, told
from service import Api, api

from app.keys import Scope

NO_KEYS = ("none", "malformed", "unknown", "revoked", "expired")


def access_refused(place: Place, scale: Scale) -> Account:
    """Send them all, whatever the scale: it takes seconds."""
    home = place.folder / "home"
    with api(home, rate_limit=None, **place.settings) as client:
        world = World(Api(client, home))
        before = world.written()
        wrong = [*_without_a_key(world), *_beyond_scope(world), *_of_another_tenant(world)]
        changed = set(world.written()) ^ set(before)
        sent = len(NO_KEYS) * len(world.keyed) + len(_beyond(world)) + len(_strange(world))
        operations, free = len(world.operations), len(world.operations) - len(world.keyed)
    done = (
        f"{operations} operations, all but {free} of which ask for a key, were each sent with no key, one that is "
        "malformed, unknown, revoked or expired, one whose scope is too narrow, and one of another tenant that names "
        "things which are not its own."
    )
    figures = [
        exactly("requests that were not refused as they should be", len(wrong), 0),
        exactly("stored things that changed", len(changed), 0),
        told("requests", sent),
    ]
    return Account(done, figures, [*wrong, *sorted(changed)])


def _without_a_key(world: World) -> list[str]:
    wrong = []
    for key in NO_KEYS:
        for operation in world.keyed:
            answer = world.send(operation, key, world.ids, broken=True)
            if answer.status_code != 401 or answer.headers.get("WWW-Authenticate") != "Bearer":
                wrong.append(f"{operation.name} with a key that is {key}: {answer.status_code}")
    return wrong


def _beyond(world: World) -> list[tuple[Scope, object]]:
    """Return every scope with every operation that is beyond it."""
    scopes = (Scope.READ, Scope.WRITE)
    return [(scope, each) for scope in scopes for each in world.keyed if each.scope and not scope.allows(each.scope)]


def _beyond_scope(world: World) -> list[str]:
    wrong = []
    for scope, operation in _beyond(world):
        answer = world.send(operation, f"ada's {scope}", world.ids, broken=True)
        if answer.status_code != 403 or problem(answer) not in ("forbidden", None):
            wrong.append(f"{operation.name} with a key to {scope}: {answer.status_code}")
    return wrong


def _strange(world: World) -> list:
    """Return the operations that name a thing by its id."""
    return [each for each in world.keyed if each.parameters("path") or each.name in NAMED_IN_BODY]


def _of_another_tenant(world: World) -> list[str]:
    wrong = []
    for operation in _strange(world):
        answer = world.send(operation, "eve's", world.ids)
        if answer.status_code != NAMED_IN_BODY.get(operation.name, 404):
            wrong.append(f"{operation.name} of another tenant: {answer.status_code}")
    return wrong
