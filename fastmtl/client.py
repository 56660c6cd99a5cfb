"""A thin client of the service over HTTP. Torch-free.

client = Client("http://127.0.0.1:8000", key="fastmtl_...")
primary = client.upload("rte.csv")
auxiliary = [client.upload(path) for path in ("mnli.parquet", "qqp.tsv")]
job = client.submit(primary["id"], [each["id"] for each in auxiliary], config={"budget": 1000})
for state in client.watch(job["id"]):
    print(state["status"], state["progress"])
client.download(job["id"], "selection.parquet", "selection.parquet")
"""

from __future__ import annotations

import json
import os
import time
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from urllib.parse import quote

import httpx2

from fastmtl.plan import Json
from fastmtl.resumable import LARGE_BYTES, upload_in_parts
from fastmtl.transfer import Sender

IDEMPOTENCY_KEY = "Idempotency-Key"
KEY_VARIABLE = "FASTMTL_API_KEY"
FINAL = ("succeeded", "failed", "cancelled")
SILENCE_SECONDS = 60
"""A stream of events that says nothing for so long is dead: the service sends a comment every 15 s."""
AGAIN_SECONDS, AWAY_SECONDS = 0.1, 2
"""Before a stream is opened again that ended, and one that failed."""
BUSY = (429, 502, 503, 504)
"""Answers that pass."""


class ServiceError(Exception):
    """The service refused; `problem` is its answer in the form of RFC 9457."""

    def __init__(self, problem: Json) -> None:
        self.problem = problem
        details = [str(each.get("message", each)) for each in problem.get("errors", [])]
        super().__init__(": ".join([problem.get("detail") or problem.get("title", "the service refused"), *details]))


class Client:
    """Talks to one service; use it as a context manager, or call `close`."""

    def __init__(
        self,
        url: str = "http://127.0.0.1:8000",
        key: str | None = None,
        timeout_seconds: float = 900,
        retries: int = 4,
    ) -> None:
        """`key` is an API key of the service; default: the environment's FASTMTL_API_KEY.

        A request is sent again at most `retries` times where the connection fails or the service is busy (429, 503).
        Each that changes something carries an Idempotency-Key: sent twice, it is done once.
        """
        key = key or os.environ.get(KEY_VARIABLE)
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._http = httpx2.Client(base_url=url.rstrip("/") + "/v1", timeout=timeout_seconds, headers=headers)
        self._sender = Sender(self._http, retries, timeout_seconds)

    def __enter__(self) -> Client:
        """Return the client."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the connections."""
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def upload(
        self,
        path: Path | str,
        *,
        name: str | None = None,
        file_format: str | None = None,
        text_a: str | None = None,
        text_b: str | None = None,
        label: str | None = None,
        kind: str | None = None,
        resumable: bool | None = None,
    ) -> Json:
        """Stream a file to the service and return the dataset's description; what is None is inferred there.

        A resumable upload goes on after a cut; None: files above 64 MiB are uploaded so.
        """
        path = Path(path)
        given = {
            "name": name or path.stem,
            "format": file_format or path.suffix.lstrip(".").lower() or None,
            "text_a": text_a,
            "text_b": text_b,
            "label": label,
            "kind": kind,
        }
        options = {key: value for key, value in given.items() if value is not None}
        if path.stat().st_size > LARGE_BYTES if resumable is None else resumable:
            return self._json("GET", f"/datasets/{upload_in_parts(self._http, path, options, _refusal)}")
        with path.open("rb") as file:
            return self._json(
                "POST",
                "/datasets",
                params=options,
                content=file,
                headers={"Content-Type": "application/octet-stream", "Content-Length": str(path.stat().st_size)},
            )

    def submit(
        self,
        primary: str,
        auxiliary: Sequence[str],
        *,
        validation: str | None = None,
        config: Json | None = None,
        name: str | None = None,
        deadline_seconds: float | None = None,
        webhook_url: str | None = None,
    ) -> Json:
        """Submit a selection job over datasets by id and return it."""
        body = {"primary": primary, "auxiliary": list(auxiliary), "validation": validation, "config": config or {}}
        more = {"name": name, "deadline_seconds": deadline_seconds, "webhook_url": webhook_url}
        said = {key: value for key, value in more.items() if value is not None}
        return self._json("POST", "/jobs", json={**body, **said})

    def estimate(
        self, primary: str, auxiliary: Sequence[str], *, validation: str | None = None, config: Json | None = None
    ) -> Json:
        """Return what such a job would take, each figure with a band; nothing is submitted."""
        body = {"primary": primary, "auxiliary": list(auxiliary), "validation": validation, "config": config or {}}
        return self._json("POST", "/jobs/estimate", json=body)

    def job(self, job_id: str) -> Json:
        """Return a job as it stands."""
        return self._json("GET", f"/jobs/{job_id}")

    def jobs(self, limit: int = 50) -> Iterator[Json]:
        """Yield all jobs, newest first, page by page."""
        yield from self._pages("/jobs", limit)

    def datasets(self, limit: int = 50) -> Iterator[Json]:
        """Yield all datasets, newest first, page by page."""
        yield from self._pages("/datasets", limit)

    def cancel(self, job_id: str) -> Json:
        """Cancel a job and return it."""
        return self._json("POST", f"/jobs/{job_id}/cancel")

    def pause(self, job_id: str) -> Json:
        """Let a job rest and return it."""
        return self._json("POST", f"/jobs/{job_id}/pause")

    def resume(self, job_id: str) -> Json:
        """Let a paused job go on and return it."""
        return self._json("POST", f"/jobs/{job_id}/resume")

    def retry(self, job_id: str) -> Json:
        """Try a failed or cancelled job again, from the steps that did not succeed, and return it."""
        return self._json("POST", f"/jobs/{job_id}/retry")

    def delete(self, job_id: str) -> Json:
        """Remove a job that is over, and return the receipt."""
        return self._json("DELETE", f"/jobs/{job_id}")

    def watch(self, job_id: str, every_seconds: float = 0.5) -> Iterator[Json]:
        """Yield the job again and again until it is over; the last is its final state.

        While nothing but time has changed the service sends it once.
        """
        job, etag = {}, ""
        while True:
            response = self._sender.send("GET", f"/jobs/{job_id}", headers={"If-None-Match": etag} if etag else {})
            if response.status_code != 304:
                job, etag = _body(response), response.headers.get("ETag", "")
            yield job
            if job["status"] in FINAL:
                return
            time.sleep(every_seconds)

    def events(self, job_id: str, after: int = 0, patience_seconds: float = 300) -> Iterator[Json]:
        """Yield what happens to a job, {number, at, type, data}, from the event after a number on, until it is over.

        A connection that is cut is made again and goes on where it was: no event is missed, none comes twice. Raises
        ServiceError where the service refuses, and httpx2.TransportError or ServiceError where it was away, or too
        busy, for longer than `patience_seconds`.
        """
        patience = _Patience(patience_seconds)
        while True:
            try:
                for event in self._follow(job_id, after, patience):
                    after = event["number"]
                    yield event
                time.sleep(AGAIN_SECONDS)
            except _Over:
                return
            except (httpx2.TransportError, ServiceError) as error:
                patience.wait_after(error)

    def artifacts(self, job_id: str) -> list[Json]:
        """Return name, size and digest of every file of a job."""
        items: list[Json] = self._json("GET", f"/jobs/{job_id}/artifacts")["items"]
        return items

    def download(self, job_id: str, artifact: str, target: Path | str) -> Path:
        """Stream a file of a job to `target`; its folder is made where missing.

        A transfer that is cut goes on where it was, in this call or the next. Raises DamagedArtifact where the file is
        not the one whose SHA-256 the service told. Of a folder comes a tar; SHA256SUMS is the list of all digests.
        """
        target = Path(target)
        try:
            self._sender.fetch(f"/jobs/{job_id}/artifacts/{quote(artifact)}", target)
        except httpx2.HTTPStatusError as error:
            raise _refusal(error.response) from error
        return target

    def selection(self, job_id: str, *, explain: bool = False) -> Json:
        """Return the chosen rows: {job, budget, digest, rows: [{rank, dataset, dataset_id, row, score}]}.

        With `explain` each also has `percentile` and `nearest`, [{row, similarity}] of the primary.
        """
        path = f"/jobs/{job_id}/selection" + ("?explain=true" if explain else "")
        return self._json("GET", path, headers={"Accept": "application/json"})

    def _follow(self, job_id: str, after: int, patience: _Patience) -> Iterator[Json]:
        """Yield events until the connection ends. Raises _Over where nothing more will come."""
        headers = {"Last-Event-ID": str(after)}
        with self._http.sse(f"/jobs/{job_id}/events", headers=headers, timeout=SILENCE_SECONDS) as stream:
            if stream.response.status_code == httpx2.codes.NO_CONTENT:
                raise _Over
            if stream.response.is_error:
                stream.response.read()
                raise _refusal(stream.response)
            patience.renew()
            yield from (json.loads(each.data) for each in stream if each.data)

    def _pages(self, path: str, limit: int) -> Iterator[Json]:
        cursor: str | None = None
        while True:
            page = self._json("GET", path, params={"limit": limit, **({"cursor": cursor} if cursor else {})})
            yield from page["items"]
            cursor = page["next_cursor"]
            if cursor is None:
                return

    def _json(self, method: str, path: str, *, headers: dict[str, str] | None = None, **request: object) -> Json:
        own = {IDEMPOTENCY_KEY: f'"{uuid.uuid4()}"'} if method == "POST" else {}
        return _body(self._sender.send(method, path, headers={**own, **(headers or {})}, **request))


def _body(response: httpx2.Response) -> Json:
    """Return the answer. Raises ServiceError."""
    if response.is_error:
        raise _refusal(response)
    body: Json = response.json()
    return body


class _Over(Exception):
    """The job is over and all its events were seen."""


class _Patience:
    """How long to wait for a service that is away or busy."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._since: float | None = None

    def renew(self) -> None:
        """Note that it is there."""
        self._since = None

    def wait_after(self, error: httpx2.TransportError | ServiceError) -> None:
        """Wait a moment; raise what does not pass by itself, or has lasted too long."""
        passing = isinstance(error, httpx2.TransportError) or error.problem.get("status") in BUSY
        self._since = self._since or time.monotonic()
        if not passing or time.monotonic() - self._since >= self._seconds:
            raise error
        time.sleep(AWAY_SECONDS)


def _refusal(response: httpx2.Response) -> ServiceError:
    """Return the service's problem, or one made of the status where another server answered."""
    try:
        return ServiceError(response.json())
    except ValueError:
        return ServiceError({"status": response.status_code, "title": f"HTTP {response.status_code}"})
