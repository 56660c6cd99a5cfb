"""The demonstration: the embedded stack, a selection job from upload to download, and what came out."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console
from rich.text import Text

from app.demo_data import DemoData, DemoTask, NoData, find, sample
from app.embedded import EmbeddedStack, StackError
from app.show import Json, arms_table, follow, selection_table, sentences
from fastmtl.client import Client, ClientError, Dataset, Job
from fastmtl.errors import FastMTLError

FILES = ("selection.parquet", "scores.parquet", "subset.parquet", "report.html", "report.json")
GLUE_BUDGET = 1000
EPOCHS = 3
"""Of TD-MTDNN and of fine-tuning, two fewer than the preset's: a demonstration should end within minutes."""
POOL_SHARE = 0.1
"""Budget where none is given and the pool is small: a tenth of the auxiliary rows."""


class Demo:
    """One run of the demonstration."""

    def __init__(
        self,
        home: Path,
        data: Path | None,
        primary: str | None,
        budget: int | None,
        max_rows: int | None,
        rows_per_task: int,
    ) -> None:
        self._home = home
        self._data = data
        self._primary = primary
        self._budget = budget
        self._max_rows = max_rows
        self._rows_per_task = rows_per_task
        self._console = Console(highlight=False, markup=False)

    def run(self, *, stay: bool) -> int:
        """Run it; return the exit status. `stay` keeps the service running until Ctrl-C."""
        try:
            data = find(self._data, self._primary, self._home)
            with EmbeddedStack(self._home) as stack, Client(stack.url, stack.key) as client:
                self._console.print(f"The service runs at {stack.url} (its pages of reference: {stack.url}/docs)")
                self._jobs(client, data, stack)
                if stay:
                    self._wait(stack)
            return 0
        except (NoData, StackError, ClientError, FastMTLError) as error:
            self._console.print(Text.assemble(("The demonstration stopped:", "red"), f" {error}"))
            return 1
        except KeyboardInterrupt:
            self._console.print("Stopped.")
            return 130

    def _jobs(self, client: Client, data: DemoData, stack: EmbeddedStack) -> None:
        """Upload, select, show; then select again with another budget."""
        began = time.monotonic()
        self._console.print(f"Data: {data.told}. Primary: {data.primary.name}.")
        request = self._upload(client, data)
        budget = self._budget or _usual_budget(request)
        del request["rows"]
        config = {
            "preset": "small",
            "budget": budget,
            "discriminator": {"rows_per_task": self._rows_per_task, "epochs": EPOCHS},
            "finetuning": {"epochs": EPOCHS},
        }
        job = self._job(client, stack, request, config)
        results = self._download(job)
        report = json.loads((results / "report.json").read_text())
        self._console.print()
        self._console.print(selection_table(report["selection"]["counts"], f"{budget:,} rows chosen"))
        self._console.print(arms_table(report))
        for sentence in sentences(report):
            self._console.print(f"- {sentence}")
        self._console.print(f"From upload to download: {time.monotonic() - began:.0f} s.\n")

        again = max(1, budget // 2)
        self._console.print(f"The same with a budget of {again:,}: nothing is trained or scored again to choose them.")
        began = time.monotonic()
        second = client.submit(**request, config={**config, "budget": again}, name=f"demo, {again} rows")
        counts = self._await_selection(stack, second)
        self._console.print(
            selection_table(counts, f"{again:,} rows chosen, {time.monotonic() - began:.1f} s after asking")
        )
        second.cancel()  # the demonstration wants its choice, not its training
        self._console.print(f"Files: {results}   Report: {results / 'report.html'}   Service: {stack.url}")

    def _upload(self, client: Client, data: DemoData) -> Json:
        """Upload every task and return the request's part of a job that names them."""
        primary = self._upload_one(client, data.primary, data.primary.train, None)
        validation = data.primary.validation
        held = self._upload_one(client, data.primary, validation, None, "-validation") if validation else None
        auxiliary = [self._upload_one(client, task, task.train, self._max_rows) for task in data.auxiliary]
        return {
            "primary": primary,
            "validation": held,
            "auxiliary": auxiliary,
            "rows": [each.rows for each in auxiliary],
        }

    def _upload_one(
        self, client: Client, task: DemoTask, path: Path, max_rows: int | None, suffix: str = ""
    ) -> Dataset:
        with tempfile.TemporaryDirectory(prefix="fastmtl-demo-") as scratch:
            sent, rows = sample(path, max_rows, Path(scratch))
            dataset = client.upload(sent, name=task.name + suffix, progress=False)
        part = f" of {rows:,}, drawn at random (--max-rows 0 takes all)" if dataset.rows < rows else ""
        self._console.print(f"  uploaded {dataset.name:<28} {dataset.rows:>7,} rows{part}, {dataset.kind}")
        return dataset

    def _job(self, client: Client, stack: EmbeddedStack, request: Json, config: Json) -> Job:
        """Submit a job and follow it to its end."""
        job = client.submit(**request, config=config, name="demo")
        self._console.print(f"Job {job.id}: choose {config['budget']:,} rows.")

        def states() -> Iterator[Json]:
            for state in job.watch():
                stack.check()
                yield state.raw

        follow(states(), self._console)
        return job.wait(progress=False)

    def _await_selection(self, stack: EmbeddedStack, job: Job) -> Json:
        """Wait until the job has chosen; return the counts."""
        for state in job.watch(every_seconds=0.1):
            stack.check()
            if state["selection"]:
                counts: Json = state["selection"]["counts"]
                return counts
        raise StackError(f"the job ended without a selection: {state.error}")

    def _download(self, job: Job) -> Path:
        """Download what a user keeps: the rows, the report and the model as a folder."""
        results = self._home.absolute() / "results" / job.id
        for name in FILES:
            job.download(name, results / name)
        job.save_model(results / "model")
        return results

    def _wait(self, stack: EmbeddedStack) -> None:
        """Keep the service until Ctrl-C."""
        self._console.print(f"The service stays at {stack.url} until Ctrl-C.")
        while True:
            stack.check()
            time.sleep(1)


def _usual_budget(request: Json) -> int:
    """Return 1,000, or a tenth of a small pool."""
    return min(GLUE_BUDGET, max(1, round(POOL_SHARE * sum(request["rows"]))))
