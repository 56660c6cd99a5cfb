"""One message, sent once: to whom, how signed, what becomes of the answer."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest
from hostile_urls import RESOLVED, WRITTEN
from receiver import PUBLIC, Names, Receiver, Wire, dripping, receiving, trusting
from standardwebhooks import Webhook, WebhookVerificationError

import worker.sender
from app.settings import Settings
from app.webhooks import tenant_secret
from worker.sender import Message, Outcome, Sender

SETTINGS = Settings(secret="s" * 32, webhook_allow_http=True)
TENANT = uuid.UUID(int=7)
BODY = {"type": "job.succeeded", "timestamp": "2026-01-01T12:00:00Z", "data": {"name": "é \u2028"}}


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as running:
        yield running


@pytest.fixture
def wire(receiver: Receiver) -> Wire:
    return Wire(receiver.port)


def message(url: str = "http://hooks.example.com/x?y=1") -> Message:
    return Message(uuid.uuid4(), TENANT, uuid.uuid4(), url, BODY)


def sender(wire: Wire, names: Names | None = None, settings: Settings = SETTINGS) -> Sender:
    return Sender(settings, lookup=names or Names(), connect=wire, tls=trusting())


def test_a_receiver_verifies_it_with_the_library_of_the_standard(receiver, wire):
    sent = message()
    assert sender(wire).send(sent) == Outcome(True, "it answered 204")
    ((path, headers, body),) = receiver.requests
    assert (path, headers["host"], headers["content-type"]) == ("/x?y=1", "hooks.example.com", "application/json")
    assert headers["webhook-id"] == f"msg_{sent.id.hex}"
    assert Webhook(tenant_secret(SETTINGS, TENANT)).verify(body, headers) == BODY
    with pytest.raises(WebhookVerificationError):
        Webhook(tenant_secret(SETTINGS, uuid.UUID(int=8))).verify(body, headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(tenant_secret(SETTINGS, TENANT)).verify(body.replace(b"succeeded", b"cancelled"), headers)


@pytest.mark.parametrize("url", [url for url in WRITTEN.values() if url != WRITTEN["no TLS"]])
def test_a_url_that_is_not_public_reaches_nothing(url):
    names, wire = Names([PUBLIC]), Wire()
    outcome = sender(wire, names).send(message(url))
    assert (outcome.delivered, outcome.sentence.startswith("not sent: "), wire.reached) == (False, True, [])


@pytest.mark.parametrize(("url", "found"), RESOLVED.values(), ids=RESOLVED)
def test_a_name_that_leads_to_what_is_not_public_reaches_nothing(url, found):
    wire = Wire()
    outcome = sender(wire, Names(found)).send(message(url))
    assert (outcome.delivered, outcome.sentence.startswith("not sent: "), wire.reached) == (False, True, [])


def test_a_name_that_leads_elsewhere_the_second_time_is_asked_once_an_attempt(receiver, wire):
    names = Names([PUBLIC], ["127.0.0.1"])
    post = sender(wire, names)
    assert post.send(message()).delivered
    assert (names.asked, wire.reached) == (["hooks.example.com"], [(PUBLIC, 80)])
    assert post.send(message()) == Outcome(False, "not sent: the host has an address that is not public")
    assert wire.reached == [(PUBLIC, 80)]


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize(
    "to", ["http://169.254.169.254/", "http://127.0.0.1/", "http://hooks.example.com/y", "//[::1]/"]
)
def test_a_redirect_is_not_followed(receiver, wire, status, to):
    receiver.answers = [(status, {"Location": to})]
    outcome = sender(wire).send(message())
    assert outcome == Outcome(False, f"it answered {status}, and redirects are not followed")
    assert (wire.reached, len(receiver.requests)) == ([(PUBLIC, 80)], 1)


@pytest.mark.parametrize("variable", ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "all_proxy"])
def test_proxies_of_the_environment_are_not_used(receiver, wire, variable, monkeypatch):
    monkeypatch.setenv(variable, "http://127.0.0.1:9")
    assert sender(wire).send(message()).delivered
    assert wire.reached == [(PUBLIC, 80)]


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        (200, Outcome(True, "it answered 200")),
        (202, Outcome(True, "it answered 202")),
        (299, Outcome(True, "it answered 299")),
        (400, Outcome(False, "it answered 400")),
        (404, Outcome(False, "it answered 404")),
        (410, Outcome(False, "it answered 410: it wants no more", again=False)),
        (429, Outcome(False, "it answered 429")),
        (500, Outcome(False, "it answered 500")),
        (503, Outcome(False, "it answered 503")),
    ],
)
def test_the_status_of_the_answer_decides(receiver, wire, status, outcome):
    receiver.answers = [(status, {"Content-Length": "0"})]
    assert sender(wire).send(message()) == outcome


def test_the_certificate_is_for_the_name_while_the_connection_goes_to_the_address():
    with receiving(tls=True) as receiver:
        wire = Wire(receiver.port)
        assert sender(wire).send(message("https://hooks.example.com/x")).delivered
        other = sender(wire).send(message("https://other.example.com/x"))
        address = sender(wire).send(message(f"https://{PUBLIC}/x"))
    assert (other, address) == (Outcome(False, "no trusted TLS connection"),) * 2
    assert receiver.names == ["hooks.example.com", "other.example.com", None]
    assert [headers["host"] for _, headers, _ in receiver.requests] == ["hooks.example.com"]
    assert wire.reached == [(PUBLIC, 443)] * 3


def test_a_certificate_that_nobody_vouches_for_is_refused():
    with receiving(tls=True) as receiver:
        strict = Sender(SETTINGS, lookup=Names(), connect=Wire(receiver.port))
        assert strict.send(message("https://hooks.example.com/x")) == Outcome(False, "no trusted TLS connection")
    assert receiver.requests == []


def test_an_answer_without_end_is_cut_off(receiver, wire):
    receiver.endless = True
    assert sender(wire).send(message()) == Outcome(True, "it answered 204")
    assert wire.read <= 65536


def test_a_receiver_that_says_nothing_is_left_in_time(receiver, wire, monkeypatch):
    monkeypatch.setattr(worker.sender, "ATTEMPT_SECONDS", 0.3)
    receiver.silent = 1
    assert sender(wire).send(message()) == Outcome(False, "no answer within 0.3 s")


def test_a_receiver_that_answers_a_letter_at_a_time_is_left_in_time(monkeypatch):
    monkeypatch.setattr(worker.sender, "ATTEMPT_SECONDS", 0.5)
    with dripping() as port:
        assert sender(Wire(port)).send(message()) == Outcome(False, "no answer within 0.5 s")
