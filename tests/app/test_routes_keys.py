"""Keys over HTTP."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from service import Api, api

from app import tenants
from app.keys import DEFAULT_TENANT

UNKNOWN = "6f0e2f6c-3b0a-4c58-9a55-0f3d1b2c4d5e"


def make(service: Api, **body: object) -> dict:
    answer = service.client.post("/v1/keys", json={"name": "nightly", "scope": "write", **body})
    assert answer.status_code == 201, answer.text
    return answer.json()


def status_with(service: Api, key: str) -> int:
    return service.client.get("/v1/keys/self", headers={"Authorization": f"Bearer {key}"}).status_code


def test_a_key_is_shown_once(service: Api):
    answer = service.client.post("/v1/keys", json={"name": "nightly", "scope": "write", "expires_in_days": 90})
    made = answer.json()
    shown = {name: value for name, value in made.items() if name != "key"}
    assert (answer.status_code, answer.headers["Cache-Control"]) == (201, "no-store")
    assert {**shown, "id": None, "created_at": None, "expires_at": None} == {
        **{"id": None, "name": "nightly", "prefix": made["key"][8:20], "scope": "write", "active": True},
        **{"created_at": None, "expires_at": None, "revoked_at": None, "used_at": None, "replaced_by": None},
    }
    lasts = datetime.fromisoformat(made["expires_at"]) - datetime.fromisoformat(made["created_at"])
    assert abs(lasts - timedelta(days=90)) < timedelta(minutes=1)
    assert service.client.get("/v1/keys").json()["items"][0] == shown
    assert status_with(service, made["key"]) == 200


def test_a_key_ends_when_it_is_told_to(service: Api):
    ends = datetime.now(UTC) + timedelta(days=1)
    assert datetime.fromisoformat(make(service, expires_at=ends.isoformat())["expires_at"]) == ends
    assert make(service)["expires_at"] is None


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"name": None}, "name"),
        ({"name": ""}, "name"),
        ({"name": "a\nb"}, "name"),
        ({"scope": "lord"}, "scope"),
        ({"expires_in_days": 0}, "expires_in_days"),
        ({"expires_at": "2030-01-31T12:00:00"}, "expires_at"),
        ({"expires_at": "2001-01-31T12:00:00Z"}, "body"),
        ({"expires_at": "2130-01-31T12:00:00Z", "expires_in_days": 3}, "body"),
        ({"key": "fastmtl_mine"}, "key"),
    ],
)
def test_what_cannot_be_a_key_is_refused(service: Api, body: dict, field: str):
    answer = service.client.post("/v1/keys", json={"name": "nightly", "scope": "write", **body})
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, field)
    assert len(service.client.get("/v1/keys").json()["items"]) == 1


def test_an_unknown_field_is_told_with_the_known_ones(service: Api):
    answer = service.client.post("/v1/keys", json={"name": "a", "scope": "read", "expires_in_day": 3})
    told = answer.json()["errors"][0]
    assert (told["message"], told["known"]) == (
        "unknown field 'expires_in_day'; did you mean 'expires_in_days'?",
        ["expires_at", "expires_in_days", "name", "scope"],
    )


def test_a_rotated_key_counts_for_a_while_beside_the_new_one(service: Api):
    old = make(service)
    new = service.client.post(f"/v1/keys/{old['id']}/rotate", json={"overlap_hours": 2})
    assert (new.status_code, new.headers["Cache-Control"], new.json()["name"]) == (201, "no-store", "nightly")
    assert [status_with(service, each) for each in (old["key"], new.json()["key"])] == [200, 200]
    at_once = service.client.post(f"/v1/keys/{new.json()['id']}/rotate", json={"overlap_hours": 0})
    assert [status_with(service, each) for each in (new.json()["key"], at_once.json()["key"])] == [401, 200]


def test_a_key_that_was_replaced_is_not_rotated_again_and_is_told_by_which(service: Api):
    old = make(service)
    new = service.client.post(f"/v1/keys/{old['id']}/rotate").json()
    shown = {each["id"]: each for each in service.client.get("/v1/keys").json()["items"]}
    again = service.client.post(f"/v1/keys/{old['id']}/rotate", json={"overlap_hours": 0})
    told = f"this key was replaced by the key {new['id']}: rotate that one, or make a new one"
    assert (again.status_code, again.json()["detail"], shown[old["id"]]["replaced_by"]) == (409, told, new["id"])
    assert {each["id"]: each for each in service.client.get("/v1/keys").json()["items"]} == shown
    assert service.client.delete(f"/v1/keys/{old['id']}").json()["active"] is False


def test_a_rotation_that_is_asked_for_again_under_its_name_is_told_that_it_was_done(service: Api):
    old, named = make(service), {"Idempotency-Key": "abc"}
    answers = [service.client.post(f"/v1/keys/{old['id']}/rotate", headers=named) for _ in range(2)]
    assert [each.status_code for each in answers] == [201, 409]
    assert answers[1].json()["type"] == "urn:fastmtl:problem:answer-not-kept"


def test_revoking_shows_the_record_and_can_be_said_twice(service: Api):
    made = make(service)
    answers = [service.client.delete(f"/v1/keys/{made['id']}") for _ in range(2)]
    assert [(each.status_code, each.json()["active"]) for each in answers] == [(200, False)] * 2
    assert answers[0].json() == answers[1].json()
    assert status_with(service, made["key"]) == 401


def test_the_last_admin_key_is_not_revoked_over_http(service: Api):
    own = service.client.get("/v1/keys/self").json()["key"]["id"]
    refused = service.client.delete(f"/v1/keys/{own}")
    assert (refused.status_code, refused.json()["type"]) == (409, "urn:fastmtl:problem:conflict")
    other = make(service, scope="admin")
    assert service.client.delete(f"/v1/keys/{own}").status_code == 200
    service.client.headers["Authorization"] = f"Bearer {other['key']}"
    assert service.client.delete(f"/v1/keys/{other['id']}").status_code == 409


@pytest.mark.parametrize(
    ("method", "path"), [("DELETE", f"/v1/keys/{UNKNOWN}"), ("POST", f"/v1/keys/{UNKNOWN}/rotate")]
)
def test_a_key_that_is_not_there_is_not_found(service: Api, method: str, path: str):
    assert service.client.request(method, path).status_code == 404


def test_a_key_is_made_once_however_often_it_is_asked_for(service: Api):
    body, named = {"name": "once", "scope": "read"}, {"Idempotency-Key": "abc"}
    first = service.client.post("/v1/keys", json=body, headers=named)
    again = service.client.post("/v1/keys", json=body, headers=named)
    assert (first.status_code, again.status_code, again.json()["type"]) == (
        201,
        409,
        "urn:fastmtl:problem:answer-not-kept",
    )
    assert [each["name"] for each in service.client.get("/v1/keys").json()["items"]] == ["once", "first"]


def test_pages_of_keys_lead_to_one_another(service: Api):
    names = [make(service, name=str(number))["name"] for number in range(4)]
    page = service.client.get("/v1/keys?limit=3").json()
    rest = service.client.get("/v1/keys", params={"limit": 3, "cursor": page["next_cursor"]}).json()
    assert [each["name"] for each in [*page["items"], *rest["items"]]] == [*names[::-1], "first"]
    assert rest["next_cursor"] is None


def test_a_key_says_whose_it_is_and_what_is_left(tmp_path):
    with api(tmp_path, quota_rows=100, rate_limit="60/minute") as client:
        service = Api(client, tmp_path)
        dataset = service.upload()
        with service.parts.database.transaction() as session:
            tenants.find(session, DEFAULT_TENANT).max_bytes = 5000
        told = service.client.get("/v1/keys/self").json()
        key = told.pop("key")
        assert (key["name"], key["scope"], key["active"], key["used_at"] is not None) == ("first", "admin", True, True)
        assert told == {
            **{"tenant": "default", "scope": "admin", "rate_limit": "60/minute"},
            "quotas": {
                "bytes": {"used": dataset["bytes"], "limit": 5000},
                "rows": {"used": 3, "limit": 100},
                "live_jobs": {"used": 0, "limit": None},
                "priority": {"used": 0, "limit": 9},
            },
        }
