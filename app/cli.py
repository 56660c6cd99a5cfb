"""The `fastmtl` command. What a command needs is imported inside it, so that `--help` is quick."""

from __future__ import annotations

import gc
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from app import cli_service

if TYPE_CHECKING:
    from app.keys_command import Operator

app = typer.Typer(
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    help="Which rows of other data sets should I train on?",
)

keys = typer.Typer(no_args_is_help=True, help="API keys, for the operator: straight on the database.")
tenants = typer.Typer(no_args_is_help=True, help="Tenants and their quotas, for the operator.")
app.add_typer(cli_service.datasets, name="datasets")
app.add_typer(cli_service.jobs, name="jobs")

app.add_typer(keys, name="keys")
app.add_typer(tenants, name="tenants")

Several = list[str] | None
Key = Annotated[str, typer.Argument(help="Its id or its prefix, as `keys list` shows them.")]
COMPLETION = ("--show-completion", "--install-completion")
SHELLS = ("bash", "zsh", "fish", "powershell", "pwsh")
REPRODUCED = Path("fastmtl-reproduce")


@app.command()
def serve() -> None:
    """Serve the API (FASTMTL_HOST, FASTMTL_PORT; see the README for every setting)."""
    gc.disable()  # what is imported stays: looking for what of it could go takes a while
    from app import logs, server
    from app.settings import Settings

    settings = Settings()
    logs.configure(settings.log_format, settings.log_level)
    server.serve(settings)


@app.command()
def worker() -> None:
    """Run a worker: it takes steps from the queue and computes them, one at a time."""
    from app import logs
    from app.settings import Settings
    from worker.tasks import Worker

    settings = Settings()
    logs.configure(settings.log_format, settings.log_level)
    raise typer.Exit(Worker(settings).run())


@app.command()
def migrate() -> None:
    """Bring the database's tables up to date."""
    from app.db import Database
    from app.settings import Settings

    Database.of(Settings()).migrate()


@app.command()
def demo(
    data: Annotated[
        Path | None, typer.Option(help="Folder with one folder a task: TASK/train.* and TASK/validation.*")
    ] = None,
    primary: Annotated[str | None, typer.Option(help="Name of the primary's folder.")] = None,
    budget: Annotated[int | None, typer.Option(help="Auxiliary rows to choose.")] = None,
    max_rows: Annotated[int, typer.Option(help="Rows taken of each auxiliary task; 0 takes all.")] = 2000,
    rows_per_task: Annotated[int, typer.Option(help="Rows of each task that train the discriminator.")] = 150,
    home: Annotated[Path, typer.Option(help="Folder for the service's files and the results.")] = Path("fastmtl-demo"),
    stay: Annotated[bool | None, typer.Option(help="Keep the service running at the end.")] = None,
) -> None:
    """Start the embedded stack, run a selection job from upload to download, and show what came out."""
    from app.demo import Demo

    run = Demo(home, data, primary, budget, max_rows or None, rows_per_task)
    raise typer.Exit(run.run(stay=sys.stdout.isatty() if stay is None else stay))


@app.command()
def select(
    primary: Annotated[
        str, typer.Option(help=f"The task with few rows: CSV, TSV, JSONL or Parquet; or {cli_service.HUB}.")
    ],
    auxiliary: Annotated[list[str], typer.Option(help="A task to choose rows from; give it again for each.")],
    validation: Annotated[str | None, typer.Option(help="Rows of the primary to measure on.")] = None,
    budget: Annotated[int | None, typer.Option(help="Auxiliary rows to choose, exactly; default 1,000.")] = None,
    output: Annotated[Path, typer.Option(help="Folder for the results.")] = Path("fastmtl-selection"),
    preset: Annotated[str | None, typer.Option(help="'paper' (the default), or 'small' for CPUs.")] = None,
    config: Annotated[Path | None, typer.Option(help="JSON file with a JobConfig; options win over it.")] = None,
    loss: Annotated[str | None, typer.Option(help="Of the discriminator: 'ce' or 'bce'.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of the selection.")] = None,
    encoder: Annotated[str | None, typer.Option(help="A known encoder, or a folder with one.")] = None,
    method: Annotated[str | None, typer.Option(help="How rows are scored; default: discriminator.")] = None,
    selector: Annotated[str | None, typer.Option(help="How scores become rows; default: top.")] = None,
    compare: Annotated[
        list[str] | None, typer.Option(help="An arm to train beside it, again for each: primary_only, a method ...")
    ] = None,
    repeats: Annotated[int | None, typer.Option(help="How often every arm is trained.")] = None,
    curve: Annotated[str | None, typer.Option(help="Smaller budgets to train on as well: 100,200.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    train: Annotated[bool, typer.Option(help="Also train on the selection and measure it.")] = True,
    as_json: cli_service.AsJson = False,
) -> None:
    """Choose rows in this process, without a service."""
    from app.local_command import LocalRequest, run_select

    options = {
        **{"budget": budget, "preset": preset, "loss": loss, "seed": seed, "encoder": encoder, "method": method},
        **{"selector": selector, "compare": compare, "repeats": repeats, "budget_curve": curve and curve.split(",")},
    }
    request = LocalRequest(primary, auxiliary, validation, output, config, options, device, train)
    raise typer.Exit(run_select(request, as_json=as_json))


@app.command()
def reproduce(
    data: Annotated[str, typer.Option(help="Folder with GLUE, TASK/train.parquet of all tasks; or 'hub' to fetch it.")],
    output: Annotated[Path, typer.Option(help="Folder of the results; goes on from what is there.")] = REPRODUCED,
    primaries: Annotated[Several, typer.Option(help="Default rte,mrpc,stsb; with commas, or again for each.")] = None,
    methods: Annotated[Several, typer.Option(help="Default BCE-TD,CE-TD,random; any method will do.")] = None,
    budgets: Annotated[Several, typer.Option(help="Default 500,1000,2000,5000,10000,20000.")] = None,
    seeds: Annotated[Several, typer.Option(help="Default 0,1,2,3,4.")] = None,
    max_rows: Annotated[int, typer.Option(min=0, help="Rows of each task but the primaries; 0 takes all.")] = 0,
    config: Annotated[Path | None, typer.Option(help="JSON file with a JobConfig, but for what the grid sets.")] = None,
    preset: Annotated[str | None, typer.Option(help="'paper' (the default), or 'small' for CPUs.")] = None,
    encoder: Annotated[str | None, typer.Option(help="Known, or a folder; the paper's is bert-base-cased.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    as_published: Annotated[bool, typer.Option("--as-published", help="Imitate the published code's choices.")] = False,
    submission: Annotated[bool, typer.Option("--submission", help="Predict GLUE's test rows for its board.")] = False,
    figures: Annotated[bool, typer.Option(help="Draw the figures.")] = True,
    keep_models: Annotated[bool, typer.Option("--keep-models", help="Keep every fine-tuned model.")] = False,
    revision: Annotated[str | None, typer.Option(help="Of GLUE on the hub; default: one that is known.")] = None,
    as_json: cli_service.AsJson = False,
) -> None:
    """Run the paper's protocol on GLUE: every primary with every method, budget and seed, into one table."""
    from app.reproduce_command import Request, Tools, run_reproduce
    from fastmtl.reproduce import hub, network

    draw = None
    if figures:
        from fastmtl.reproduce import figures as drawing

        draw = drawing.draw
    network.silence_loading()
    lists = (primaries or (), methods or (), budgets or (), seeds or ())
    flags = (as_published, submission, keep_models, as_json)
    request = Request(data, output, *lists, max_rows, config, preset, encoder, device, revision, *flags)
    raise typer.Exit(run_reproduce(request, Tools(hub.fetch, network.predict_texts, draw)))


@app.command()
def doctor(
    device: Annotated[bool, typer.Option("--device", help="Also ask torch what would compute; takes seconds.")] = False,
    url: cli_service.Url = None,
    as_json: cli_service.AsJson = False,
) -> None:
    """Look at what is installed, reachable and free here, and say what to mend; 1 if something needed is broken."""
    from app.doctor import doctor

    raise typer.Exit(doctor(url, device=device, as_json=as_json))


app.command()(cli_service.estimate)


@keys.command("create")
def create_key(
    tenant: Annotated[str, typer.Option(help="Whose key it is, by name.")] = "default",
    name: Annotated[str, typer.Option(help="A name for people.")] = "made by the operator",
    scope: Annotated[str, typer.Option(help="read, write or admin; each may do what those before it may.")] = "read",
    expires_days: Annotated[int | None, typer.Option(min=1, max=3650, help="Days until it ends.")] = None,
    as_json: cli_service.AsJson = False,
) -> None:
    """Make a key and print it on standard output; it is not shown again."""
    from app.keys import Scope

    if scope not in list(Scope):
        raise typer.BadParameter(f"{scope!r} is none of {', '.join(Scope)}", param_hint="--scope")
    raise typer.Exit(_operator(as_json).create_key(tenant, name, Scope(scope), expires_days))


@keys.command("list")
def list_keys(
    tenant: Annotated[str | None, typer.Option(help="Only of this tenant.")] = None,
    as_json: cli_service.AsJson = False,
) -> None:
    """List keys, the ended ones too. What a key is, nobody can show."""
    raise typer.Exit(_operator(as_json).list_keys(tenant))


@keys.command("revoke")
def revoke_key(key: Key, as_json: cli_service.AsJson = False) -> None:
    """End a key at once."""
    raise typer.Exit(_operator(as_json).revoke_key(key))


@keys.command("rotate")
def rotate_key(
    key: Key,
    overlap_hours: Annotated[float, typer.Option(min=0, max=720, help="How long the old one still counts.")] = 24,
    as_json: cli_service.AsJson = False,
) -> None:
    """Make a key in the place of another, which then ends by itself; the new one is printed."""
    raise typer.Exit(_operator(as_json).rotate_key(key, overlap_hours))


@tenants.command("create")
def create_tenant(name: Annotated[str, typer.Argument(help="Its name.")], as_json: cli_service.AsJson = False) -> None:
    """Make a tenant: what is its, no other sees."""
    raise typer.Exit(_operator(as_json).create_tenant(name))


@tenants.command("list")
def list_tenants(as_json: cli_service.AsJson = False) -> None:
    """List the tenants, what they have and what they may have."""
    raise typer.Exit(_operator(as_json).list_tenants())


@tenants.command("set-quota")
def set_quota(
    name: Annotated[str, typer.Argument(help="The tenant's name.")],
    max_bytes: Annotated[str | None, typer.Option("--bytes", help="Of all its uploads; or 'default'.")] = None,
    max_rows: Annotated[str | None, typer.Option("--rows", help="Of all its datasets; or 'default'.")] = None,
    max_live_jobs: Annotated[str | None, typer.Option("--live-jobs", help="Not over at once; or 'default'.")] = None,
    max_priority: Annotated[str | None, typer.Option("--priority", help="Of its jobs, to 9; or 'default'.")] = None,
    as_json: cli_service.AsJson = False,
) -> None:
    """Set what a tenant may have; 'default' is what the service's settings say."""
    given = {"max_bytes": max_bytes, "max_rows": max_rows, "max_live_jobs": max_live_jobs, "max_priority": max_priority}
    raise typer.Exit(_operator(as_json).set_quota(name, given))


def _operator(as_json: bool) -> Operator:
    from app.keys_command import Operator
    from app.settings import Settings

    return Operator(Settings(), as_json=as_json)


def main() -> None:
    """Run the command."""
    if len(sys.argv) == 3 and sys.argv[1] in COMPLETION and sys.argv[2] in SHELLS:
        os.environ["_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION"] = "1"  # the shell is named: typer need not guess
    app()


if __name__ == "__main__":
    main()
