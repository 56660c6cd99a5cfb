"""A client of a service that is being killed: it asks again until it knows what became of its request."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from fastmtl.client import FINAL, Client, ServiceError, Unreachable

T = TypeVar("T")
AGAIN_SECONDS = 0.1
PATIENCE_SECONDS = 120
LATEST = 10


class Patient:
    """One tenant's client."""

    def __init__(self, url: str, key: str) -> None:
        self._client = Client(url, key, timeout_seconds=60)
        self.cut = 0
        """Requests whose connection broke, so that it was not known what they did."""
        self.repeated = 0
        """Jobs that a broken request had not created, and that were submitted again."""

    def upload(self, path: Path) -> str:
        """Upload a file and return the dataset's id; a broken upload is begun anew."""
        return str(self._again(lambda: self._client.upload(path))["id"])

    def submit(self, name: str, **request: object) -> str:
        """Submit a job of this name, which no other has, once; return its id."""
        while True:
            try:
                return str(self._client.submit(**request, name=name)["id"])
            except Unreachable:
                self.cut += 1
            found = self.find(name)
            if found is not None:
                return found
            self.repeated += 1

    def find(self, name: str) -> str | None:
        """Return the id of one of the latest jobs by its name."""
        page = self._again(lambda: self._client.request("GET", "/jobs", params={"limit": LATEST}))
        return next((str(job["id"]) for job in page["items"] if job["name"] == name), None)

    def job(self, job_id: str) -> dict:
        """Return a job as it stands."""
        return self._again(lambda: self._client.job(job_id)).raw

    def end(self, job_id: str) -> dict | None:
        """Cancel a job and return it; None where it was over before."""
        try:
            return self._again(lambda: self._client.cancel(job_id)).raw
        except ServiceError as refused:
            if refused.problem["status"] != 409:
                raise
            return None

    def over(self, job_ids: list[str], seconds: float) -> dict[str, dict]:
        """Wait until the jobs are over, or the time is; return them as they stand."""
        give_up = time.monotonic() + seconds
        found = {job_id: self.job(job_id) for job_id in job_ids}
        while time.monotonic() < give_up:
            open_jobs = [job_id for job_id, job in found.items() if job["status"] not in FINAL]
            if not open_jobs:
                break
            time.sleep(AGAIN_SECONDS)
            found[open_jobs[0]] = self.job(open_jobs[0])  # one after another: all at once would be most of the load
        return found

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def _again(self, ask: Callable[[], T]) -> T:
        give_up = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                return ask()
            except Unreachable:
                self.cut += 1
                if time.monotonic() > give_up:
                    raise
                time.sleep(AGAIN_SECONDS)
