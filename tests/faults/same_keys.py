"""Idempotency keys, each sent by many clients at the same moment: one job a key."""

from __future__ import annotations

import json
import uuid

from accounts import Account, Place, Scale, exactly, told
from races import race
from scene import RANDOM, running
from sqlalchemy import select

from app.models import Job

KEYS = 200
AT_ONCE = 20


def same_keys(place: Place, scale: Scale) -> Account:
    """Submit one job under every key from many clients at once; count what was made."""
    with running(place, scale, FASTMTL_RATE_LIMIT="") as scene:
        world = scene.tenant("racing")
        body = json.dumps({**world.request, "config": RANDOM}).encode()
        keys = [f"key-{number}" for number in range(scale.of(KEYS))]
        found = race(scene.processes.url, world.key, body, keys, AT_ONCE)
        with scene.database.reading() as session:
            made = set(session.scalars(select(Job.id)))
    answers = ", ".join(f"{count} times {status}" for status, count in sorted(found.statuses.items()))
    done = (
        f"{len(keys)} keys were sent by {AT_ONCE} clients at once, each asking again while it was told that the first "
        f"request is in flight; answered {answers}."
    )
    figures = [
        exactly("jobs less keys", len(made) - len(keys), 0),
        exactly("keys with more than one answer", sum(len(bodies) > 1 for bodies in found.bodies.values()), 0),
        exactly("jobs that no client was told of", len(made - {uuid.UUID(each) for each in found.jobs}), 0),
        told("keys", len(keys)),
        told("requests", found.requests),
        told("seconds", found.seconds),
    ]
    return Account(done, figures)
