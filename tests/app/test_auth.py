"""The door: who asks is found out, and refused, before a byte of the body is read."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from fastapi import APIRouter
from service import Api, api
from sqlalchemy.exc import OperationalError
from starlette.types import Message

from app.auth import Admin
from app.keys import DEFAULT_TENANT, Scope
from app.models import ApiKey

JSON = {"Content-Type": "application/json"}


def key_for(service: Api, scope: Scope) -> str:
    tenant = service.parts.keys.tenant(DEFAULT_TENANT)
    return service.parts.keys.create(tenant.id, str(scope), scope).text


def sent(
    service: Api, header: str | None, path: str = "/v1/jobs", method: str = "GET", body: str = ""
) -> tuple[int, str]:
    """Send a request with this Authorization alone; return status and the problem's kind."""
    client = service.client
    client.headers.pop("Authorization", None)
    headers = {**JSON, **({"Authorization": header} if header is not None else {})}
    answer = client.request(method, path, headers=headers, content=body)
    return answer.status_code, answer.json().get("type", "").rpartition(":")[2]


@pytest.mark.parametrize("scheme", ["Bearer ", "bearer ", "BEARER   "])
def test_a_key_is_sent_as_a_bearer(service: Api, scheme: str):
    assert sent(service, scheme + service.key) == (200, "")


@pytest.mark.parametrize(
    "header", [None, "", "Bearer", "Bearer ", "Basic Zm9vOmJhcg==", "Token {key}", "{key}", "Bearer {key} x"]
)
def test_anything_else_is_told_how(service: Api, header: str | None):
    assert sent(service, header and header.format(key=service.key)) == (401, "unauthorized")
    answer = service.client.get("/v1/jobs")
    assert answer.headers["WWW-Authenticate"] == "Bearer"
    assert (answer.headers["Content-Type"], answer.json()["detail"]) == (
        "application/problem+json",
        "send your API key: Authorization: Bearer fastmtl_...",
    )


@pytest.mark.parametrize(("body", "wrong"), [("{", 422), ('{"no": "job"}', 422), ("", 422), ("[" * 5000, 400)])
def test_who_may_not_is_not_told_what_is_wrong_with_the_body(service: Api, body: str, wrong: int):
    reader, writer = (f"Bearer {key_for(service, scope)}" for scope in (Scope.READ, Scope.WRITE))
    told = [sent(service, header, method="POST", body=body)[0] for header in (None, "Bearer x", reader, writer)]
    assert told == [401, 401, 403, wrong]


@pytest.mark.parametrize(("scope", "status"), [(None, 401), (Scope.READ, 403)])
def test_the_body_of_who_may_not_is_not_read(service: Api, scope: Scope | None, status: int):
    headers = [(b"authorization", f"Bearer {key_for(service, scope)}".encode())] if scope else []
    told: list[Message] = []

    async def receive() -> Message:
        raise AssertionError("the body was asked for")

    async def send(message: Message) -> None:
        told.append(message)

    connection = {
        **{"type": "http", "method": "POST", "path": "/v1/datasets", "raw_path": b"/v1/datasets", "query_string": b""},
        **{"headers": [*headers, (b"idempotency-key", b"abc")], "client": ("203.0.113.9", 1), "server": ("here", 80)},
        **{"scheme": "http", "http_version": "1.1", "root_path": "", "app": service.client.app, "state": {}},
    }
    service.client.portal.call(service.client.app, connection, receive, send)  # type: ignore[union-attr]
    assert told[0]["status"] == status


def test_a_method_that_stands_in_a_header_is_the_one_that_is_asked_for(service: Api):
    """As tus has it for clients that can only GET and POST."""
    headers = {"Tus-Resumable": "1.0.0", "Upload-Length": "100"}
    place = service.client.post("/v1/uploads", headers=headers).headers["Location"]
    meant = {"Tus-Resumable": "1.0.0", "X-HTTP-Method-Override": "DELETE"}
    keys = ("nonsense", key_for(service, Scope.READ), service.key)
    told = [service.client.post(place, headers={**meant, "Authorization": f"Bearer {key}"}) for key in keys]
    assert [(each.status_code, each.headers["Tus-Resumable"]) for each in told] == [
        (401, "1.0.0"),
        (403, "1.0.0"),
        (204, "1.0.0"),
    ]


def test_a_route_that_is_added_later_stands_behind_the_door_too(service: Api):
    router = APIRouter()

    @router.get("/v1/latest")
    def latest(caller: Admin) -> str:
        return str(caller.scope)

    service.client.app.include_router(router)  # type: ignore[attr-defined]
    reader = {"Authorization": f"Bearer {key_for(service, Scope.READ)}"}
    answers = [service.client.get("/v1/latest", headers=each) for each in (reader, {})]
    assert [each.status_code for each in answers] == [403, 200]


def test_what_is_not_there_is_not_found_whoever_asks(service: Api):
    assert [sent(service, None, path, method) for path, method in (("/v1/nothing", "GET"), ("/v1/jobs", "PATCH"))] == [
        (404, "not-found"),
        (405, "method-not-allowed"),
    ]


@pytest.mark.parametrize("path", ["/v1/health", "/v1/ready", "/openapi.json", "/docs"])
def test_some_things_everybody_may_ask(service: Api, path: str):
    service.client.headers.pop("Authorization")
    assert service.client.get(path).status_code == 200


def test_an_open_service_asks_for_no_key(tmp_path):
    with api(tmp_path, auth="off") as client:
        assert (client.get("/v1/keys").json()["items"], (tmp_path / "api-key").exists()) == ([], False)
        told = client.get("/v1/keys/self").json()
        assert (told["tenant"], told["scope"], told["key"]) == ("default", "admin", None)


def test_a_database_that_is_away_is_said_before_anything_is_asked_of_it(service: Api, monkeypatch: pytest.MonkeyPatch):
    def fail(_key: str) -> None:
        raise OperationalError("SELECT", {}, Exception("connection refused"))

    monkeypatch.setattr(service.parts.keys, "authenticate", fail)
    answer = service.client.get("/v1/jobs")
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")


def secrets_of(service: Api) -> Iterator[str]:
    """Make, rotate, misuse and mistype keys; yield the secret part of each."""
    admin = {"Authorization": f"Bearer {service.key}"}
    named = {**admin, "Idempotency-Key": "k"}
    made = service.client.post("/v1/keys", json={"name": "a", "scope": "write"}, headers=named).json()
    url = f"/v1/keys/{made['id']}/rotate"
    rotated = service.client.post(url, json={"overlap_hours": 1}, headers={**named, "Idempotency-Key": "r"}).json()
    for key in (service.key, made["key"], rotated["key"]):
        yield key[21:]
        for spoilt in (key, key[:-1], f"{key}x", key.swapcase()):
            service.client.get("/v1/keys", headers={"Authorization": f"Bearer {spoilt}"})
            service.client.post("/v1/jobs", content="{", headers={**JSON, "Authorization": f"Bearer {spoilt}"})
    service.client.delete(f"/v1/keys/{made['id']}", headers=admin)
    service.client.get("/v1/keys", headers={"Authorization": f"Bearer {made['key']}"})


def test_no_secret_is_written_down_or_told_again(service: Api, capsys: pytest.CaptureFixture[str]):
    secrets = list(secrets_of(service))
    told = capsys.readouterr()
    listed = service.client.get("/v1/keys").text + json.dumps(service.client.get("/v1/keys/self").json())
    files = [path for path in service.home.rglob("*") if path.is_file() and path != service.parts.settings.first_key]
    stored = {path.name: path.read_bytes() for path in files} | {"log": (told.out + told.err + listed).encode()}
    assert "fastmtl.sqlite3" in stored and "request" in told.out
    assert [(name, secret) for name, held in stored.items() for secret in secrets if secret.encode() in held] == []
    hashed = [key.hash for key in service.parts.keys.page(service.parts.keys.tenant(DEFAULT_TENANT).id, 9, None).items]
    assert (len(hashed), ApiKey.__table__.columns.keys().count("key")) == (3, 0)
