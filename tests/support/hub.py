"""A hub of data sets on this machine: what huggingface_hub asks of one for the files of a repository."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from fnmatch import fnmatch
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

import huggingface_hub
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from little_glue import table

COMMIT = "0123456789abcdef0123456789abcdef01234567"
GLUE = "nyu-mll/glue"
CLASSES = ("entailment", "not_entailment")
CARD = """---
dataset_info:
- config_name: rte
  features:
  - name: sentence1
    dtype: string
  - name: label
    dtype:
      class_label:
        names:
          '0': entailment
          '1': not_entailment
configs:
- config_name: rte
  data_files:
  - split: train
    path: rte/train-*
  - split: validation
    path: rte/validation-*
  - split: test
    path: rte/test-*
- config_name: sst2
  data_files:
  - split: train
    path: sst2/train-*
---
# GLUE
"""


@dataclass
class Hub:
    """Repositories by name, each with files by path, all at one commit."""

    url: str = ""
    files: dict[str, dict[str, bytes]] = field(default_factory=dict)
    branches: dict[str, set[str]] = field(default_factory=dict)
    gated: set[str] = field(default_factory=set)
    tokens: set[str] = field(default_factory=set)
    """Which open what is gated."""
    asked: list[tuple[str, str]] = field(default_factory=list)
    """Every request: its method and path."""
    down: bool = False
    elsewhere: str = ""
    """Where downloads are led to, if anywhere."""

    def add(self, repository: str, files: dict[str, bytes | str | pa.Table]) -> None:
        """Put files into a repository."""
        kept = self.files.setdefault(repository, {})
        kept |= {path: _bytes(each) for path, each in files.items()}

    def fetched(self) -> list[str]:
        """Paths of the files that were downloaded, in order."""
        return [
            path.partition(f"/resolve/{COMMIT}/")[2] for how, path in self.asked if how == "GET" and "/resolve/" in path
        ]


@contextmanager
def hub_of(folder: Path, patch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """Serve an empty hub, and lead huggingface_hub to it, with a cache in a folder."""
    hub = Hub()
    handler = type("Handler", (_Handler,), {"hub": hub})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    hub.url = f"http://127.0.0.1:{server.server_port}"
    patch.setenv("HF_ENDPOINT", hub.url)
    patch.setenv("HF_HUB_OFFLINE", "0")
    patch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    patch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(folder / "hub-cache"))
    try:
        yield hub
    finally:
        huggingface_hub.close_session()
        server.shutdown()
        thread.join(10)
        server.server_close()


def little_hub(hub: Hub) -> None:
    """Put a small GLUE there, in shards as the hub has it: a train split of two files, and hidden test labels."""
    first, second = (table("rte", rows, part) for rows, part in ((12, "train"), (8, "other")))
    hub.add(
        GLUE,
        {
            "README.md": CARD,
            "rte/train-00000-of-00002.parquet": first,
            "rte/train-00001-of-00002.parquet": second,
            "rte/validation-00000-of-00001.parquet": table("rte", 10, "validation"),
            "rte/test-00000-of-00001.parquet": table("rte", 10, "test"),
            "sst2/train-00000-of-00001.parquet": table("sst2", 30),
        },
    )


def _bytes(given: bytes | str | pa.Table) -> bytes:
    if isinstance(given, pa.Table):
        sink = pa.BufferOutputStream()
        pq.write_table(given, sink)
        return sink.getvalue().to_pybytes()
    return given.encode() if isinstance(given, str) else given


class _Handler(BaseHTTPRequestHandler):
    hub: Hub

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def _answer(self) -> None:
        path = unquote(urlsplit(self.path).path)
        self.hub.asked.append((self.command, path))
        words = path.removeprefix("/api").removeprefix("/datasets/").split("/", 4)
        repository = "/".join(words[:2])
        files = self.hub.files.get(repository)
        if self.hub.down:
            self._send(503, b"{}")
        elif files is None:
            self._refuse(401, "RepoNotFound")
        elif words[2] == "revision":
            self._revision(repository, path.partition("/revision/")[2])
        elif words[2] == "tree":
            entries = [_entry(name, content) for name, content in files.items()]
            self._send(200, json.dumps(entries).encode())
        elif repository in self.hub.gated and self._token() not in self.hub.tokens:
            self._refuse(403, "GatedRepo")
        else:
            name = path.partition(f"/resolve/{COMMIT}/")[2]
            self._file(files[name]) if name in files else self._refuse(404, "EntryNotFound")

    def _revision(self, repository: str, revision: str) -> None:
        known = {"main", COMMIT, *self.hub.branches.get(repository, ())}
        if any(fnmatch(revision, each) for each in known):
            self._send(200, json.dumps({"id": repository, "sha": COMMIT, "siblings": []}).encode())
        else:
            self._refuse(404, "RevisionNotFound")

    def _token(self) -> str:
        return self.headers.get("Authorization", "").removeprefix("Bearer ")

    def _file(self, content: bytes) -> None:
        told = {"ETag": f'"{hashlib.sha256(content).hexdigest()}"', "X-Repo-Commit": COMMIT}
        if self.hub.elsewhere:
            told |= {"Location": f"{self.hub.elsewhere}{self.path}", "X-Linked-Size": str(len(content))}
            self._send(302, b"", told)
        else:
            self._send(200, content, told)

    def _refuse(self, status: int, code: str) -> None:
        self._send(status, b'{"error": "no"}', {"X-Error-Code": code})

    def _send(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)


def _entry(path: str, content: bytes) -> dict[str, object]:
    return {"type": "file", "path": path, "size": len(content), "oid": hashlib.sha1(content).hexdigest()}
