"""The commands that talk to a service: datasets, jobs, estimate. What each needs is imported inside it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from app.fetching import Export
    from app.jobs_command import JobRequest, Jobs

datasets = typer.Typer(no_args_is_help=True, help="Data sets on a service: upload, list, show, delete.")
jobs = typer.Typer(no_args_is_help=True, help="Jobs on a service: submit, watch, list, steer, download.")

HUB = "a split of a data set on the hub, as in hub:nyu-mll/glue/rte#train"
KINDS = (
    "'files'; 'dataset', a folder for datasets.load_dataset; 'model', the fine-tuned one; or 'classifier', it for "
    "AutoModelForSequenceClassification."
)
Url = Annotated[
    str | None, typer.Option(help="The service; default: FASTMTL_URL, else where `fastmtl serve` is on this machine.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON, and what goes wrong too.")]
Id = Annotated[str, typer.Argument(help="Its id.")]
Limit = Annotated[int, typer.Option(min=1, help="How many, the newest first.")]
Primary = Annotated[
    str, typer.Option(help=f"The task with few rows: a data set's id; or a file, or {HUB}, which is uploaded.")
]
Auxiliary = Annotated[list[str], typer.Option(help="A task to choose rows from, given as the primary; again for each.")]
Validation = Annotated[str | None, typer.Option(help="Rows of the primary to measure on, given as it is.")]
Config = Annotated[Path | None, typer.Option(help="JSON file with a JobConfig; options win over it.")]
Preset = Annotated[str | None, typer.Option(help="'paper' (the default), or 'small' for CPUs.")]
Budget = Annotated[int | None, typer.Option(help="Auxiliary rows to choose, exactly; default 1,000.")]
Method = Annotated[str | None, typer.Option(help="How rows are scored; default: discriminator.")]
Selector = Annotated[str | None, typer.Option(help="How scores become rows; default: top.")]
Compare = Annotated[list[str] | None, typer.Option(help="An arm to train beside it, again for each.")]
Repeats = Annotated[int | None, typer.Option(help="How often every arm is trained.")]
Curve = Annotated[str | None, typer.Option(help="Smaller budgets to train on as well: 100,200.")]
Encoder = Annotated[str | None, typer.Option(help="One of the service's encoders.")]
Seed = Annotated[int | None, typer.Option(help="Seed of the selection.")]


@datasets.command("upload")
def upload_dataset(
    file: Annotated[str, typer.Argument(help=f"CSV, TSV, JSONL or Parquet; or {HUB}.")],
    name: Annotated[str | None, typer.Option(help="A name for people; default: the file's.")] = None,
    text_a: Annotated[str | None, typer.Option(help="Column of the text.")] = None,
    text_b: Annotated[str | None, typer.Option(help="Column of the second text of a pair.")] = None,
    label: Annotated[str | None, typer.Option(help="Column of the label.")] = None,
    kind: Annotated[str | None, typer.Option(help="'classification' or 'regression'.")] = None,
    file_format: Annotated[str | None, typer.Option("--format", help="csv, tsv, jsonl or parquet.")] = None,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """Upload a file, or a split that is fetched from the hub here; what is wrong is told by row."""
    from app.datasets_command import Datasets, Upload

    given = Upload(file, name, file_format, text_a, text_b, label, kind)
    raise typer.Exit(Datasets(url, as_json=as_json).upload(given))


@datasets.command("fetch")
def fetch_dataset(
    source: Annotated[str, typer.Argument(help=f"{HUB[0].upper()}{HUB[1:]}.")],
    name: Annotated[str | None, typer.Option(help="A name for people; default: that of its part and split.")] = None,
    text_a: Annotated[str | None, typer.Option(help="Column of the text.")] = None,
    text_b: Annotated[str | None, typer.Option(help="Column of the second text of a pair.")] = None,
    label: Annotated[str | None, typer.Option(help="Column of the label.")] = None,
    kind: Annotated[str | None, typer.Option(help="'classification' or 'regression'.")] = None,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """Let the service fetch a public split of the hub, where its operator allows it (FASTMTL_HUB)."""
    from app.datasets_command import Datasets, Upload

    given = Upload(source, name, None, text_a, text_b, label, kind)
    raise typer.Exit(Datasets(url, as_json=as_json).fetch(given))


@datasets.command("list")
def list_datasets(limit: Limit = 50, url: Url = None, as_json: AsJson = False) -> None:
    """List data sets."""
    from app.datasets_command import Datasets

    raise typer.Exit(Datasets(url, as_json=as_json).list(limit))


@datasets.command("show")
def show_dataset(dataset: Id, url: Url = None, as_json: AsJson = False) -> None:
    """Describe a data set: rows, columns, labels, lengths."""
    from app.datasets_command import Datasets

    raise typer.Exit(Datasets(url, as_json=as_json).show(dataset))


@datasets.command("delete")
def delete_dataset(dataset: Id, url: Url = None, as_json: AsJson = False) -> None:
    """Remove a data set that no job has."""
    from app.datasets_command import Datasets

    raise typer.Exit(Datasets(url, as_json=as_json).delete(dataset))


@jobs.command("submit")
def submit_job(
    primary: Primary,
    auxiliary: Auxiliary,
    validation: Validation = None,
    budget: Budget = None,
    preset: Preset = None,
    config: Config = None,
    method: Method = None,
    selector: Selector = None,
    compare: Compare = None,
    repeats: Repeats = None,
    curve: Curve = None,
    encoder: Encoder = None,
    seed: Seed = None,
    name: Annotated[str | None, typer.Option(help="A name for people.")] = None,
    deadline_seconds: Annotated[float | None, typer.Option(help="It fails if it is not over by then.")] = None,
    webhook_url: Annotated[str | None, typer.Option(help="Address that is told of its end.")] = None,
    priority: Annotated[
        int | None, typer.Option(help="From 0 to 9: of your jobs the one with more goes first.")
    ] = None,
    watch: Annotated[bool, typer.Option("--watch", help="Follow it to its end.")] = False,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """Submit a selection job; its id is printed."""
    options = _options(budget, preset, method, selector, compare, repeats, curve, encoder, seed)
    said = {"name": name, "deadline_seconds": deadline_seconds, "webhook_url": webhook_url, "priority": priority}
    request = _request(primary, auxiliary, validation, config, options)
    raise typer.Exit(_jobs(url, as_json).submit(request, said, watch=watch))


def estimate(
    primary: Primary,
    auxiliary: Auxiliary,
    validation: Validation = None,
    budget: Budget = None,
    preset: Preset = None,
    config: Config = None,
    method: Method = None,
    selector: Selector = None,
    compare: Compare = None,
    repeats: Repeats = None,
    curve: Curve = None,
    encoder: Encoder = None,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """Say what a job would take on a service, in rows, time and memory; nothing is submitted."""
    options = _options(budget, preset, method, selector, compare, repeats, curve, encoder, None)
    request = _request(primary, auxiliary, validation, config, options)
    raise typer.Exit(_jobs(url, as_json).estimate(request))


@jobs.command("watch")
def watch_job(
    job: Id,
    timeout_seconds: Annotated[float | None, typer.Option(min=0, help="Give up by then; the job goes on.")] = None,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """Follow a job to its end, and show what it chose; in a pipe one line a step."""
    raise typer.Exit(_jobs(url, as_json).watch(job, timeout_seconds))


@jobs.command("list")
def list_jobs(
    status: Annotated[str | None, typer.Option(help="Only those that are queued, running, paused ...")] = None,
    limit: Limit = 50,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """List jobs."""
    raise typer.Exit(_jobs(url, as_json).list(status, limit))


@jobs.command("show")
def show_job(job: Id, url: Url = None, as_json: AsJson = False) -> None:
    """Show how a job stands, step by step."""
    raise typer.Exit(_jobs(url, as_json).show(job))


@jobs.command("cancel")
def cancel_job(job: Id, url: Url = None, as_json: AsJson = False) -> None:
    """Stop a job; what is done of it stays."""
    raise typer.Exit(_jobs(url, as_json).cancel(job))


@jobs.command("pause")
def pause_job(job: Id, url: Url = None, as_json: AsJson = False) -> None:
    """Let a job rest."""
    raise typer.Exit(_jobs(url, as_json).pause(job))


@jobs.command("resume")
def resume_job(job: Id, url: Url = None, as_json: AsJson = False) -> None:
    """Let a paused job go on."""
    raise typer.Exit(_jobs(url, as_json).resume(job))


@jobs.command("retry")
def retry_job(job: Id, url: Url = None, as_json: AsJson = False) -> None:
    """Try a failed or cancelled job again, from the steps that did not succeed."""
    raise typer.Exit(_jobs(url, as_json).retry(job))


@jobs.command("delete")
def delete_job(job: Id, url: Url = None, as_json: AsJson = False) -> None:
    """Remove a job that is over, with its files."""
    raise typer.Exit(_jobs(url, as_json).delete(job))


@jobs.command("download")
def download_job(
    job: Id,
    folder: Annotated[Path | None, typer.Argument(help="Where to; default: fastmtl-ID.")] = None,
    kind: Annotated[str, typer.Option("--as", help=KINDS)] = "files",
    file: Annotated[list[str] | None, typer.Option(help="Only this file of the job; again for each.")] = None,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """Download what a job made; a transfer that was cut goes on where it was."""
    export: Export | None = None
    if kind == "classifier":
        from fastmtl import classifier

        export = classifier.export
    raise typer.Exit(_jobs(url, as_json).download(job, folder, kind, file or [], export))


def _jobs(url: str | None, as_json: bool) -> Jobs:
    from app.jobs_command import Jobs

    return Jobs(url, as_json=as_json)


def _request(
    primary: str, auxiliary: list[str], validation: str | None, config: Path | None, options: dict[str, Any]
) -> JobRequest:
    from app.jobs_command import JobRequest

    return JobRequest(primary, auxiliary, validation, config, options)


def _options(
    budget: int | None,
    preset: str | None,
    method: str | None,
    selector: str | None,
    compare: list[str] | None,
    repeats: int | None,
    curve: str | None,
    encoder: str | None,
    seed: int | None,
) -> dict[str, Any]:
    """Return the settings of a job that were said, by the names that `read_config` knows."""
    return {
        **{"budget": budget, "preset": preset, "method": method, "selector": selector, "compare": compare},
        **{"repeats": repeats, "budget_curve": curve and curve.split(","), "encoder": encoder, "seed": seed},
        "loss": None,
    }
