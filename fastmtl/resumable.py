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

LOST = (404, 410)
NAMESPACE = uuid.UUID("7f0c2a34-6a0f-5f8e-9c55-0d4c1f4b7a1e")
"""Of the keys that are made of what an upload declares."""

Refusal = Callable[[httpx2.Response], Exception]
Sent = Callable[[int, int], None]
"""Takes the bytes that were sent so far, and those of the whole."""


def unseen(sent: int, total: int) -> None:
    """Ignore progress."""


def upload_in_parts(
    http: httpx2.Client, path: Path, options: Mapping[str, str], refusal: Refusal, sent: Sent = unseen
) -> str:
    """Upload a file and return the id of the dataset that it became; `sent` is told of every byte that is there.

    The file's SHA-256 is declared, so what arrives is what was sent. It is also the upload's name: a call for the same
    file with the same options goes on with what another call, of a process that is no more, had sent within a day.
    Raises `refusal` of an answer that another attempt would not change, and the transport's error after ATTEMPTS
    without progress.
    """
    size = path.stat().st_size
    given = {**options, "filename": path.name, "sha256": sha256(path)}
    metadata = ",".join(f"{name} {base64.b64encode(value.encode()).decode()}" for name, value in given.items())
    create = {**TUS, "Upload-Length": str(size), "Upload-Metadata": metadata}
    upload = _begun(http, create, refusal)
    there = [0]

    def go_on() -> httpx2.Response:
        found = http.head(upload, headers=TUS)
        if found.status_code == httpx2.codes.GONE:
            raise refusal(_kept_problem(http.get(upload), found))
        there[0] = int(_checked(found, refusal).headers["Upload-Offset"])
        if DATASET in found.headers:
            sent(size, size)
            return found
        said = {**TUS, "Upload-Offset": str(there[0]), "Content-Type": "application/offset+octet-stream"}
        said["Content-Length"] = str(size - there[0])
        return _checked(http.patch(upload, content=_rest(path, there[0], size, sent), headers=said), refusal)

    return _dataset(_patiently(go_on, lambda: there[0]))


def _begun(http: httpx2.Client, create: Mapping[str, str], refusal: Refusal) -> str:
    """Return the path of an upload: the one that was begun before where it can be gone on with, else a new one.

    Its key is made of what is declared, so an answer that was lost leaves no second upload, which would count to the
    quota for a day. Where what stands under that key was refused, has expired or was deleted since, it is begun anew.
    """
    declared = "\n".join(f"{name}: {value}" for name, value in sorted(create.items()))
    for key in (uuid.uuid5(NAMESPACE, declared), uuid.uuid4()):
        once = {**create, "Idempotency-Key": f'"{key}"'}
        made = _patiently(lambda once=once: _checked(http.post("/uploads", headers=once), refusal), lambda: 0)  # type: ignore[misc]
        upload = f"/uploads/{made.headers['Location'].rpartition('/')[2]}"
        if _can_go_on(http, upload):
            break
    return upload


def _can_go_on(http: httpx2.Client, upload: str) -> bool:
    """Whether an upload is there, and so is the dataset if it became one."""
    found = _patiently(lambda: http.head(upload, headers=TUS), lambda: 0)
    if found.status_code in LOST:
        return False
    return DATASET not in found.headers or http.get(f"/datasets/{_dataset(found)}").status_code not in LOST


def _dataset(told: httpx2.Response) -> str:
    return str(told.headers[DATASET].rpartition("/")[2])


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


def _rest(path: Path, start: int, size: int, sent: Sent) -> Iterator[bytes]:
    """Yield the file from `start` on."""
    with path.open("rb") as file:
        file.seek(start)
        sent(start, size)
        while chunk := file.read(CHUNK_BYTES):
            yield chunk
            sent(file.tell(), size)
