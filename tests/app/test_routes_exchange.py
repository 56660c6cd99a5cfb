"""Requests under an Idempotency-Key, over HTTP: answered twice, done once."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import TypeVar

import pytest
from fastapi import APIRouter, Response
from httpx2 import Response as Answer
from service import CSV, Api, api
from sqlalchemy import select, update

from app.auth import Writer
from app.clock import now
from app.errors import Conflict
from app.keys import Scope
from app.main import create_app
from app.models import Dataset, IdempotentAnswer, Job, PartialUpload
from app.routes.exchange import SMALL_BYTES, key_of
from app.routes.route import ResourceId, ServiceRoute
from app.settings import Settings

T = TypeVar("T")
KEY = "Idempotency-Key"
LARGE = "text,label\n" + "".join(f"{row} {'word ' * 200},{('no', 'yes')[row % 2]}\n" for row in range(1101))


def post(service: Api, path: str, key: str, **request: object) -> Answer:
    headers = {KEY: key, **request.pop("headers", {})}  # type: ignore[dict-item]
    return service.client.post(path, headers=headers, **request)  # type: ignore[arg-type]


def problem(answer: Answer) -> tuple[int, str]:
    return answer.status_code, answer.json()["type"].rpartition(":")[2]


def told(answer: Answer) -> dict[str, str]:
    """The headers, without those that name the request and not what it asked for."""
    return {name: value for name, value in answer.headers.items() if name not in ("x-request-id", "date", "server")}


def change(service: Api, **values: object) -> None:
    """Change every row of answers, as a crash or the time would have."""
    with service.parts.database.transaction() as session:
        session.execute(update(IdempotentAnswer).values(**values))


def crash(service: Api) -> None:
    """Make of answered requests such as whose process died before the answer was kept."""
    change(service, status=None, headers=None, body=None, held_until=now() - timedelta(seconds=1))


def count(service: Api, table: type) -> int:
    with service.parts.database.reading() as session:
        return len(session.scalars(select(table)).all())


def test_a_job_is_made_once_and_answered_the_same_byte_for_byte(service: Api):
    body = service.request()
    first, second = [post(service, "/v1/jobs", "a", json=body) for _ in range(2)]
    assert (second.status_code, second.content) == (202, first.content)
    assert told(second) == {**told(first), "idempotent-replayed": "true"}
    assert first.headers["Location"].endswith(first.json()["id"])
    assert count(service, Job) == 1


def test_a_dataset_is_made_once_however_it_is_sent(service: Api):
    first = post(service, "/v1/datasets?name=x", "a", content=CSV)
    second = post(service, "/v1/datasets?name=x", '"a"', content=iter([CSV[:10].encode(), CSV[10:].encode()]))
    assert (first.status_code, second.status_code, second.content) == (201, 201, first.content)
    assert count(service, Dataset) == 1


def test_an_upload_in_parts_is_begun_once_and_the_answer_to_a_lost_attempt_says_where_to_go_on(service: Api):
    said = {"Tus-Resumable": "1.0.0", "Upload-Length": str(len(CSV)), "Content-Type": "application/offset+octet-stream"}
    first, again = (post(service, "/v1/uploads", "a", headers=said, content=CSV[:9]) for _ in range(2))
    crash(service)
    lost = post(service, "/v1/uploads", "a", headers=said, content=CSV[:9])
    assert told(again) == {**told(first), "idempotent-replayed": "true"}
    assert [(each.status_code, each.headers["Upload-Offset"]) for each in (first, lost)] == [(201, "9")] * 2
    assert (lost.headers["Location"], count(service, PartialUpload)) == (first.headers["Location"], 1)


def test_without_a_key_and_under_another_key_it_is_another_request(service: Api):
    body = service.request()
    answers = [post(service, "/v1/jobs", key, json=body) for key in ("a", "b")]
    answers.append(service.client.post("/v1/jobs", json=body))
    assert len({each.json()["id"] for each in answers}) == 3


def test_a_key_stands_for_one_body_one_path_and_one_query(service: Api):
    body = service.request()
    job = post(service, "/v1/jobs", "a", json=body).json()
    others = [
        post(service, "/v1/jobs", "a", json={**body, "name": "other"}),
        post(service, "/v1/jobs?x=1", "a", json=body),
        post(service, f"/v1/jobs/{job['id']}/cancel", "a"),
        post(service, "/v1/datasets", "a", content=CSV),
    ]
    assert [problem(each) for each in others] == [(422, "idempotency-key-reused")] * 4
    assert (service.job(job)["status"], count(service, Job), count(service, Dataset)) == ("queued", 1, 2)


def test_a_request_in_flight_is_told_to_come_again(service: Api):
    body = service.request()
    post(service, "/v1/jobs", "a", json=body)
    change(service, status=None, held_until=now() + timedelta(seconds=30))
    answer = post(service, "/v1/jobs", "a", json=body)
    assert (problem(answer), answer.headers["Retry-After"]) == ((409, "in-flight"), "1")


def test_after_a_crash_the_job_that_was_made_is_the_answer(service: Api):
    body = service.request()
    first = post(service, "/v1/jobs", "a", json=body)
    crash(service)
    service.client.post(first.headers["Location"] + "/cancel")
    again = post(service, "/v1/jobs", "a", json=body)
    assert (again.status_code, again.json()["id"], again.json()["status"]) == (202, first.json()["id"], "cancelled")
    assert (again.headers["Location"], count(service, Job)) == (first.headers["Location"], 1)
    assert post(service, "/v1/jobs", "a", json=body).content == again.content


def test_after_a_crash_the_dataset_that_was_made_is_the_answer_but_not_to_another_file(service: Api):
    first = post(service, "/v1/datasets", "a", content=CSV)
    files = service.traces()
    crash(service)
    assert problem(post(service, "/v1/datasets", "a", content=CSV + "a fish,no\n")) == (422, "idempotency-key-reused")
    again = post(service, "/v1/datasets", "a", content=CSV)
    assert (again.status_code, again.content, service.traces()) == (201, first.content, files)


def in_pieces(text: str) -> Iterator[bytes]:
    """A body that is more than is read ahead, as it comes over a network."""
    assert len(text) > SMALL_BYTES
    return (text[start : start + 65_536].encode() for start in range(0, len(text), 65_536))


def test_a_large_body_is_compared_as_it_comes(service: Api):
    first = post(service, "/v1/datasets", "a", content=in_pieces(LARGE))
    second = post(service, "/v1/datasets", "a", content=in_pieces(LARGE))
    assert (first.status_code, second.content, second.headers["Idempotent-Replayed"]) == (201, first.content, "true")
    other = post(service, "/v1/datasets", "a", content=in_pieces(LARGE[:-4] + "yes\n"))
    assert (problem(other), count(service, Dataset)) == ((422, "idempotency-key-reused"), 1)


def test_after_a_crash_a_large_body_is_compared_before_anything_is_made_of_it(service: Api):
    first = post(service, "/v1/datasets", "a", content=in_pieces(LARGE))
    crash(service)
    files = service.traces()
    other = post(service, "/v1/datasets", "a", content=in_pieces(LARGE[:-4] + "yes\n"))
    assert (problem(other), service.traces()) == ((422, "idempotency-key-reused"), files)
    again = post(service, "/v1/datasets", "a", content=in_pieces(LARGE))
    assert (again.content, service.traces()) == (first.content, files)


def test_what_is_wrong_with_a_request_is_kept_too(service: Api):
    wrong = [post(service, "/v1/jobs", "a", json={"primary": "x"}) for _ in range(2)]
    bad = [post(service, "/v1/datasets", "b", content="text,label\n,1\n") for _ in range(2)]
    for first, second in (wrong, bad):
        assert (first.status_code, second.content) == (422, first.content)
        assert (second.headers["Idempotent-Replayed"], second.headers["Content-Type"]) == (
            "true",
            "application/problem+json",
        )


def test_who_may_not_is_told_so_and_the_key_stays_free(service: Api):
    body = service.request()
    tenant = service.parts.keys.authenticate(service.key).tenant_id
    reader = service.parts.keys.create(tenant, "reader", Scope.READ).text
    for key, status in ((reader, 403), ("fastmtl_no", 401)):
        refused = post(service, "/v1/jobs", "a", json=body, headers={"Authorization": f"Bearer {key}"})
        assert (refused.status_code, count(service, IdempotentAnswer)) == (status, 0)
    assert post(service, "/v1/jobs", "a", json=body).status_code == 202
    late = post(service, "/v1/jobs", "a", json=body, headers={"Authorization": f"Bearer {reader}"})
    assert late.status_code == 403


def test_another_tenants_key_of_the_same_name_is_another_key(service: Api):
    other = service.parts.keys.create(service.parts.keys.tenant("bob's", make=True).id, "bob", Scope.WRITE).text
    mine = post(service, "/v1/datasets", "a", content=CSV)
    his = post(
        service, "/v1/datasets", "a", content="text,label\na,1\nb,0\n", headers={"Authorization": f"Bearer {other}"}
    )
    assert (mine.status_code, his.status_code) == (201, 201)
    assert mine.json()["id"] != his.json()["id"]


def test_a_key_counts_for_a_day(service: Api):
    body = service.request()
    first = post(service, "/v1/jobs", "a", json=body)
    change(service, created_at=now() - timedelta(hours=23, minutes=59))
    assert post(service, "/v1/jobs", "a", json=body).content == first.content
    change(service, created_at=now() - timedelta(hours=24, minutes=1))
    assert post(service, "/v1/jobs", "a", json=body).json()["id"] != first.json()["id"]


@pytest.mark.parametrize(
    ("values", "key"),
    [(["abc"], "abc"), (['"abc"'], "abc"), ([' "a\\"b\\\\c" '], 'a"b\\c'), (["x" * 255], "x" * 255), (["a,b"], "a,b")],
)
def test_a_key_is_read_quoted_or_bare(values: list[str], key: str):
    assert key_of(values) == key


def test_an_odd_path_is_noted_as_it_was_sent(service: Api):
    answers = [post(service, "/v1/jobs/%00%ff/cancel?x=%00", "a") for _ in range(2)]
    told = [(each.status_code, "Idempotent-Replayed" in each.headers) for each in answers]
    assert told == [(422, False), (422, True)]
    with service.parts.database.reading() as session:
        assert session.scalars(select(IdempotentAnswer.request)).all() == ["POST /v1/jobs/%00%ff/cancel?x=%00"]


@pytest.mark.parametrize("key", ["", '""', "a b", "x" * 256, "\xe9"])
def test_a_key_that_is_none_is_refused(service: Api, key: str):
    answer = post(service, "/v1/datasets", key.encode("latin-1"), content=CSV)  # type: ignore[arg-type]
    assert (problem(answer), count(service, Dataset)) == ((400, "bad-idempotency-key"), 0)


def test_two_keys_are_none(service: Api):
    answer = service.client.post("/v1/datasets", headers=[(KEY, "a"), (KEY, "b")], content=CSV)
    assert problem(answer) == (400, "bad-idempotency-key")


def odd_routes(calls: list[str]) -> APIRouter:
    """Routes whose answers are not kept, or not as they are."""
    router = APIRouter(prefix="/v1/odd", route_class=ServiceRoute)

    @router.post("/{kind}")
    def odd(kind: str, caller: Writer, made: ResourceId) -> Response:
        calls.append(f"{kind} {made}")
        if kind == "busy":
            raise Conflict("too many jobs", headers={"Retry-After": "5"})
        if kind == "broken":
            raise RuntimeError("our mistake")
        status, size = (int(each) for each in kind.split("-")[:2])
        return Response(b"x" * size, status, headers={"Cache-Control": "no-store"} if "secret" in kind else {})

    return router


@pytest.fixture
def calls(service: Api) -> list[str]:
    found: list[str] = []
    service.client.app.include_router(odd_routes(found))  # type: ignore[attr-defined]
    return found


@pytest.mark.parametrize("kind", ["401-1", "403-1", "413-1", "423-1", "429-1", "422-1-secret", "busy"])
def test_a_refusal_of_the_moment_is_not_kept_and_frees_the_key(service: Api, calls: list[str], kind: str):
    answers = [post(service, f"/v1/odd/{kind}", "a") for _ in range(2)]
    assert ["Idempotent-Replayed" in each.headers for each in answers] == [False, False]
    assert (len(set(calls)), count(service, IdempotentAnswer)) == (2, 0)


@pytest.mark.parametrize("kind", ["500-1", "503-1", "507-1", "broken", f"200-{SMALL_BYTES + 1}"])
def test_after_a_failure_the_next_attempt_makes_the_same_thing(service: Api, calls: list[str], kind: str):
    answers = [post(service, f"/v1/odd/{kind}", "a") for _ in range(2)]
    assert [len(each.content) for each in answers] == [len(answers[0].content)] * 2
    assert ["Idempotent-Replayed" in each.headers for each in answers] == [False, False]
    assert (len(calls), len(set(calls))) == (2, 1)


@pytest.mark.parametrize("kind", ["200-0", "404-1", "409-1", f"200-{SMALL_BYTES}"])
def test_an_answer_that_would_be_the_same_is_kept(service: Api, calls: list[str], kind: str):
    answers = [post(service, f"/v1/odd/{kind}", "a") for _ in range(2)]
    assert (answers[1].content, len(calls)) == (answers[0].content, 1)


def test_a_secret_is_given_once_and_kept_nowhere(service: Api, calls: list[str]):
    assert post(service, "/v1/odd/200-8-secret", "a").content == b"x" * 8
    assert problem(post(service, "/v1/odd/200-8-secret", "a")) == (409, "answer-not-kept")
    with service.parts.database.reading() as session:
        assert session.scalars(select(IdempotentAnswer.body)).all() == [None]
    assert len(calls) == 1


def test_every_post_is_done_once_and_says_so(tmp_path):
    """A new router must take ServiceRoute as its route_class, and its POSTs ask for an API key."""
    for path, operations in create_app(Settings(home=tmp_path)).openapi()["paths"].items():
        if "post" in operations:
            assert KEY in {each["name"] for each in operations["post"].get("parameters", [])}, path
            assert {"400", "409", "422"} <= set(operations["post"]["responses"]), path


def test_a_request_that_is_worked_on_for_long_stays_held(tmp_path):
    goes_on = threading.Event()
    with api(tmp_path, heartbeat_seconds=0.05) as client, ThreadPoolExecutor(1) as pool:
        service = Api(client, tmp_path)
        client.app.include_router(slow_route(goes_on))  # type: ignore[attr-defined]
        first = pool.submit(post, service, "/v1/slow", "a")
        begun = until(lambda: held_until(service), lambda found: found is not None)
        until(lambda: held_until(service), lambda found: found > begun)
        meanwhile = post(service, "/v1/slow", "a")
        goes_on.set()
        assert (problem(meanwhile), first.result().status_code) == ((409, "in-flight"), 200)


def slow_route(goes_on: threading.Event) -> APIRouter:
    router = APIRouter(route_class=ServiceRoute)

    @router.post("/v1/slow")
    def slow(caller: Writer) -> dict[str, bool]:
        return {"done": goes_on.wait(60)}

    return router


def held_until(service: Api) -> datetime | None:
    with service.parts.database.reading() as session:
        return session.scalar(select(IdempotentAnswer.held_until))


def until(look: Callable[[], T], wanted: Callable[[T], bool]) -> T:
    end = time.monotonic() + 60
    while not wanted(found := look()):
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.02)
    return found
