"""Requests that are sent again until they are answered, and downloads that go on where they were cut. Torch-free."""

from __future__ import annotations

import base64
import binascii
import email.utils
import io
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import httpx2

from fastmtl.artifacts import sha256
from fastmtl.errors import DamagedArtifact

CUT = (httpx2.NetworkError, httpx2.RemoteProtocolError, httpx2.ConnectTimeout)
"""The connection failed. A request that took longer than the client waits is not sent again."""
BUSY = (429, 503)
IN_FLIGHT = "urn:fastmtl:problem:in-flight"
FIRST_WAIT_SECONDS = 0.5
LONGEST_WAIT_SECONDS = 30.0
_STRONG = re.compile(r'"([0-9a-f]{64})"')
_PART = re.compile(r"\.([0-9a-f]{64})\.part")


class Sender:
    """Sends requests, and again at most `retries` times where the connection failed or the service was busy.

    A first attempt that is still being answered is waited for as well, up to `patience_seconds`.
    """

    def __init__(self, http: httpx2.Client, retries: int, patience_seconds: float) -> None:
        self._http, self._retries, self._patience_seconds = http, retries, patience_seconds

    def send(self, method: str, path: str, **request: object) -> httpx2.Response:
        """Return the answer, be it a refusal. Raises httpx2.TransportError. A file that is the body is read again."""
        attempts, until = _Attempts(self._retries), time.monotonic() + self._patience_seconds
        while True:
            if isinstance(body := request.get("content"), io.IOBase):
                body.seek(0)
            try:
                response = self._http.request(method, path, **request)  # type: ignore[arg-type]
            except CUT:
                if not attempts.again():
                    raise
                continue
            if _is_in_flight(response) and time.monotonic() < until:
                time.sleep(told_to_wait(response) or FIRST_WAIT_SECONDS)
            elif response.status_code not in BUSY or not attempts.again(told_to_wait(response)):
                return response

    def fetch(self, path: str, target: Path) -> None:
        """Stream a file to `target`, on from where an attempt at it was cut, be it one of another day.

        What has come lies beside the target, its name with the file's ETag: it is gone on with for the same file only.
        Raises httpx2.HTTPStatusError where the service refuses, httpx2.TransportError where it was cut too often, and
        DamagedArtifact where the bytes are not those that the service's digest tells of.
        """
        target.parent.mkdir(parents=True, exist_ok=True)
        attempts = _Attempts(self._retries)
        while True:
            try:
                partial, digest = self._fetch_rest(path, target)
            except CUT:
                if not attempts.again():
                    raise
                continue
            except httpx2.HTTPStatusError as error:
                busy = error.response.status_code in BUSY
                if not (busy and attempts.again(told_to_wait(error.response))):
                    raise
                continue
            if digest is None or sha256(partial) == digest:
                partial.replace(target)
                return
            partial.unlink()
            if not attempts.again():
                raise DamagedArtifact(f"{path} did not arrive as it was sent: its SHA-256 is not {digest}")

    def _fetch_rest(self, path: str, target: Path) -> tuple[Path, str | None]:
        """Fetch what is missing of a file; return where it is and its SHA-256, if the service says it."""
        known = _begun(target)
        headers = {"Accept-Encoding": "identity"}
        if known is not None:
            headers |= {"Range": f"bytes={_size(known.path)}-", "If-Range": f'"{known.etag}"'}
        with self._asked(path, headers) as (response, told):
            if known is not None and response.status_code == 416:
                known.path.unlink()
                raise httpx2.RemoteProtocolError("what has come of the file is no part of it", request=response.request)
            if response.is_error:
                response.read()
                response.raise_for_status()
            partial = _partial(target, told)
            goes_on = known is not None and known.path == partial and response.status_code == 206
            if known is not None and not goes_on:
                known.path.unlink()
            with partial.open("ab" if goes_on else "wb") as file:
                for chunk in response.iter_bytes():
                    file.write(chunk)
            return partial, _digest(told)

    @contextmanager
    def _asked(self, path: str, headers: Mapping[str, str]) -> Iterator[tuple[httpx2.Response, httpx2.Headers]]:
        """Yield the answer, and the headers that tell which file it is.

        Where the service sends us on to its store, those are its own, and the store is not shown the key.
        """
        with self._http.stream("GET", path, headers=headers) as response:
            if response.next_request is None:
                yield response, response.headers
                return
        onward, told = response.next_request, response.headers
        onward.headers.pop("Authorization", None)
        if onward.headers.pop("If-Range", None) != told.get("ETag"):  # the store has an ETag of its own
            onward.headers.pop("Range", None)
        answer = self._http.send(onward, stream=True)
        try:
            yield answer, told
        finally:
            answer.close()


class _Attempts:
    """Counts attempts, and waits between them: twice as long each time, or as long as was said."""

    def __init__(self, retries: int) -> None:
        self._left, self._wait_seconds = retries, FIRST_WAIT_SECONDS

    def again(self, seconds: float | None = None) -> bool:
        """Wait and say yes, or say that it was the last."""
        if self._left == 0:
            return False
        self._left -= 1
        time.sleep(min(LONGEST_WAIT_SECONDS, self._wait_seconds if seconds is None else seconds))
        self._wait_seconds *= 2
        return True


class _Begun(NamedTuple):
    """What has come of a file before."""

    path: Path
    etag: str
    """Without its quotes."""


def _begun(target: Path) -> _Begun | None:
    """Return what has come of a file under that name, the newest where there are several."""
    start = f".{target.name}"
    found = [
        _Begun(path, match[1])
        for path in target.parent.iterdir()
        if path.name.startswith(start) and (match := _PART.fullmatch(path.name.removeprefix(start))) and _size(path)
    ]
    return max(found, key=lambda each: each.path.stat().st_mtime_ns, default=None)


def _size(path: Path) -> int:
    return path.stat().st_size


def _partial(target: Path, told: httpx2.Headers) -> Path:
    """Return where a file is put together; without a strong ETag it cannot be gone on with, and has one name."""
    etag = _STRONG.fullmatch(told.get("ETag", ""))
    return target.with_name(f".{target.name}.{etag[1]}.part" if etag else f".{target.name}.part")


def _digest(told: httpx2.Headers) -> str | None:
    """Return the SHA-256 (hex) of the whole file, from Repr-Digest (RFC 9530)."""
    found = re.search(r"sha-256=:([A-Za-z0-9+/=]+):", told.get("Repr-Digest", ""))
    try:
        return base64.b64decode(found[1], validate=True).hex() if found else None
    except binascii.Error:
        return None


def _is_in_flight(response: httpx2.Response) -> bool:
    """Whether the first attempt under this request's Idempotency-Key is still being answered."""
    if response.status_code != 409:
        return False
    try:
        return bool(response.json()["type"] == IN_FLIGHT)
    except (ValueError, KeyError, TypeError):
        return False


def told_to_wait(response: httpx2.Response) -> float | None:
    """Return what Retry-After says, in seconds from now."""
    told = response.headers.get("Retry-After", "").strip()
    if told.isdecimal():
        return float(told)
    try:
        at = email.utils.parsedate_to_datetime(told)
    except ValueError:
        return None
    return max(0.0, (at.replace(tzinfo=at.tzinfo or UTC) - datetime.now(UTC)).total_seconds())
