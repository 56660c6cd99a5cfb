"""What a job made, onto this machine: its files, the chosen rows as a folder of `datasets`, the model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from fastmtl.client import Job, NotFound

As = Literal["files", "dataset", "model"]

FILES = (
    *("selection.parquet", "subset.parquet", "scores.parquet", "leaks.parquet", "explanations.parquet"),
    *("predictions.parquet", "report.json"),
)
"""What a user keeps, as far as it is there."""


def download(job: Job, target: Path, kind: str, names: Sequence[str]) -> list[Path]:
    """Download into a folder and return what came.

    As `files` those of `names`, or those of FILES that the job has; as `dataset` a folder for `datasets.load_dataset`;
    as `model` one for transformers. Raises NotFound where there is nothing yet.
    """
    if kind == "dataset":
        return [job.save_subset(target)]
    if kind == "model":
        return [job.save_model(target)]
    wanted = list(names)
    if not wanted:
        there = {each.name for each in job.artifacts()}
        wanted = [name for name in FILES if name in there]
    if not wanted:
        raise NotFound({"status": 404, "detail": f"the job {job.id} is {job.status} and has made no files yet"})
    return [job.download(name, target / name) for name in wanted]
