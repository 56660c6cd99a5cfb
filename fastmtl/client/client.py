"""The client: what can be asked of a service. Torch-free."""

from __future__ import annotations

import io
import os
import tempfile
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from urllib.parse import quote

from rich.filesize import decimal

from fastmtl.client import frames
from fastmtl.client.bars import bar
from fastmtl.client.http import Http, Sent
from fastmtl.client.jobs import EVENTS_PATIENCE_SECONDS, Job
from fastmtl.client.records import Artifact, Dataset, Estimate, Event, Receipt
from fastmtl.client.tables import Selection
from fastmtl.columns import Columns
from fastmtl.config import JobConfig
from fastmtl.hub import fetch as fetch_from_hub
from fastmtl.hub_names import is_hub_name, parse
from fastmtl.plan import Json
from fastmtl.resumable import LARGE_BYTES, unseen

KEY_VARIABLE, URL_VARIABLE = "FASTMTL_API_KEY", "FASTMTL_URL"
LOCAL = "http://127.0.0.1:8000"
SURE = ("tsv", "jsonl", "parquet")
"""Suffixes that say what a file holds; the service looks into others, since a file called .csv may hold tabs."""

DatasetLike = Dataset | uuid.UUID | str
"""A dataset, or its id."""
JobLike = Job | uuid.UUID | str
"""A job, or its id."""


class Client:
    """Talks to one service; use it as a context manager, or call `close`."""

    def __init__(
        self,
        url: str | None = None,
        key: str | None = None,
        timeout_seconds: float = 900,
        retries: int = 4,
    ) -> None:
        """`url` and `key`, an API key of the service, are by default the environment's FASTMTL_URL and FASTMTL_API_KEY.

        Without either the service is looked for on this machine, http://127.0.0.1:8000.
        A request is sent again at most `retries` times where the connection fails or the service is busy (429, 503).
        Each that changes something carries an Idempotency-Key: sent twice, it is done once.
        """
        url = url or os.environ.get(URL_VARIABLE) or LOCAL
        self._http = Http(url, key or os.environ.get(KEY_VARIABLE), timeout_seconds, retries)

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

    @property
    def url(self) -> str:
        """Where the service is."""
        return self._http.url

    def request(self, method: str, path: str, **request: object) -> Json:
        """Return the answer to a request that has no method here: `client.request("GET", "/options")`.

        `params` and `json` are its query and its body; `path` stands below /v1. Raises ServiceError by kind.
        """
        return self._http.json(method, path, **request)  # type: ignore[arg-type]

    def upload(
        self,
        data: object,
        *,
        name: str | None = None,
        file_format: str | None = None,
        text_a: str | None = None,
        text_b: str | None = None,
        label: str | None = None,
        kind: str | None = None,
        resumable: bool | None = None,
        progress: bool | Callable[[int, int], None] = True,
    ) -> Dataset:
        """Upload a file, a data set of the hub, or a table of pandas, polars, Arrow or `datasets`; None is inferred.

        `data` is a path; or a name on the Hugging Face hub (`hub:OWNER/NAME[/CONFIG][@REVISION]#SPLIT`), which is
        fetched here, its commit kept as the dataset's `source`; or a table, which needs a `name`. A resumable upload
        goes on after a cut, also in a later call for the same file; None: files above 64 MiB are uploaded so.
        `progress` is told (bytes sent, bytes in all); True shows a bar in a terminal or a notebook. Raises Invalid with
        everything that is wrong with the rows, and for the hub's what `fastmtl.hub.fetch` does.
        """
        given = {"text_a": text_a, "text_b": text_b, "label": label, "kind": kind}
        options = {key: value for key, value in given.items() if value is not None}
        if isinstance(data, str) and is_hub_name(data):
            called = {"name": name, "format": file_format}
            options |= {key: value for key, value in called.items() if value}
            return self._send_from_hub(data, Columns(text_a, text_b, label), options, resumable, progress)
        if isinstance(data, str | os.PathLike):
            path = Path(data)
            suffix = path.suffix.lstrip(".").lower()
            called = {"name": name or path.stem, "format": file_format or (suffix if suffix in SURE else None)}
            options |= {key: value for key, value in called.items() if value}
            return self._send(path, options, resumable, progress)
        if not name:
            raise ValueError("a table has no name of its own: upload(table, name='reviews')")
        with tempfile.TemporaryDirectory(prefix="fastmtl-upload-") as scratch:
            path = Path(scratch) / "table.parquet"
            frames.write_parquet(data, path)
            return self._send(path, {**options, "name": name, "format": "parquet"}, resumable, progress)

    def fetch(
        self,
        source: str,
        *,
        name: str | None = None,
        text_a: str | None = None,
        text_b: str | None = None,
        label: str | None = None,
        kind: str | None = None,
    ) -> Dataset:
        """Let the service fetch a public split of the hub by its name, where its operator allows that (FASTMTL_HUB).

        Raises Forbidden where not: `upload` takes the same name and fetches it here.
        """
        given = {"name": name, "text_a": text_a, "text_b": text_b, "label": label, "kind": kind}
        said = {key: value for key, value in given.items() if value is not None}
        return Dataset(self._http.json("POST", "/datasets/from-hub", json={"source": source, **said}))

    def dataset(self, dataset: DatasetLike) -> Dataset:
        """Return the description of a dataset."""
        return Dataset(self._http.json("GET", f"/datasets/{quote(_id(dataset), safe='')}"))

    def datasets(self, limit: int = 50) -> Iterator[Dataset]:
        """Yield all datasets, newest first, page by page of `limit`."""
        return map(Dataset, self._http.pages("/datasets", limit))

    def delete_dataset(self, dataset: DatasetLike) -> Receipt:
        """Remove a dataset that no job has, and return the receipt. Raises Conflict."""
        return Receipt(self._http.json("DELETE", f"/datasets/{quote(_id(dataset), safe='')}"))

    def submit(
        self,
        primary: DatasetLike,
        auxiliary: Sequence[DatasetLike],
        *,
        validation: DatasetLike | None = None,
        config: JobConfig | Json | None = None,
        name: str | None = None,
        deadline_seconds: float | None = None,
        webhook_url: str | None = None,
        priority: int | None = None,
    ) -> Job:
        """Submit a selection job and return it; `config` takes what `fastmtl.config.JobConfig` has."""
        more = {"name": name, "deadline_seconds": deadline_seconds, "webhook_url": webhook_url, "priority": priority}
        said = {key: value for key, value in more.items() if value is not None}
        asked = {**_request(primary, auxiliary, validation, config), **said}
        return Job(self._http.json("POST", "/jobs", json=asked), self._http)

    def estimate(
        self,
        primary: DatasetLike,
        auxiliary: Sequence[DatasetLike],
        *,
        validation: DatasetLike | None = None,
        config: JobConfig | Json | None = None,
    ) -> Estimate:
        """Return what such a job would take, each figure with a band; nothing is submitted."""
        asked = _request(primary, auxiliary, validation, config)
        return Estimate(self._http.json("POST", "/jobs/estimate", json=asked))

    def job(self, job: JobLike) -> Job:
        """Return a job as it stands."""
        return self._job(job).refresh()

    def jobs(self, limit: int = 50, status: str | None = None) -> Iterator[Job]:
        """Yield all jobs, newest first, page by page of `limit`; `status` takes only those that stand so."""
        said = {"status": status} if status else {}
        return (Job(each, self._http) for each in self._http.pages("/jobs", limit, **said))

    def cancel(self, job: JobLike) -> Job:
        """Stop a job for good and return it."""
        return self._job(job).cancel()

    def pause(self, job: JobLike) -> Job:
        """Let a job rest and return it."""
        return self._job(job).pause()

    def resume(self, job: JobLike) -> Job:
        """Let a paused job go on and return it."""
        return self._job(job).resume()

    def retry(self, job: JobLike) -> Job:
        """Try a failed or cancelled job again, from the steps that did not succeed, and return it."""
        return self._job(job).retry()

    def delete(self, job: JobLike) -> Receipt:
        """Remove a job that is over, and return the receipt."""
        return self._job(job).delete()

    def watch(self, job: JobLike, every_seconds: float = 0.5) -> Iterator[Job]:
        """Yield the job again and again until it is over; the last is its final state."""
        return self._job(job).watch(every_seconds)

    def events(
        self, job: JobLike, after: int = 0, patience_seconds: float = EVENTS_PATIENCE_SECONDS
    ) -> Iterator[Event]:
        """Yield what happens to a job, as `Job.events` does."""
        return self._job(job).events(after, patience_seconds)

    def artifacts(self, job: JobLike) -> list[Artifact]:
        """Return name, size and digest of every file of a job."""
        return self._job(job).artifacts()

    def download(self, job: JobLike, artifact: str, target: Path | str) -> Path:
        """Stream a file of a job to `target`, as `Job.download` does."""
        return self._job(job).download(artifact, target)

    def selection(self, job: JobLike, *, explain: bool = False) -> Selection:
        """Return the chosen rows, with `explain` also why."""
        return self._job(job).selection(explain=explain)

    def _job(self, job: JobLike) -> Job:
        """Return a job, of which no more than its id may be known."""
        return job if isinstance(job, Job) else Job({"id": str(job)}, self._http)

    def _send_from_hub(
        self,
        source: str,
        columns: Columns,
        options: dict[str, str],
        resumable: bool | None,
        progress: bool | Callable[[int, int], None],
    ) -> Dataset:
        with tempfile.TemporaryDirectory(prefix="fastmtl-hub-") as scratch:
            with _told(progress is True, f"download {parse(source).title}") as told:
                fetched = fetch_from_hub(
                    source, Path(scratch), columns, progress=lambda done, total, *_: told(done, total)
                )
            said = {"name": fetched.title, "format": "parquet", "source": fetched.source, **options}
            return self._send(fetched.path, said, resumable, progress)

    def _send(
        self, path: Path, options: dict[str, str], resumable: bool | None, progress: bool | Callable[[int, int], None]
    ) -> Dataset:
        size = path.stat().st_size
        with _told(progress, f"upload {options.get('name', path)}") as sent:
            if size > LARGE_BYTES if resumable is None else resumable:
                return self.dataset(self._http.upload_in_parts(path, options, sent))
            headers = {"Content-Type": "application/octet-stream", "Content-Length": str(size)}
            with path.open("rb") as file:
                body = _Counted(file, size, sent)
                return Dataset(self._http.json("POST", "/datasets", params=options, content=body, headers=headers))


class _Counted(io.RawIOBase):
    """A file that tells how much of it was read; it is read again from its beginning where a request is."""

    def __init__(self, file: io.BufferedReader, size: int, sent: Sent) -> None:
        super().__init__()
        self._file, self._size, self._sent = file, size, sent

    def read(self, size: int = -1) -> bytes:
        """Return the next bytes."""
        chunk = self._file.read(size)
        self._sent(self._file.tell(), self._size)
        return chunk

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go back."""
        return self._file.seek(offset, whence)


@contextmanager
def _told(progress: bool | Callable[[int, int], None], title: str) -> Iterator[Sent]:
    """Yield what is told of the bytes that were sent."""
    if callable(progress):
        yield progress
    elif progress:
        with bar(title) as show:
            yield lambda sent, total: show(sent / max(1, total), f"{decimal(sent)} of {decimal(total)}")
    else:
        yield unseen


def _request(
    primary: DatasetLike,
    auxiliary: Sequence[DatasetLike],
    validation: DatasetLike | None,
    config: JobConfig | Json | None,
) -> Json:
    """Return the body of a job, or of the question what one would take."""
    said = config.model_dump(mode="json", exclude_unset=True) if isinstance(config, JobConfig) else config or {}
    held = None if validation is None else _id(validation)
    return {"primary": _id(primary), "auxiliary": list(map(_id, auxiliary)), "validation": held, "config": said}


def _id(dataset: DatasetLike) -> str:
    return dataset.id if isinstance(dataset, Dataset) else str(dataset)
