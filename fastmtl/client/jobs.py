"""A job: as it stands, what can be done with it, what it chose. Torch-free."""

from __future__ import annotations

import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from urllib.parse import quote

import pyarrow.parquet as pq

from fastmtl.client import events, folder
from fastmtl.client.bars import bar
from fastmtl.client.errors import JobFailed, JobNotOver, body
from fastmtl.client.http import Http
from fastmtl.client.records import Artifact, Event, Receipt, Record, Step, moment
from fastmtl.client.tables import Selection, Subset
from fastmtl.plan import Json

FINAL = ("succeeded", "failed", "cancelled")
EVENTS_PATIENCE_SECONDS = 300


@dataclass(frozen=True)
class Job(Record):
    """A job as it stood when it was asked for: it does not change, `refresh` and every other method return a new one.

    `raw` is the service's JSON: steps, progress, datasets, config, links.
    """

    http: Http = field(repr=False, compare=False)

    def __repr__(self) -> str:
        """Say which it is and how it stands."""
        return f"<Job {self.raw.get('name')!r}, {self.raw.get('status')}, {self.id}>"

    @property
    def id(self) -> str:
        """Its id."""
        return str(self.raw["id"])

    @property
    def name(self) -> str:
        """Its name, for people."""
        return str(self.raw["name"])

    @property
    def status(self) -> str:
        """How it stands: queued, running, paused, succeeded, failed, cancelled."""
        return str(self.raw["status"])

    @property
    def over(self) -> bool:
        """Whether it has ended, well or not."""
        return self.status in FINAL

    @property
    def progress(self) -> float:
        """Share of its work that is done, by cost, from 0 to 1."""
        return float(self.raw["progress"])

    @property
    def seconds_left(self) -> float | None:
        """Estimated time left; None where it is not known."""
        seconds: float | None = self.raw["seconds_left"]
        return seconds

    @property
    def steps(self) -> tuple[Step, ...]:
        """Its steps, inputs before outputs."""
        return tuple(map(Step, self.raw["steps"]))

    @property
    def created_at(self) -> datetime | None:
        """When it was submitted."""
        return moment(self.raw["created_at"])

    @property
    def error(self) -> Json | None:
        """Why it failed: {type, message, step, field}; None where it did not."""
        error: Json | None = self.raw["error"]
        return error

    def refresh(self) -> Job:
        """Return the job as it stands now."""
        return self._with(self.http.json("GET", self._path))

    def wait(
        self,
        timeout_seconds: float | None = None,
        *,
        every_seconds: float = 0.5,
        progress: bool | Callable[[Job], object] = True,
        check: bool = True,
    ) -> Job:
        """Wait until the job is over and return it as it then stands.

        With `progress` True a bar is shown in a terminal or notebook, and nothing elsewhere; a function is called with
        every state. Raises JobNotOver after `timeout_seconds`, and JobFailed where the job ended otherwise than well,
        unless `check` is False.
        """
        until = None if timeout_seconds is None else time.monotonic() + timeout_seconds
        last = self
        with _teller(progress, f"job {self.id[:8]}") as tell:
            for last in self.watch(every_seconds):
                tell(last)
                if until is not None and not last.over and time.monotonic() >= until:
                    told = f"the job {self.id} is {last.status} after {timeout_seconds:g} s; it goes on"
                    raise JobNotOver(last, told)
        if check and last.status != "succeeded":
            raise JobFailed(last, last._why())
        return last

    def watch(self, every_seconds: float = 0.5) -> Iterator[Job]:
        """Yield the job again and again until it is over; the last is its final state.

        While nothing but time has changed the service sends it once.
        """
        last, etag = self, ""
        while True:
            response = self.http.response("GET", self._path, headers={"If-None-Match": etag} if etag else {})
            if response.status_code != 304:
                last, etag = self._with(body(response)), response.headers.get("ETag", "")
            yield last
            if last.over:
                return
            time.sleep(every_seconds)

    def events(self, after: int = 0, patience_seconds: float = EVENTS_PATIENCE_SECONDS) -> Iterator[Event]:
        """Yield what happens to the job, from the event after a number on, until it is over.

        A connection that is cut is made again and goes on where it was: no event is missed, none comes twice. Raises
        the ServiceError of a refusal, and of a service that was away, or too busy, for longer than `patience_seconds`.
        """
        return map(Event, events.follow(self.http, f"{self._path}/events", after, patience_seconds))

    def cancel(self) -> Job:
        """Stop it for good; what is done of it stays, and `retry` takes it up."""
        return self._post("cancel")

    def pause(self) -> Job:
        """Let it rest."""
        return self._post("pause")

    def resume(self) -> Job:
        """Let it go on after a pause."""
        return self._post("resume")

    def retry(self) -> Job:
        """Try it again after a failure or a cancellation, from the steps that did not succeed."""
        return self._post("retry")

    def delete(self) -> Receipt:
        """Remove it once it is over, with its files, and return the receipt."""
        return Receipt(self.http.json("DELETE", self._path))

    def artifacts(self) -> list[Artifact]:
        """Return name, size and digest of every file that it has made so far."""
        return [Artifact(each) for each in self.http.json("GET", f"{self._path}/artifacts")["items"]]

    def download(self, artifact: str, target: Path | str) -> Path:
        """Stream a file of the job to `target`; its folder is made where missing.

        A transfer that is cut goes on where it was, in this call or the next. Raises DamagedArtifact where the file is
        not the one whose SHA-256 the service told. Of a folder comes a tar; SHA256SUMS is the list of all digests.
        """
        target = Path(target)
        self.http.fetch(f"{self._path}/artifacts/{quote(artifact)}", target)
        return target

    def selection(self, *, explain: bool = False) -> Selection:
        """Return the chosen rows; with `explain` also why each was chosen. Raises Conflict while nothing is chosen."""
        query = "format=parquet" + ("&explain=true" if explain else "")
        with tempfile.TemporaryDirectory(prefix="fastmtl-") as scratch:
            path = Path(scratch) / "selection.parquet"
            self.http.fetch(f"{self._path}/selection?{query}", path)
            table = pq.ParquetFile(path).read()
        told = self.refresh()["selection"]
        return Selection(table, self.id, told["budget"], told["digest"], told["counts"])

    def subset(self) -> Subset:
        """Return the chosen rows with their texts and labels. Raises NotFound while nothing is chosen."""
        with tempfile.TemporaryDirectory(prefix="fastmtl-") as scratch:
            return Subset(pq.ParquetFile(self.download("subset.parquet", Path(scratch) / "subset.parquet")).read())

    def save_subset(self, target: Path | str) -> Path:
        """Write the chosen rows into a new folder that `datasets.load_dataset(folder)` opens, and return it.

        The folder holds all of them and each dataset's as a configuration of its own. Raises FileExistsError where it
        is there and not empty.
        """
        return folder.write_subset(self.subset().table, Path(target), f"job {self.id}")

    def save_model(self, target: Path | str) -> Path:
        """Write the fine-tuned model into a new folder, and return it: transformers reads the encoder of it.

        Raises FileExistsError where the folder is there and not empty, NotFound while there is no model.
        """
        with folder.new_folder(Path(target)) as inner:
            tar_file = self.download("model", inner.parent / "model.tar")
            with tarfile.open(tar_file) as tar:
                tar.extractall(inner.parent / "unpacked", filter="data")
            inner.rmdir()
            (inner.parent / "unpacked" / "model").rename(inner)
        return Path(target)

    @property
    def _path(self) -> str:
        return f"/jobs/{quote(self.id, safe='')}"

    def _post(self, what: str) -> Job:
        return self._with(self.http.json("POST", f"{self._path}/{what}"))

    def _with(self, raw: Json) -> Job:
        return Job(raw, self.http)

    def _told(self) -> str:
        running = ", ".join(step.name for step in self.steps if step.status == "running")
        left = "" if self.seconds_left is None else f"about {self.seconds_left:,.0f} s left"
        return "; ".join(each for each in (self.status, running, left) if each)

    def _why(self) -> str:
        if self.error is None:
            return f"the job {self.id} was {self.status}; `retry` takes it up"
        return f"the job {self.id} {self.status} in {self.error.get('step')}: {self.error['message']}"


@contextmanager
def _teller(progress: bool | Callable[[Job], object], title: str) -> Iterator[Callable[[Job], object]]:
    """Yield what is told of every state: the caller's function, a bar, or nothing."""
    if callable(progress):
        yield progress
    elif progress:
        with bar(title) as show:
            yield lambda job: show(job.progress, job._told())
    else:
        yield lambda job: None
