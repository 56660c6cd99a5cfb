"""Every operation of the API with every key that may not send it."""

from __future__ import annotations

from access import NO_KEYS, World, beyond_scope, of_another_tenant, without_a_key
from accounts import Account, Place, Scale, exactly, told
from service import Api, api

from app.keys import Scope


def access_refused(place: Place, scale: Scale) -> Account:
    """Send them all, whatever the scale: it takes seconds."""
    home = place.folder / "home"
    with api(home, rate_limit=None, **place.settings) as client:
        world = World(Api(client, home))
        before = world.written()
        sent = [each for key in NO_KEYS for each in without_a_key(world, key)]
        sent += [each for scope in (Scope.READ, Scope.WRITE) for each in beyond_scope(world, scope)]
        sent += of_another_tenant(world)
        changed = set(world.written()) ^ set(before)
        operations, free = len(world.operations), len(world.operations) - len(world.keyed)
    wrong = [each.wrong for each in sent if each.wrong]
    done = (
        f"{operations} operations, all but {free} of which ask for a key, were each sent with no key, one that is "
        "malformed, unknown, revoked or expired, one whose scope is too narrow, and one of another tenant that names "
        "things which are not its own."
    )
    figures = [
        exactly("requests that were not refused as they should be", len(wrong), 0),
        exactly("stored things that changed", len(changed), 0),
        told("requests", len(sent)),
    ]
    return Account(done, figures, [*wrong, *sorted(changed)])
