"""Uploads in parts over real connections: cut, stalled, at once, and with the process killed in the middle."""

from __future__ import annotations

import socket
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx2
import pytest
from service import CSV, Api, api, many
from serving import ApiProcess, api_process, peak, served

from app.clock import now
from app.models import PartialUpload

BYTES = CSV.encode()
PART = "application/offset+octet-stream"
TUS = {"Tus-Resumable": "1.0.0"}
ROWS = many(30_000, "a parcel that came late to the shop").encode()
"""More than a megabyte: more than the connection and the server hold back."""
HOLD_SECONDS = 1.5
MIB = 2**20
QUICK = {"upload_sweep_seconds": 0.5, "upload_hold_seconds": 2}


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Api]:
    with api(tmp_path / "home", upload_idle_seconds=2, upload_hold_seconds=HOLD_SECONDS) as inner:
        yield Api(inner, tmp_path / "home")


@pytest.fixture
def client(service: Api) -> Iterator[httpx2.Client]:
    with (
        served(service.client.app) as url,  # type: ignore[arg-type]
        httpx2.Client(base_url=url, timeout=60, headers=headers(service.key)) as client,
    ):
        yield client


def headers(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}", **TUS}


def create(client: httpx2.Client, length: int) -> str:
    return client.post("/v1/uploads", headers={"Upload-Length": str(length)}).raise_for_status().headers["Location"]


def send(client: httpx2.Client, path: str, offset: int, body: bytes | Iterator[bytes]) -> httpx2.Response:
    return client.patch(path, content=body, headers={"Upload-Offset": str(offset), "Content-Type": PART})


def offset(client: httpx2.Client, path: str) -> int:
    return int(client.head(path).raise_for_status().headers["Upload-Offset"])


def cut(url: str, request: str, said: dict[str, str], body: bytes, length: int) -> socket.socket:
    """Begin a request of `length` bytes and send only `body`; closing the socket cuts it."""
    host, port = url.removeprefix("http://").split(":")
    connection = socket.create_connection((host, int(port)))
    lines = [
        f"{request} HTTP/1.1",
        f"Host: {host}",
        f"Content-Length: {length}",
        *(f"{k}: {v}" for k, v in said.items()),
    ]
    connection.sendall("\r\n".join([*lines, "", ""]).encode() + body)
    return connection


def eventually(found: Callable[[], bool], seconds: float = 30) -> bool:
    """Whether it comes true in time."""
    until = time.monotonic() + seconds
    while not found():
        if time.monotonic() > until:
            return False
        time.sleep(0.05)
    return True


def is_held(service: Api, path: str) -> bool:
    """Whether a request writes to the upload."""
    with service.parts.database.reading() as session:
        until = session.get_one(PartialUpload, uuid.UUID(path.rpartition("/")[2])).held_until
    return until is not None and until > now()


def part(client: httpx2.Client, start: int) -> dict[str, str]:
    said = {"Upload-Offset": str(start), "Content-Type": PART, **TUS}
    return said | {"Authorization": client.headers["Authorization"]}


def test_what_came_before_a_cut_counts_and_the_upload_goes_on_from_there(service: Api, client: httpx2.Client):
    path = create(client, len(ROWS))
    cut(str(client.base_url), f"PATCH {path}", part(client, 0), ROWS[:600_000], len(ROWS)).close()
    assert eventually(lambda: offset(client, path) > 400_000 and not is_held(service, path)), "much of it was lost"
    there = offset(client, path)
    answer = send(client, path, there, ROWS[there:])
    assert answer.status_code == 204, answer.text
    assert client.get(answer.headers["FastMTL-Dataset"]).json()["rows"] == 30_000


def test_another_request_must_wait_while_one_writes(service: Api, client: httpx2.Client):
    path = create(client, len(BYTES))
    writer = cut(str(client.base_url), f"PATCH {path}", part(client, 0), BYTES[:10], 20)
    assert eventually(lambda: is_held(service, path))
    refused = send(client, path, 0, BYTES[:10])
    assert (refused.json()["type"], refused.headers["Retry-After"]) == ("urn:fastmtl:problem:locked", "5")
    writer.sendall(BYTES[10:20])
    assert eventually(lambda: offset(client, path) == 20)
    writer.close()


def test_a_part_that_stops_coming_is_given_up_and_what_came_counts(client: httpx2.Client):
    path = create(client, len(BYTES))
    stopped = cut(str(client.base_url), f"PATCH {path}", part(client, 0), BYTES[:10], 20)
    assert b"408" in stopped.recv(100)
    assert offset(client, path) == 10
    stopped.close()


def test_an_upload_of_one_request_that_stops_coming_is_given_up_and_leaves_nothing(
    client: httpx2.Client, tmp_path: Path
):
    stopped = cut(str(client.base_url), "POST /v1/datasets", part(client, 0), BYTES[:10], 20)
    assert b"408" in stopped.recv(100)
    assert list((tmp_path / "home" / "storage" / "incoming").iterdir()) == []
    stopped.close()


def test_a_hold_is_renewed_while_it_writes(service: Api, client: httpx2.Client):
    path = create(client, len(BYTES))
    writer = cut(str(client.base_url), f"PATCH {path}", part(client, 0), BYTES[:10], 40)
    assert eventually(lambda: is_held(service, path))
    for place in (10, 20):
        time.sleep(HOLD_SECONDS * 0.7)
        assert send(client, path, 0, b"").status_code == 423
        writer.sendall(BYTES[place : place + 10])
    writer.sendall(BYTES[30:40])
    assert eventually(lambda: offset(client, path) == 40)
    writer.close()


@pytest.fixture
def process(tmp_path: Path) -> Iterator[ApiProcess]:
    with api_process(tmp_path / "home", **QUICK) as process:
        yield process


def test_a_killed_process_leaves_what_came_of_a_part_and_nothing_of_a_single_request(process: ApiProcess):
    large = b"x" * 6 * MIB  # of which the process holds back one batch at most
    with httpx2.Client(base_url=process.url, timeout=60, headers={**process.headers, **TUS}) as client:
        path = create(client, 2 * len(large))
        with (
            cut(process.url, f"PATCH {path}", part(client, 0), large, 2 * len(large)),
            cut(process.url, "POST /v1/datasets", process.headers, large, 2 * len(large)),
        ):
            assert eventually(lambda: process.received() >= 8 * MIB)
            process.kill()
    with (
        api_process(process.home, **QUICK) as again,
        httpx2.Client(base_url=again.url, timeout=60, headers={**process.headers, **TUS}) as client,
    ):
        incoming = process.home / "storage" / "incoming"
        assert eventually(lambda: not list(incoming.iterdir()), 10)
        assert offset(client, path) >= 4 * MIB


def test_a_file_whose_reading_was_interrupted_is_read_by_the_next_process(process: ApiProcess):
    with httpx2.Client(base_url=process.url, timeout=60, headers={**process.headers, **TUS}) as client:
        path = create(client, len(ROWS))
        with cut(process.url, f"PATCH {path}", part(client, 0), ROWS, len(ROWS)):
            assert eventually(lambda: bool(process.parsers()))
            parsers = process.parsers()
            process.kill()
    assert eventually(lambda: all(peak(pid) is None for pid in parsers), 5), "a parser outlived its API"
    with (
        api_process(process.home, **QUICK) as again,
        httpx2.Client(base_url=again.url, timeout=60, headers=process.headers) as client,
    ):
        assert eventually(lambda: client.get(path).json()["state"] == "done")
        assert [each["rows"] for each in client.get("/v1/datasets").json()["items"]] == [30_000]
        assert eventually(lambda: again.left() == [])
