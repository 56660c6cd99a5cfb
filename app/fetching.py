"""What a job made, onto this machine: its files, the chosen rows as a folder of `datasets`, the model."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

from fastmtl.client import Job, NotFound

As = Literal["files", "dataset", "model", "classifier"]
Export = Callable[[Path, Path], Path]
"""Takes a model's folder and the new one (fastmtl/classifier.py): the command hands it in, for it needs torch."""

FILES = (
    *("selection.parquet", "subset.parquet", "scores.parquet", "leaks.parquet", "explanations.parquet"),
    *("predictions.parquet", "report.html", "report.json", "figures.json"),
)
"""What a user keeps, as far as it is there."""


def download(job: Job, target: Path, kind: str, names: Sequence[str], export: Export | None) -> list[Path]:
    """Download into a folder and return what came.

    As `files` those of `names`, or those of FILES that the job has; as `dataset` a folder for `datasets.load_dataset`;
    as `model` one that `fastmtl.model.load_model` reads; as `classifier` one for transformers' own classes. Raises
    NotFound where there is nothing yet.
    """
    if kind == "dataset":
        return [job.save_subset(target)]
    if kind == "model":
        return [job.save_model(target)]
    if kind == "classifier":
        assert export is not None, "who asks for a classifier hands in what makes one"
        with tempfile.TemporaryDirectory(prefix="fastmtl-") as scratch:
            return [export(job.save_model(Path(scratch) / "model"), target)]
    wanted = list(names)
    if not wanted:
        there = {each.name for each in job.artifacts()}
        wanted = [name for name in FILES if name in there]
    if not wanted:
        raise NotFound({"status": 404, "detail": f"the job {job.id} is {job.status} and has made no files yet"})
    return [job.download(name, target / name) for name in wanted]
