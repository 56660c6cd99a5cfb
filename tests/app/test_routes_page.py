"""The page over HTTP: what a browser is told, and the cookie that a key is exchanged for."""

from __future__ import annotations

import gzip
import json

import pytest
from httpx2 import Response
from service import Api, api

from app.auth import COOKIE
from app.keys import DEFAULT_TENANT, Scope
from app.logs import _cut_secrets

OURS = {"Sec-Fetch-Site": "same-origin"}


@pytest.fixture
def visitor(service: Api) -> Api:
    """A browser that has signed in, and sends no key."""
    key = service.client.headers.pop("Authorization").removeprefix("Bearer ")
    assert sign_in(service, key).status_code == 204
    return service


def sign_in(service: Api, key: str, **headers: str) -> Response:
    return service.client.post("/session", json={"key": key}, headers={**OURS, **headers})


@pytest.mark.parametrize("name", ["/", "/docs", "main.js", "style.css", "vendor/uPlot.js"])
def test_every_file_comes_under_the_policy(service: Api, name: str):
    service.client.headers.pop("Authorization")
    answer = service.client.get(name if name[0] == "/" else f"/pages/{service.parts.page.version}/{name}")
    assert answer.status_code == 200
    told = {key: answer.headers[key] for key in ("x-content-type-options", "referrer-policy", "cache-control")}
    kept = "no-cache" if name[0] == "/" else "public, max-age=31536000, immutable"
    assert told == {
        **{"x-content-type-options": "nosniff", "referrer-policy": "same-origin", "cache-control": kept},
    }
    assert answer.headers["content-security-policy"] == (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    )


def test_what_the_browser_has_is_not_sent_again(service: Api):
    etag = service.client.get("/").headers["ETag"]
    again = service.client.get("/", headers={"If-None-Match": etag})
    assert (again.status_code, again.content, again.headers["ETag"]) == (304, b"", etag)


def test_it_is_sent_gzipped_to_who_takes_that(service: Api):
    with service.client.stream("GET", "/", headers={"Accept-Encoding": "br, gzip"}) as answer:
        body = b"".join(answer.iter_raw())
    plain = service.client.get("/", headers={"Accept-Encoding": "identity"})
    assert (answer.headers["Content-Encoding"], gzip.decompress(body)) == ("gzip", plain.content)


@pytest.mark.parametrize("path", ["/pages/0000/main.js", "/pages/{version}/none.js", "/pages/{version}/../settings.py"])
def test_another_versions_files_are_not_there(service: Api, path: str):
    assert service.client.get(path.format(version=service.parts.page.version)).status_code == 404


@pytest.mark.parametrize(("base", "secure"), [("http://testserver", False), ("https://testserver", True)])
def test_the_cookie_is_kept_from_scripts_and_from_other_sites(service: Api, base: str, secure: bool):
    service.client.base_url = base
    answer = sign_in(service, service.key)
    name, *attributes = answer.headers["Set-Cookie"].split("; ")
    wanted = {"HttpOnly", "SameSite=strict", "Path=/", "Max-Age=43200", *(["Secure"] if secure else [])}
    assert (name.partition("=")[0], set(attributes)) == (COOKIE, wanted)
    assert (answer.status_code, answer.content, answer.headers["Cache-Control"]) == (204, b"", "no-store")
    assert service.key not in answer.headers["Set-Cookie"]


def test_the_cookie_counts_as_the_key_does(visitor: Api):
    assert visitor.client.get("/v1/keys/self").json()["key"]["name"] == "first"
    assert visitor.client.post("/v1/datasets", content="text,label\na,b\nc,d\n", headers=OURS).status_code == 201


def test_a_key_in_the_header_wins_over_the_cookie(visitor: Api):
    assert visitor.client.get("/v1/jobs", headers={"Authorization": "Bearer x"}).status_code == 401


@pytest.mark.parametrize("headers", [{}, {"Sec-Fetch-Site": "cross-site"}, {"Origin": "https://elsewhere.example"}])
@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", "/v1/jobs"), ("DELETE", "/session"), ("POST", "/session"), ("DELETE", "/v1/jobs/" + "0" * 32)],
)
def test_another_page_changes_nothing(visitor: Api, method: str, path: str, headers: dict[str, str]):
    body = {"json": {"key": visitor.key}} if path == "/session" and method == "POST" else {}
    answer = visitor.client.request(method, path, headers=headers, **body)
    assert (answer.status_code, answer.headers["Content-Type"]) == (403, "application/problem+json")
    assert answer.json()["type"] == "urn:fastmtl:problem:forbidden"
    assert visitor.client.get("/v1/jobs").status_code == 200


def test_a_method_in_a_header_does_not_get_around_that(visitor: Api):
    place = visitor.client.post(
        "/v1/uploads", headers={**OURS, "Tus-Resumable": "1.0.0", "Upload-Length": "9"}
    ).headers["Location"]
    told = {"Tus-Resumable": "1.0.0", "X-HTTP-Method-Override": "DELETE"}
    assert [visitor.client.post(place, headers={**told, **more}).status_code for more in ({}, OURS)] == [403, 204]


def test_the_cookie_may_what_its_key_may(service: Api):
    tenant = service.parts.keys.tenant(DEFAULT_TENANT).id
    reader = service.parts.keys.create(tenant, "reader", Scope.READ)
    service.client.headers.pop("Authorization")
    sign_in(service, reader.text)
    told = [service.client.get("/v1/jobs").status_code, service.client.post("/v1/jobs", headers=OURS).status_code]
    service.parts.keys.revoke(tenant, reader.record.id)
    assert [*told, service.client.get("/v1/jobs").status_code] == [200, 403, 401]


def test_who_signs_out_is_out(visitor: Api):
    kept = dict(visitor.client.cookies)
    answer = visitor.client.delete("/session", headers=OURS)
    assert (answer.status_code, dict(visitor.client.cookies)) == (204, {})
    visitor.client.cookies.update(kept)  # whoever copied it has nothing
    assert visitor.client.get("/v1/jobs").json()["detail"] == "this session has ended: sign in again"


@pytest.mark.parametrize(("body", "status"), [('{"key": "x"}', 401), ("{}", 422), ("{", 422), ('{"key": 1}', 422)])
def test_without_a_key_nobody_is_let_in(service: Api, body: str, status: int):
    answer = service.client.post("/session", content=body, headers={**OURS, "Content-Type": "application/json"})
    assert (answer.status_code, answer.headers.get("Set-Cookie")) == (status, None)
    assert answer.headers["Content-Type"] == "application/problem+json"


def test_guesses_and_the_cookies_requests_are_counted(tmp_path):
    with api(tmp_path, rate_limit="3/minute") as client:
        service = Api(client, tmp_path)
        client.headers.pop("Authorization")
        sign_in(service, service.key)  # counts for the address
        used = [client.get("/v1/jobs").status_code for _ in range(4)]  # count for the key
        guesses = [sign_in(service, "guess").status_code for _ in range(3)]
        assert (used, guesses) == ([200, 200, 200, 429], [401, 401, 429])


def test_an_open_service_is_changed_by_no_other_page(tmp_path):
    with api(tmp_path, auth="off") as client:
        body = {"content": "text,label\na,b\nc,d\n"}
        elsewhere = {"Sec-Fetch-Site": "cross-site", "Origin": "https://elsewhere.example"}
        told = [client.post("/v1/datasets", headers=headers, **body).status_code for headers in ({}, OURS, elsewhere)]
        assert told == [201, 201, 403]


def test_neither_key_nor_token_is_logged_or_stored(visitor: Api, capsys: pytest.CaptureFixture[str]):
    token = visitor.client.cookies[COOKIE]
    sign_in(visitor, visitor.key + "x")
    visitor.client.get("/v1/jobs")
    visitor.client.delete("/session", headers=OURS)
    told = capsys.readouterr()
    files = [path for path in visitor.home.rglob("*") if path.is_file() and path.name != "api-key"]
    stored = {path.name: path.read_bytes() for path in files} | {"log": (told.out + told.err).encode()}
    assert "request" in told.out
    secrets = (token, token.partition(".")[2], visitor.key[21:])
    assert [(name, secret) for name, held in stored.items() for secret in secrets if secret.encode() in held] == []


def test_a_line_that_holds_a_token_loses_it(service: Api):
    token = service.parts.sessions.begin(service.key).token
    assert json.loads(_cut_secrets(None, "", json.dumps({"at": f"cookie {token};"}))) == {
        "at": "cookie fastmtl-session.[cut];"
    }
