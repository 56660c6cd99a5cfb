"""Uploads in parts: what tus 1.0 says of every request, and what becomes of a whole file."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import pytest
from httpx2 import Response
from service import CSV, Api

from app.models import PartialUpload

BYTES = CSV.encode()
PART = "application/offset+octet-stream"
TUS = {"Tus-Resumable": "1.0.0"}


def metadata(**fields: str) -> str:
    return ",".join(f"{name} {base64.b64encode(value.encode()).decode()}" for name, value in fields.items())


def create(service: Api, length: int = len(BYTES), **fields: str) -> str:
    """Create an upload and return its path."""
    told = {"Upload-Metadata": metadata(**fields)} if fields else {}
    answer = service.client.post("/v1/uploads", headers={**TUS, "Upload-Length": str(length), **told})
    assert answer.status_code == 201, answer.text
    return answer.headers["Location"]


def send(service: Api, path: str, offset: int, body: bytes | Iterator[bytes], **headers: str) -> Response:
    said = {**TUS, "Upload-Offset": str(offset), "Content-Type": PART}
    return service.client.patch(path, content=body, headers=said | {k.replace("_", "-"): v for k, v in headers.items()})


def offset(service: Api, path: str) -> int:
    return int(service.client.head(path, headers=TUS).headers["Upload-Offset"])


def stored(service: Api) -> list[str]:
    """The files of uploads and of what comes in."""
    root = service.home / "storage"
    return [str(path) for name in ("uploads", "incoming") for path in (root / name).rglob("*") if path.is_file()]


def test_a_file_in_parts_becomes_the_dataset_that_it_would_be_in_one(service: Api):
    path = create(service, filename="cats.csv", label="label")
    answers = [send(service, path, start, BYTES[start : start + 20]) for start in range(0, len(BYTES), 20)]
    assert [each.status_code for each in answers] == [204] * len(answers)
    assert [each.headers["Upload-Offset"] for each in answers][:2] == ["20", "40"]
    dataset = service.client.get(answers[-1].headers["FastMTL-Dataset"]).json()
    whole = service.upload(name="cats")
    names = ("name", "digest", "sha256", "bytes", "columns")
    assert [dataset[name] for name in names] == [whole[name] for name in names]
    told = service.client.get(path).json()
    assert (told["state"], told["dataset"], told["offset"]) == ("done", dataset["id"], len(BYTES))
    assert stored(service) == []


def test_what_can_be_done_is_said_before_anything_is_sent(service: Api):
    answer = service.client.options("/v1/uploads")
    told = {name: value for name, value in answer.headers.items() if name.lower().startswith("tus-")}
    assert answer.status_code == 204
    assert told == {
        "tus-resumable": "1.0.0",
        "tus-version": "1.0.0",
        "tus-extension": "creation,creation-with-upload,expiration,checksum,termination",
        "tus-max-size": str(4096 * 2**20),
        "tus-checksum-algorithm": "sha256,sha1",
    }


def test_a_head_tells_where_to_go_on_and_what_was_said_of_the_file(service: Api):
    path = create(service, filename="cats.csv")
    send(service, path, 0, BYTES[:7])
    answer = service.client.head(path, headers=TUS)
    names = ("Upload-Offset", "Upload-Length", "Upload-Metadata", "Cache-Control", "Tus-Resumable")
    expected = ["7", str(len(BYTES)), metadata(filename="cats.csv"), "no-store", "1.0.0"]
    assert [answer.headers[name] for name in names] == expected


def test_an_upload_can_begin_with_its_first_part(service: Api):
    said = {**TUS, "Upload-Length": str(len(BYTES)), "Content-Type": PART}
    begun = service.client.post("/v1/uploads", content=BYTES[:9], headers=said)
    assert (begun.status_code, begun.headers["Upload-Offset"]) == (201, "9")
    whole = service.client.post("/v1/uploads", content=BYTES, headers=said)
    assert (whole.status_code, "FastMTL-Dataset" in whole.headers) == (201, True)


@pytest.mark.parametrize(
    ("method", "changed", "status"),
    [
        ("POST", {"Tus-Resumable": "0.2.2"}, 412),
        ("POST", {"Tus-Resumable": None}, 412),
        ("POST", {"Upload-Length": None}, 422),
        ("POST", {"Upload-Length": "-1"}, 422),
        ("POST", {"Upload-Length": "0"}, 422),
        ("POST", {"Upload-Length": str(2**40)}, 413),
        ("POST", {"Upload-Metadata": "lable eA=="}, 422),
        ("POST", {"Upload-Metadata": "label eA==,label eA=="}, 400),
        ("POST", {"Upload-Metadata": "label ???"}, 400),
        ("POST", {"Upload-Metadata": "label /w=="}, 400),
        ("POST", {"Upload-Metadata": "kind eA=="}, 422),
        ("PATCH", {"Content-Type": "text/csv"}, 415),
        ("PATCH", {"Upload-Offset": None}, 422),
        ("PATCH", {"Upload-Offset": "3"}, 409),
        ("PATCH", {"Upload-Checksum": "md5 eA=="}, 400),
        ("PATCH", {"Upload-Checksum": "sha1 eA=="}, 400),
        ("PATCH", {"Upload-Checksum": "sha1 " + base64.b64encode(bytes(20)).decode()}, 460),
    ],
)
def test_what_the_protocol_does_not_take_is_a_problem_and_changes_nothing(
    service: Api, method: str, changed: dict[str, str | None], status: int
):
    path = "/v1/uploads" if method == "POST" else create(service)
    said = {**TUS, "Upload-Length": "10"} if method == "POST" else {**TUS, "Upload-Offset": "0", "Content-Type": PART}
    headers = {name: value for name, value in {**said, **changed}.items() if value is not None}
    before = stored(service)
    answer = service.client.request(
        method, path, content=b"text,label\n" if method == "PATCH" else None, headers=headers
    )
    assert (answer.status_code, answer.headers["Content-Type"]) == (status, "application/problem+json"), answer.text
    assert (answer.json()["status"], answer.headers["Tus-Resumable"]) == (status, "1.0.0")
    assert stored(service) == before
    assert method == "POST" or offset(service, path) == 0


def test_more_than_was_declared_is_refused_and_what_was_there_stays(service: Api):
    path = create(service, length=10)
    send(service, path, 0, b"text,")
    declared = send(service, path, 5, b"label\na,1\n")
    streamed = send(service, path, 5, iter([b"label\na,1\n"]))
    assert [declared.status_code, streamed.status_code, offset(service, path)] == [413, 413, 5]


@pytest.mark.parametrize("algorithm", ["sha1", "sha256"])
def test_a_part_with_the_checksum_that_it_declares_counts(service: Api, algorithm: str):
    path = create(service)
    digest = base64.b64encode(hashlib.new(algorithm, BYTES[:30]).digest()).decode()
    assert send(service, path, 0, BYTES[:30], Upload_Checksum=f"{algorithm} {digest}").status_code == 204
    assert offset(service, path) == 30


def test_a_file_that_is_refused_is_told_of_and_its_bytes_are_removed(service: Api):
    bad = b"text,label\na,1\n,0\n"
    path = create(service, length=len(bad))
    answer = send(service, path, 0, bad)
    assert (answer.status_code, answer.json()["errors"][0]["row"]) == (422, 1)
    told = service.client.get(path).json()
    errors = [{**each, "known": None} for each in answer.json()["errors"]]
    assert (told["state"], told["error"], stored(service)) == ("refused", {**answer.json(), "errors": errors}, [])
    assert send(service, path, len(bad), b"").json() == answer.json()
    assert service.client.head(path, headers=TUS).status_code == 410


@pytest.mark.parametrize(("declared", "status"), [(hashlib.sha256(BYTES).hexdigest(), 204), ("0" * 64, 422)])
def test_the_digest_of_the_whole_file_is_checked(service: Api, declared: str, status: int):
    path = create(service, sha256=declared)
    send(service, path, 0, BYTES[:20])
    answer = send(service, path, 20, BYTES[20:])
    assert answer.status_code == status
    if status == 422:
        found = {name: answer.json()["errors"][0][name] for name in ("declared", "found")}
        assert found == {"declared": declared, "found": hashlib.sha256(BYTES).hexdigest()}
        assert answer.json()["type"] == "urn:fastmtl:problem:digest-mismatch"


def test_a_deleted_upload_is_gone_with_its_bytes_and_its_dataset_stays(service: Api):
    half, whole = create(service), create(service)
    send(service, half, 0, BYTES[:20])
    dataset = send(service, whole, 0, BYTES).headers["FastMTL-Dataset"]
    assert [service.client.delete(path, headers=TUS).status_code for path in (half, whole)] == [204, 204]
    assert [service.client.get(path).status_code for path in (half, whole, dataset)] == [404, 404, 200]
    assert stored(service) == []


def test_a_post_may_stand_for_what_a_client_cannot_send(service: Api):
    path = create(service)
    said = {**TUS, "Upload-Offset": "0", "Content-Type": PART, "X-HTTP-Method-Override": "PATCH"}
    assert service.client.post(path, content=BYTES[:5], headers=said).headers["Upload-Offset"] == "5"
    assert service.client.post(path, headers={**TUS, "X-HTTP-Method-Override": "DELETE"}).status_code == 204


def test_an_upload_expires_a_day_after_its_last_part_and_is_swept_with_its_bytes(service: Api):
    path = create(service)
    send(service, path, 0, BYTES[:20])
    expires = parsedate_to_datetime(send(service, path, 20, b"").headers["Upload-Expires"])
    assert 86_390 < (expires - datetime.now(UTC)).total_seconds() <= 86_400
    with service.parts.database.transaction() as session:
        session.query(PartialUpload).update({"expires_at": datetime(2026, 1, 1, tzinfo=UTC)})
    assert service.client.head(path, headers=TUS).status_code == 404
    assert send(service, path, 20, BYTES[20:]).status_code == 404
    service.parts.uploads.sweep()
    with service.parts.database.reading() as session:
        assert (session.query(PartialUpload).count(), stored(service)) == (0, [])


def test_what_is_unfinished_is_listed_newest_first_and_gone_on_with(service: Api):
    first, second = create(service, filename="first.csv"), create(service, filename="second é.csv")
    send(service, first, 0, BYTES[:10])
    done, bad = create(service), create(service, length=4)
    send(service, done, 0, BYTES)
    assert send(service, bad, 0, b"a,b\n").status_code == 422
    page = service.client.get("/v1/uploads").json()
    told = [(each["filename"], each["state"], each["offset"], each["dataset"]) for each in page["items"]]
    assert told == [("second é.csv", "incomplete", 0, None), ("first.csv", "incomplete", 10, None)]
    assert [f"/v1/uploads/{each['id']}" for each in page["items"]] == [second, first]
    assert send(service, first, 10, BYTES[10:]).status_code == 204


def test_the_list_of_unfinished_uploads_has_pages(service: Api):
    made = [create(service).rpartition("/")[2] for _ in range(3)]
    first = service.client.get("/v1/uploads", params={"limit": 2}).json()
    second = service.client.get("/v1/uploads", params={"limit": 2, "cursor": first["next_cursor"]}).json()
    assert [each["id"] for page in (first, second) for each in page["items"]] == made[::-1]
    assert second["next_cursor"] is None


def test_an_upload_that_expired_is_not_listed(service: Api):
    create(service)
    with service.parts.database.transaction() as session:
        session.query(PartialUpload).update({"expires_at": datetime(2020, 1, 1, tzinfo=UTC)})
    assert service.client.get("/v1/uploads").json()["items"] == []
