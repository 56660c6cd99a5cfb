"""`fastmtl jobs` and `fastmtl estimate`: submit, watch, list, steer and download, on a service."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import get_args

from rich.table import Table
from rich.text import Text

from app.exits import Exit
from app.fetching import As, Export, download
from app.local_command import read_config
from app.models import Status
from app.remote import connected, dataset_id
from app.show import Json, clock, follow, selection_table
from app.terminal import Terminal, run, table
from fastmtl.client import Band, Client, Estimate, Job, JobNotOver

MIB = 2**20


@dataclass(frozen=True)
class JobRequest:
    """What a job is to be about: each dataset is a file or an id."""

    primary: str
    auxiliary: Sequence[str]
    validation: str | None
    config: Path | None
    """A JSON file with a JobConfig."""
    options: Json
    """Options of the command that win over it."""

    def named(self, client: Client, terminal: Terminal) -> Json:
        """Return what `Client.submit` and `Client.estimate` take; files are uploaded once the config is known good."""
        config = read_config(self.config, self.options)
        return {
            "primary": dataset_id(client, terminal, self.primary),
            "auxiliary": [dataset_id(client, terminal, each) for each in self.auxiliary],
            "validation": dataset_id(client, terminal, self.validation) if self.validation else None,
            "config": config,
        }


class Jobs:
    """The commands; each returns its exit status."""

    def __init__(self, url: str | None, *, as_json: bool) -> None:
        self._url, self._terminal = url, Terminal(as_json=as_json)

    def submit(self, request: JobRequest, said: Json, *, watch: bool) -> int:
        """Submit a job and, if that is asked for, follow it to its end; `said`: name, deadline, webhook."""

        def command() -> Exit | None:
            with connected(self._url) as client:
                job = client.submit(**request.named(client, self._terminal), **said)
                if watch:
                    self._terminal.note(f"job {job.id}")
                    return self._follow(job, None)
            self._terminal.result(job.raw, job.id)
            self._terminal.note(f"submitted; `fastmtl jobs watch {job.id}` follows it")
            return None

        return run(self._terminal, command)

    def estimate(self, request: JobRequest) -> int:
        """Say what a job would take; nothing is submitted."""

        def command() -> None:
            with connected(self._url) as client:
                estimate = client.estimate(**request.named(client, self._terminal))
            self._terminal.result(estimate.raw, _forecast(estimate))

        return run(self._terminal, command)

    def watch(self, job_id: str, timeout_seconds: float | None) -> int:
        """Follow a job to its end; show what it chose."""

        def command() -> Exit | None:
            with connected(self._url) as client:
                return self._follow(client.job(job_id), timeout_seconds)

        return run(self._terminal, command)

    def list(self, status: str | None, limit: int) -> int:
        """List the newest ones."""

        def command() -> None:
            if status is not None and status not in list(Status):
                raise ValueError(f"--status {status!r} is none of {', '.join(Status)}")
            with connected(self._url) as client:
                found = list(islice(client.jobs(min(limit, 200), status), limit))
            shown = table("id", "name", "status", "done", "left", "submitted", right=["done", "left"])
            for job in found:
                left = "" if job.seconds_left is None or job.over else clock(job.seconds_left)
                cells = [f"{100 * job.progress:.0f} %", left, f"{job.created_at:%Y-%m-%d %H:%M}"]
                shown.add_row(job.id, Text(job.name), job.status, *cells)
            self._terminal.result([job.raw for job in found], shown)

        return run(self._terminal, command)

    def show(self, job_id: str) -> int:
        """Show how a job stands."""
        return self._with(job_id, Job.refresh)

    def cancel(self, job_id: str) -> int:
        """Stop a job for good."""
        return self._with(job_id, Job.cancel)

    def pause(self, job_id: str) -> int:
        """Let a job rest."""
        return self._with(job_id, Job.pause)

    def resume(self, job_id: str) -> int:
        """Let a paused job go on."""
        return self._with(job_id, Job.resume)

    def retry(self, job_id: str) -> int:
        """Try a failed or cancelled job again."""
        return self._with(job_id, Job.retry)

    def delete(self, job_id: str) -> int:
        """Remove a job that is over, with its files."""

        def command() -> None:
            with connected(self._url) as client:
                receipt = client.delete(job_id)
            told = f"removed {receipt.id}: {receipt['files']:,} files, {receipt['bytes'] / MIB:,.1f} MiB"
            self._terminal.result(receipt.raw, told)

        return run(self._terminal, command)

    def download(
        self, job_id: str, target: Path | None, kind: str, names: Sequence[str], export: Export | None = None
    ) -> int:
        """Download what a job made."""

        def command() -> None:
            if kind not in get_args(As):
                raise ValueError(f"--as {kind!r} is none of {', '.join(get_args(As))}")
            with connected(self._url) as client:
                job = client.job(job_id)
                found = download(job, target or Path(f"fastmtl-{job.id}"), kind, names, export)
            raw = {"job": job.id, "as": kind, "files": [str(path) for path in found]}
            self._terminal.result(raw, Text("\n".join(map(str, found))))

        return run(self._terminal, command)

    def _with(self, job_id: str, act: Callable[[Job], Job]) -> int:
        """Do something with a job and show how it then stands."""

        def command() -> None:
            with connected(self._url) as client:
                job = act(client.job(job_id))
            self._terminal.result(job.raw, _described(job))

        return run(self._terminal, command)

    def _follow(self, job: Job, timeout_seconds: float | None) -> Exit:
        """Show a job's steps until it is over, then its result."""
        until = None if timeout_seconds is None else time.monotonic() + timeout_seconds
        follow((state.raw for state in _until(until, job)), self._terminal.told)
        last = job.refresh()
        if not last.over:
            raise JobNotOver(last, f"the job {last.id} is {last.status} after {timeout_seconds:g} s; it goes on")
        chosen = last["selection"]
        shown: list[Table | str] = [f"{last.id} {last.status}"]
        if chosen:
            shown.append(selection_table(chosen["counts"], f"{chosen['budget']:,} rows chosen"))
        self._terminal.result(last.raw, *shown)
        if last.status == "succeeded":
            return Exit.OK
        if last.error:
            self._terminal.note(f"error: {last.error.get('step')}: {last.error['message']}")
        return Exit.JOB_FAILED


def _until(end: float | None, job: Job) -> Iterator[Job]:
    """Yield a job's states until it is over, or the time is."""
    for state in job.watch():
        yield state
        if end is not None and time.monotonic() >= end:
            return


def _described(job: Job) -> Text:
    """Return how a job stands, a line a step."""
    lines = [f"{job.id}  {job.name}", f"{job.status}, {100 * job.progress:.0f} % done"]
    for step in job.steps:
        seconds = "" if step.seconds is None else clock(step.seconds)
        lines.append(f"  {step.name:<28} {'reused' if step.reused else step.status:<10} {seconds}".rstrip())
    if job.error:
        lines.append(f"error in {job.error.get('step')}: {job.error['message']}")
    return Text("\n".join(lines))


def _forecast(estimate: Estimate) -> Table:
    """Return what a job would take, each figure with its band."""
    shown = table("", "expected", "from", "to", right=["expected", "from", "to"])
    counted = {name: Band(*(estimate[name][key] for key in Band._fields)) for name in ("rows_to_train", "tokens")}
    for name, band in counted.items():
        shown.add_row(name.replace("_", " "), *(f"{value:,.0f}" for value in band))
    for name, seconds in (("work", estimate.seconds), ("until it is over", estimate.elapsed_seconds)):
        shown.add_row(name, *(map(clock, seconds) if seconds else ["not measured yet", "", ""]))
    peak = estimate.peak_bytes
    shown.add_row("memory", *([f"{value / MIB:,.0f} MiB" for value in peak] if peak else ["not measured yet", "", ""]))
    shown.add_row("reckoned from", estimate.basis, "", "")
    return shown
