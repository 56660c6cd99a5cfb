"""Requests that are sent again and downloads that go on, against a server that cuts connections as it is told."""

from __future__ import annotations

import base64
import hashlib
import socketserver
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from fastmtl import transfer
from fastmtl.client import Client, ServiceError, Unreachable
from fastmtl.errors import DamagedArtifact

CONTENT = bytes(range(256)) * 4096
OTHER = b"x" * 500_000
JOB = b'{"id": "1"}'


@dataclass
class Server:
    """What it serves and does wrong, and what it was asked."""

    content: bytes = CONTENT
    cuts: list[int] = field(default_factory=list)
    """After how many bytes each of the next downloads is cut."""
    answers: list[tuple[int, dict[str, str], bytes] | None] = field(default_factory=list)
    """What the next POSTs are answered with; None cuts the connection."""
    damages: bool = False
    asked: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)

    def digest(self) -> str:
        return hashlib.sha256(self.content).hexdigest()


def handler(server: Server) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            server.asked.append((self.path, dict(self.headers), b""))
            content, etag, status, headers = server.content, f'"{server.digest()}"', 200, {}
            start = 0
            if "Range" in self.headers and self.headers["If-Range"] == etag:
                start, status = int(self.headers["Range"][6:-1]), 206
                headers = {"Content-Range": f"bytes {start}-{len(content) - 1}/{len(content)}"}
                if start >= len(content):
                    self.answer(416, {}, b"")
                    return
            digest = base64.b64encode(bytes.fromhex(server.digest())).decode()
            headers |= {"ETag": etag, "Repr-Digest": f"sha-256=:{digest}:"}
            body = content[start:] if not server.damages else b"y" * (len(content) - start)
            self.answer(status, headers, body, server.cuts.pop(0) if server.cuts else None)

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            server.asked.append((self.path, dict(self.headers), body))
            answer = server.answers.pop(0) if server.answers else (200, {}, JOB)
            if answer is None:
                self.close_connection = True
            else:
                self.answer(*answer)

        def answer(self, status: int, headers: dict[str, str], body: bytes, cut: int | None = None) -> None:
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body[:cut])
            self.close_connection = cut is not None

        def log_message(self, *_: object) -> None:
            pass

    return Handler


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture
def client(server: Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[Client]:
    monkeypatch.setattr(transfer, "FIRST_WAIT_SECONDS", 0.001)
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), handler(server)) as served:
        thread = threading.Thread(target=served.serve_forever, args=(0.01,))
        thread.start()
        with Client(f"http://127.0.0.1:{served.server_address[1]}", "key", timeout_seconds=30, retries=3) as client:
            yield client
        served.shutdown()
        thread.join()


def ranges(server: Server) -> list[str | None]:
    return [headers.get("Range") for _, headers, _ in server.asked]


def keys(server: Server) -> list[str]:
    return [headers["Idempotency-Key"] for _, headers, _ in server.asked]


def test_a_cut_download_goes_on_where_it_was(client: Client, server: Server, tmp_path: Path):
    server.cuts = [1000, 500_000, 0]
    target = client.download("1", "model/w.bin", tmp_path / "w.bin")
    assert target.read_bytes() == CONTENT
    assert ranges(server) == [None, "bytes=1000-", "bytes=501000-", "bytes=501000-"]
    assert [each.name for each in tmp_path.iterdir()] == ["w.bin"]


def test_one_that_was_given_up_goes_on_with_the_next_call(client: Client, server: Server, tmp_path: Path):
    server.cuts = [1000, 0, 0, 0]
    with pytest.raises(Unreachable, match="cannot be reached"):
        client.download("1", "w.bin", tmp_path / "w.bin")
    assert [each.name for each in tmp_path.iterdir()] == [f".w.bin.{server.digest()}.part"]
    client.download("1", "w.bin", tmp_path / "w.bin")
    assert ((tmp_path / "w.bin").read_bytes(), ranges(server)[-1]) == (CONTENT, "bytes=1000-")
    assert [each.name for each in tmp_path.iterdir()] == ["w.bin"]


def test_a_file_that_is_another_since_comes_whole(client: Client, server: Server, tmp_path: Path):
    (tmp_path / f".w.bin.{server.digest()}.part").write_bytes(CONTENT[:1000])
    server.content = OTHER
    assert client.download("1", "w.bin", tmp_path / "w.bin").read_bytes() == OTHER
    assert (ranges(server), [each.name for each in tmp_path.iterdir()]) == (["bytes=1000-"], ["w.bin"])


def test_what_came_whole_but_for_its_end_is_asked_for_once_more(client: Client, server: Server, tmp_path: Path):
    (tmp_path / f".w.bin.{server.digest()}.part").write_bytes(CONTENT)
    assert client.download("1", "w.bin", tmp_path / "w.bin").read_bytes() == CONTENT
    assert ranges(server) == [f"bytes={len(CONTENT)}-", None]


def test_what_is_not_what_the_service_told_is_not_kept(client: Client, server: Server, tmp_path: Path):
    (tmp_path / f".w.bin.{server.digest()}.part").write_bytes(b"damaged")
    assert client.download("1", "w.bin", tmp_path / "w.bin").read_bytes() == CONTENT
    server.damages = True
    with pytest.raises(DamagedArtifact, match="did not arrive as it was sent"):
        client.download("1", "v.bin", tmp_path / "v.bin")
    assert [each.name for each in tmp_path.iterdir()] == ["w.bin"]


def test_a_submission_that_was_cut_is_sent_again_under_its_key(client: Client, server: Server):
    server.answers = [None, (503, {"Retry-After": "0"}, b"{}"), (429, {"Retry-After": "0"}, b"{}")]
    assert client.submit("p", ["a"]).raw == {"id": "1"}
    client.cancel("1")
    assert (len(server.asked), len({body for _, _, body in server.asked[:4]})) == (5, 1)
    assert [len(set(found)) for found in (keys(server)[:4], keys(server))] == [1, 2]


def test_an_upload_that_was_cut_is_read_from_its_beginning(client: Client, server: Server, tmp_path: Path):
    (tmp_path / "a.csv").write_bytes(OTHER)
    server.answers = [None]
    client.upload(tmp_path / "a.csv")
    assert [body for _, _, body in server.asked] == [OTHER, OTHER]
    assert len(set(keys(server))) == 1


def test_a_request_in_flight_is_waited_for_beyond_the_retries(client: Client, server: Server):
    in_flight = (409, {"Retry-After": "0"}, b'{"type": "urn:fastmtl:problem:in-flight"}')
    server.answers = [in_flight] * 10
    assert client.cancel("1").raw == {"id": "1"}
    assert len(set(keys(server))) == 1


@pytest.mark.parametrize(("status", "asked"), [(503, 4), (429, 4), (500, 1), (409, 1), (422, 1)])
def test_a_refusal_is_told_in_the_end(client: Client, server: Server, status: int, asked: int):
    server.answers = [(status, {}, b'{"detail": "no"}')] * 9
    with pytest.raises(ServiceError, match="no"):
        client.cancel("1")
    assert len(server.asked) == asked


def test_a_server_that_is_not_there_is_told_after_the_retries(monkeypatch: pytest.MonkeyPatch):
    waited: list[float] = []
    monkeypatch.setattr(transfer.time, "sleep", waited.append)
    with Client("http://127.0.0.1:9", retries=3) as client, pytest.raises(Unreachable):
        client.cancel("1")
    assert waited == [0.5, 1.0, 2.0]
