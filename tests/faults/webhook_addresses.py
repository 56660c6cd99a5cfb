"""Webhooks that lead to what is not public: as their URL is written, by its name, by a redirect, by a second look."""

from __future__ import annotations

import uuid

from accounts import Account, Place, Scale, at_least, exactly, told
from hostile_urls import NAME, RESOLVED, WRITTEN
from receiver import PUBLIC, Names, Wire, receiving, trusting

from app.settings import Settings
from worker.sender import Message, Outcome, Sender

LEAST = 40
PRIVATE = ("127.0.0.1", "10.1.2.3", "169.254.169.254", "::1", "::ffff:127.0.0.1")
"""Where a name leads when it is asked a second time, and where answers redirect to."""
REDIRECTS = (301, 302, 303, 307, 308)


def webhook_addresses(place: Place, scale: Scale) -> Account:
    """Send a message to every such URL, with names that lead where they are told and a wire that counts."""
    settings = Settings(home=place.folder / "home", **place.settings)
    refused = [_send(settings, url, Names([PUBLIC])) for url in WRITTEN.values()]
    refused += [_send(settings, url, Names(found)) for url, found in RESOLVED.values()]
    rebound = [_send(settings, NAME, Names([PUBLIC], [address]), serve=204) for address in PRIVATE]
    redirected = [_send(settings, NAME, Names([PUBLIC]), serve=status) for status in REDIRECTS]
    sent = [*refused, *rebound, *redirected]
    elsewhere = sum(address != PUBLIC for _, reached in sent for address, _ in reached)
    done = (
        f"{len(WRITTEN)} URLs that are not public by how they are written and {len(RESOLVED)} by where their name "
        f"leads; {len(rebound)} names that lead to a public address first and to a private one when asked again; "
        f"{len(redirected)} public receivers that redirect to {PRIVATE[2]}."
    )
    figures = [
        at_least("addresses", len(sent), LEAST),
        exactly("connections to anything not public", elsewhere, 0),
        exactly("connections for URLs that lead to nothing public", sum(len(reached) for _, reached in refused), 0),
        exactly("messages to them that were told as delivered", sum(each.delivered for each, _ in refused), 0),
        exactly("redirects that were followed", sum(len(reached) != 1 for _, reached in redirected), 0),
        exactly("redirects that were told as delivered", sum(each.delivered for each, _ in redirected), 0),
        told("of the names that change, delivered to the address that was checked", _safe(rebound)),
    ]
    return Account(done, figures, [each.sentence for each, _ in sent])


Sent = tuple[Outcome, list[tuple[str, int]]]
"""How it ended, and where connections went."""


def _send(settings: Settings, url: str, names: Names, serve: int | None = None) -> Sent:
    """Send once; where somebody serves, it answers with that status and, if it is a redirect, the way to metadata."""
    message = Message(uuid.uuid4(), uuid.uuid4(), uuid.uuid4(), url, {"type": "job.succeeded"})
    if serve is None:
        wire = Wire()
        return Sender(settings, lookup=names, connect=wire).send(message), wire.reached
    with receiving(tls=True) as receiver:
        receiver.answers = [(serve, {"Location": f"https://{PRIVATE[2]}/latest/meta-data/"})]
        wire = Wire(receiver.port)
        outcome = Sender(settings, lookup=names, connect=wire, tls=trusting()).send(message)
        return outcome, wire.reached


def _safe(sent: list[Sent]) -> int:
    return sum(outcome.delivered and [address for address, _ in reached] == [PUBLIC] for outcome, reached in sent)
