"""Downloads over HTTP: whole, in parts, not again, and checked by other programs."""

from __future__ import annotations

import base64
import email
import hashlib
import io
import subprocess
import tarfile
from email.policy import HTTP
from pathlib import Path

import pytest
from service import Api

CONTENT = b"0123456789"
SHA256 = hashlib.sha256(CONTENT).hexdigest()
ETAG = f'"{SHA256}"'
NAME = 'odd "näme"\\ 100%;.bin'


@pytest.fixture
def url(service: Api) -> str:
    """The artifacts of a job with a file of ten bytes, an empty one and one of an odd name."""
    job = service.submit(compare=[])
    service.choose(job)
    service.finish(job, "target (selection)")
    service.finish(job, "finetune (selection)", {"model/ten.bin": CONTENT, "model/empty": b"", f"model/{NAME}": b"odd"})
    return f"/v1/jobs/{job['id']}/artifacts"


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_file_says_what_it_is(service: Api, url: str, method: str):
    answer = service.client.request(method, f"{url}/model/ten.bin")
    told = dict(answer.headers)
    told.pop("x-request-id")
    assert answer.status_code == 200
    assert told == {
        "content-type": "application/octet-stream",
        "content-length": "10",
        "etag": ETAG,
        "repr-digest": f"sha-256=:{base64.b64encode(bytes.fromhex(SHA256)).decode()}:",
        "accept-ranges": "bytes",
        "content-disposition": 'attachment; filename="ten.bin"',
        "x-content-type-options": "nosniff",
        "cache-control": "private, no-cache",
        "vary": "Authorization",
    }
    assert answer.content == (CONTENT if method == "GET" else b"")


def test_a_report_is_downloaded_and_never_opened_as_a_page_of_the_service(service: Api):
    job = service.submit(compare=[])
    service.choose(job)
    service.explain(job)
    for name in ("target (selection)", "finetune (selection)"):
        service.finish(job, name)
    service.finish(job, "report", {"report.html": b"<p>", "figures.json": b"{}", "figures/shares.svg": b"<svg/>"})
    url = f"/v1/jobs/{job['id']}/artifacts"
    assert {"report.html", "figures.json", "figures/shares.svg"} <= {
        each["name"] for each in service.client.get(url).json()["items"]
    }
    for name, media_type in (("report.html", "text/html; charset=utf-8"), ("figures/shares.svg", "image/svg+xml")):
        told = service.client.get(f"{url}/{name}").headers
        assert (told["content-type"], told["x-content-type-options"]) == (media_type, "nosniff")
        assert told["content-disposition"] == f'attachment; filename="{name.rpartition("/")[2]}"'


@pytest.mark.parametrize(
    ("headers", "status", "content", "place"),
    [
        ({"Range": "bytes=2-4"}, 206, b"234", "bytes 2-4/10"),
        ({"Range": "bytes=-3"}, 206, b"789", "bytes 7-9/10"),
        ({"Range": "bytes=8-20"}, 206, b"89", "bytes 8-9/10"),
        ({"Range": "bytes=2-4,50-"}, 206, b"234", "bytes 2-4/10"),
        ({"Range": "rows=2-4"}, 200, CONTENT, None),
        ({"Range": "bytes=4-2"}, 200, CONTENT, None),
        ({"Range": "bytes=2-4", "If-Range": ETAG}, 206, b"234", "bytes 2-4/10"),
        ({"Range": "bytes=2-4", "If-Range": f"W/{ETAG}"}, 200, CONTENT, None),
        ({"Range": "bytes=2-4", "If-Range": '"other"'}, 200, CONTENT, None),
        ({"Range": "bytes=50-", "If-Range": '"other"'}, 200, CONTENT, None),
        ({"If-Range": ETAG}, 200, CONTENT, None),
        ({"If-None-Match": ETAG}, 304, b"", None),
        ({"If-None-Match": ETAG, "Range": "bytes=50-"}, 304, b"", None),  # 304 comes before Range
        ({"If-None-Match": '"other"', "Range": "bytes=0-0"}, 206, b"0", "bytes 0-0/10"),
    ],
)
def test_a_part_or_nothing_is_sent_where_that_is_enough(
    service: Api, url: str, headers: dict, status: int, content: bytes, place: str | None
):
    answer = service.client.get(f"{url}/model/ten.bin", headers=headers)
    assert (answer.status_code, answer.content, answer.headers.get("Content-Range")) == (status, content, place)
    assert answer.headers["ETag"] == ETAG
    assert status == 304 or answer.headers["Content-Length"] == str(len(content))


def test_several_parts_come_each_under_its_head(service: Api, url: str):
    answer = service.client.get(f"{url}/model/ten.bin", headers={"Range": "bytes=6-7, 0-1, -1"})
    kind = answer.headers["Content-Type"]
    parts = email.message_from_bytes(f"Content-Type: {kind}\r\n\r\n".encode() + answer.content, policy=HTTP)
    assert (answer.status_code, int(answer.headers["Content-Length"])) == (206, len(answer.content))
    assert [(each["Content-Range"], each.get_content()) for each in parts.iter_parts()] == [
        ("bytes 6-7/10", b"67"),
        ("bytes 0-1/10", b"01"),
        ("bytes 9-9/10", b"9"),
    ]


@pytest.mark.parametrize(("name", "length"), [("ten.bin", 10), ("empty", 0)])
def test_a_part_that_is_not_there_is_a_problem_that_says_how_long_the_file_is(
    service: Api, url: str, name: str, length: int
):
    answer = service.client.get(f"{url}/model/{name}", headers={"Range": "bytes=10-"})
    told = (answer.status_code, answer.headers["Content-Type"], answer.headers["Content-Range"])
    assert told == (416, "application/problem+json", f"bytes */{length}")
    assert answer.json()["type"] == "urn:fastmtl:problem:range-not-satisfiable"


def test_range_means_nothing_to_head(service: Api, url: str):
    answer = service.client.head(f"{url}/model/ten.bin", headers={"Range": "bytes=50-"})
    assert (answer.status_code, answer.headers["Content-Length"]) == (200, "10")


def test_an_odd_name_is_saved_as_it_is(service: Api, url: str):
    listed = {each["name"]: each["href"] for each in service.client.get(url).json()["items"]}
    answer = service.client.get(listed[f"model/{NAME}"])
    assert (answer.content, answer.headers["Content-Disposition"]) == (
        b"odd",
        "attachment; filename=\"odd _n_me__ 100__.bin\"; filename*=UTF-8''odd%20%22n%C3%A4me%22%5C%20100%25%3B.bin",
    )


def test_a_folder_goes_on_where_it_was_cut(service: Api, url: str):
    whole = service.client.get(f"{url}/model")
    etag = whole.headers["ETag"]
    assert (len(etag), whole.headers["Content-Disposition"]) == (66, 'attachment; filename="model.tar"')
    rest = service.client.get(f"{url}/model/", headers={"Range": "bytes=700-", "If-Range": etag})
    assert (rest.status_code, rest.content) == (206, whole.content[700:])
    with tarfile.open(fileobj=io.BytesIO(whole.content)) as tar:
        assert tar.extractfile("model/ten.bin").read() == CONTENT  # type: ignore[union-attr]


def test_the_digests_of_a_job_are_checked_by_sha256sum(service: Api, url: str, tmp_path: Path):
    sums = service.client.get(f"{url}/SHA256SUMS")
    assert (sums.headers["Content-Type"], len(sums.text.splitlines())) == ("text/plain; charset=utf-8", 8)
    for each in service.client.get(url).json()["items"]:
        target = tmp_path / each["name"]
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(service.client.get(each["href"]).content)
    command = ["sha256sum", "--check", "--strict", "--quiet", "-"]
    assert subprocess.run(command, input=sums.content, cwd=tmp_path).returncode == 0
    (tmp_path / "model" / "ten.bin").write_bytes(b"0123456780")
    told = subprocess.run(command, input=sums.content, cwd=tmp_path, capture_output=True)
    assert (told.returncode, told.stdout) == (1, b"model/ten.bin: FAILED\n")


def test_the_digests_are_sent_once_while_nothing_is_added(service: Api, url: str):
    first = service.client.get(f"{url}/SHA256SUMS")
    again = service.client.get(f"{url}/SHA256SUMS", headers={"If-None-Match": first.headers["ETag"]})
    size = service.client.head(f"{url}/SHA256SUMS").headers["Content-Length"]
    assert (again.status_code, again.content, size) == (304, b"", str(len(first.content)))


def test_a_file_that_was_removed_is_not_found(service: Api, url: str):
    for path in (service.home / "storage" / "steps").rglob("ten.bin"):
        path.unlink()
    assert service.client.get(f"{url}/model/ten.bin").status_code == 404
