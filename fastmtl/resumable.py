"""Uploads of large files that go on after a cut, by tus 1.0, as the service offers it at /v1/uploads. Torch-free."""

from __future__ import annotations

import base64
import random
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import httpx2

from fastmtl.artifacts import sha256

LARGE_BYTES = 64 * 2**20
"""Files above this are uploaded so unless the caller says otherwise."""
ATTEMPTS = 10
"""In a row, without a byte more on the other side."""
LONGEST_WAIT_SECONDS = 20
CHUNK_BYTES = 2**20
TUS = {"Tus-Resumable": "1.0.0"}
BUSY = (408, 409, 423, 429, 500, 502, 503, 504)
"""Statuses that another attempt may not meet again; 409 where our idea of the offset was too old."""
DATASET = "FastMTL-Dataset"

Refusal = Callable[[httpx2.Response], Exception]


def upload_in_parts(http: httpx2.Client, path: Path, options: Mapping[str, str], refusal: Refusal) -> str:
    """Upload a file and return the id of the dataset that it became.

    The file's SHA-256 is declared, so what arrives is what was sent. Raises `refusal` of an answer that another attempt
    would not change, and the transport's error after ATTEMPTS without progress.
    """
    size = path.stat().st_size
    given = {**options, "filename": path.name, "sha256": sha256(path)}
    metadata = ",".join(f"{name} {base64.b64encode(value.encode()).decode()}" for name, value in given.items())
    # Under one key, so that an answer that was lost leaves no second upload, which would count to the quota for a day.
    once = {"Idempotency-Key": f'"{uuid.uuid4()}"'}
    create = {**TUS, **once, "Upload-Length": str(size), "Upload-Metadata": metadata}
    created = _patiently(lambda: _checked(http.post("/uploads", headers=create), refusal), lambda: 0)
    upload = f"/uploads/{created.headers['Location'].rpartition('/')[2]}"
    there = [0]

    def go_on() -> httpx2.Response:
        found = http.head(upload, headers=TUS)
        if found.status_code == httpx2.codes.GONE:
            raise refusal(_kept_problem(http.get(upload), found))
        there[0] = int(_checked(found, refusal).headers["Upload-Offset"])
        if DATASET in found.headers:
            return found
        said = {**TUS, "Upload-Offset": str(there[0]), "Content-Type": "application/offset+octet-stream"}
        said["Content-Length"] = str(size - there[0])
        return _checked(http.patch(upload, content=_rest(path, there[0]), headers=said), refusal)

    return str(_patiently(go_on, lambda: there[0]).headers[DATASET].rpartition("/")[2])


class _Busy(Exception):
    """An answer that the next attempt may not meet."""

    def __init__(self, refusal: Exception) -> None:
        self.refusal = refusal
        super().__init__(str(refusal))


def _patiently(attempt: Callable[[], httpx2.Response], progress: Callable[[], int]) -> httpx2.Response:
    """Try again after a cut or a busy answer, ever more slowly while nothing moves on."""
    failed, before = 0, 0
    while True:
        try:
            return attempt()
        except (httpx2.TransportError, _Busy) as error:
            failed = 1 if progress() > before else failed + 1
            before = max(before, progress())
            if failed >= ATTEMPTS:
                raise error.refusal if isinstance(error, _Busy) else error from None
        time.sleep(min(LONGEST_WAIT_SECONDS, 0.1 * 2**failed) * random.uniform(0.5, 1))


def _checked(response: httpx2.Response, refusal: Refusal) -> httpx2.Response:
    """Return a good answer; raise what it was refused for, or _Busy."""
    if response.status_code in BUSY:
        raise _Busy(refusal(response))
    if response.is_error:
        raise refusal(response)
    return response


def _kept_problem(told: httpx2.Response, found: httpx2.Response) -> httpx2.Response:
    """Return why an upload was refused, as the answer that was lost would have said it."""
    problem = told.json().get("error") if told.is_success else None
    return httpx2.Response(problem["status"], json=problem) if problem else found


def _rest(path: Path, start: int) -> Iterator[bytes]:
    """Yield the file from `start` on."""
    with path.open("rb") as file:
        file.seek(start)
        while chunk := file.read(CHUNK_BYTES):
            yield chunk
