"""The `fastmtl` command. What a command needs is imported inside it, so that `--help` is quick."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    help="Which rows of other data sets should I train on?",
)


@app.command()
def serve() -> None:
    """Serve the API (FASTMTL_HOST, FASTMTL_PORT; see the README for every setting)."""
    import uvicorn

    from app import logs
    from app.main import create_app
    from app.settings import Settings

    logs.configure()
    settings = Settings()
    uvicorn.run(create_app(settings), host=settings.host, port=settings.port, access_log=False, log_level="warning")


@app.command()
def worker() -> None:
    """Run a worker: it takes steps from the queue and computes them, one at a time."""
    from app import logs
    from app.settings import Settings
    from worker.tasks import Worker

    logs.configure()
    Worker(Settings()).run()


@app.command()
def migrate() -> None:
    """Bring the database's tables up to date."""
    from app.db import Database
    from app.settings import Settings

    Database(Settings().database).migrate()


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
    primary: Annotated[Path, typer.Option(help="The task with few rows: CSV, TSV, JSONL or Parquet.")],
    auxiliary: Annotated[list[Path], typer.Option(help="A task to choose rows from; give it again for each.")],
    validation: Annotated[Path | None, typer.Option(help="Rows of the primary to measure on.")] = None,
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
) -> None:
    """Choose rows in this process, without a service."""
    from app.local_command import run_select

    options = {
        **{"budget": budget, "preset": preset, "loss": loss, "seed": seed, "encoder": encoder, "method": method},
        **{"selector": selector, "compare": compare, "repeats": repeats, "budget_curve": curve and curve.split(",")},
    }
    raise typer.Exit(run_select(primary, auxiliary, validation, output, config, options, device, train))


def main() -> None:
    """Run the command."""
    app()


if __name__ == "__main__":
    main()
