"""A refusal is raised by its kind and carries what the service said."""

from __future__ import annotations

import httpx2
import pytest

from fastmtl.client import Client, errors
from fastmtl.client.errors import ServiceError, Unreachable
from fastmtl.errors import Problem

KINDS = [
    (400, "Invalid"),
    (401, "Unauthorized"),
    (403, "Forbidden"),
    (404, "NotFound"),
    (409, "Conflict"),
    (410, "NotFound"),
    (413, "Invalid"),
    (422, "Invalid"),
    (423, "Conflict"),
    (429, "TooManyRequests"),
    (500, "ServiceError"),
    (502, "Unavailable"),
    (503, "Unavailable"),
    (504, "Unavailable"),
    (507, "Unavailable"),
]


@pytest.mark.parametrize(("status", "kind"), KINDS)
def test_every_status_has_a_kind(status: int, kind: str):
    error = errors.refusal(httpx2.Response(status, json={"detail": "no"}))
    assert (type(error).__name__, error.status, str(error)) == (kind, status, "no")


def test_the_problem_is_carried_with_every_place():
    found = [{"message": "row 3: empty", "field": "text", "row": 3, "line": 5}, {"message": "more", "known": ["a"]}]
    problem = {"type": "urn:fastmtl:problem:invalid-dataset", "title": "No", "status": 422, "detail": "bad"}
    error = errors.refusal(httpx2.Response(422, json={**problem, "errors": found}))
    assert (error.kind, error.problem["errors"]) == ("invalid-dataset", found)
    assert error.errors == (Problem("row 3: empty", "text", 3, 5), Problem("more"))
    assert str(error) == "bad: row 3: empty: more"


@pytest.mark.parametrize(("said", "seconds"), [({"Retry-After": "7"}, 7.0), ({}, None)])
def test_when_to_come_again_is_told(said: dict[str, str], seconds: float | None):
    assert errors.refusal(httpx2.Response(429, headers=said, json={})).retry_after == seconds


@pytest.mark.parametrize("body", [b"<html>", b'"a text"', b"[1]"])
def test_an_answer_that_is_no_problem_is_named_by_its_status(body: bytes):
    assert str(errors.refusal(httpx2.Response(502, content=body))) == "HTTP 502"


def test_a_page_where_json_should_be_is_another_server():
    page = httpx2.Response(200, content=b"<html>", headers={"Content-Type": "text/html"})
    with pytest.raises(ServiceError, match="came as text/html: is this the address of the service"):
        errors.body(page)


def test_a_service_that_is_not_there_is_told_with_its_address():
    with (
        Client("http://127.0.0.1:9", retries=0) as client,
        pytest.raises(Unreachable, match=r"the service at http://127\.0\.0\.1:9 cannot be reached") as caught,
    ):
        client.job("1")
    assert isinstance(caught.value.__cause__, httpx2.TransportError)


def test_the_tree_at_the_top_names_every_class():
    classes = {
        name for name, each in vars(errors).items() if isinstance(each, type) and each.__module__ == errors.__name__
    }
    assert {name for name in classes if name not in str(errors.__doc__)} == set()
