"""Requests to one service: sent again where that helps, each under a key, refusals raised by kind. Torch-free."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import httpx2

from fastmtl.client.errors import body, reaching, refusal
from fastmtl.plan import Json
from fastmtl.resumable import upload_in_parts
from fastmtl.transfer import Sender

IDEMPOTENCY_KEY = "Idempotency-Key"
SILENCE_SECONDS = 60
"""A stream of events that says nothing for so long is dead: the service sends a comment every 15 s."""

Sent = Callable[[int, int], None]
"""Takes the bytes that were sent so far, and those of the whole."""


class Http:
    """The connections to one service."""

    def __init__(self, url: str, key: str | None, timeout_seconds: float, retries: int) -> None:
        self.url = url.rstrip("/")
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._http = httpx2.Client(base_url=self.url + "/v1", timeout=timeout_seconds, headers=headers)
        self._sender = Sender(self._http, retries, timeout_seconds)

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def json(self, method: str, path: str, *, headers: Mapping[str, str] | None = None, **request: object) -> Json:
        """Return the answer's body; a POST carries an Idempotency-Key. Raises ServiceError by kind."""
        own = {IDEMPOTENCY_KEY: f'"{uuid.uuid4()}"'} if method == "POST" else {}
        return body(self.response(method, path, headers={**own, **(headers or {})}, **request))

    def response(self, method: str, path: str, **request: object) -> httpx2.Response:
        """Return an answer, be it a refusal. Raises Unreachable."""
        with reaching(self.url):
            return self._sender.send(method, path, **request)

    def pages(self, path: str, limit: int, **params: str) -> Iterator[Json]:
        """Yield the items of a list, page by page."""
        cursor: dict[str, str] = {}
        while True:
            page = self.json("GET", path, params={"limit": limit, **params, **cursor})
            yield from page["items"]
            if page["next_cursor"] is None:
                return
            cursor = {"cursor": page["next_cursor"]}

    def fetch(self, path: str, target: Path) -> None:
        """Stream a file to `target`, on from where an attempt at it was cut. Raises ServiceError, DamagedArtifact."""
        try:
            with reaching(self.url):
                self._sender.fetch(path, target)
        except httpx2.HTTPStatusError as error:
            raise refusal(error.response) from error

    def upload_in_parts(self, path: Path, options: Mapping[str, str], sent: Sent) -> str:
        """Upload a file that may be cut and gone on with; return the id of the dataset that it became."""
        with reaching(self.url):
            return upload_in_parts(self._http, path, options, refusal, sent)

    @contextmanager
    def events(self, path: str, after: int) -> Iterator[Iterator[Json] | None]:
        """Open a stream of events behind a number; None where nothing more will come. Raises ServiceError."""
        headers = {"Last-Event-ID": str(after)}
        with (
            reaching(self.url),
            self._http.sse(path, headers=headers, timeout=SILENCE_SECONDS) as stream,
        ):
            if stream.response.is_error:
                stream.response.read()
                raise refusal(stream.response)
            over = stream.response.status_code == httpx2.codes.NO_CONTENT
            yield None if over else (json.loads(each.data) for each in stream if each.data)
