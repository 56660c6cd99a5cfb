"""What a step reads, brought to where its process finds it."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import NamedTuple

from app.jobs import Claim
from app.storage import Storage


class Brought(NamedTuple):
    """Where what a step reads lies on this machine."""

    datasets: dict[str, Path]
    """By digest."""
    inputs: dict[str, Path]
    """The folder of each needed step's files, by its fingerprint."""


def bring(storage: Storage, claim: Claim, folder: Path, stopping: threading.Event) -> Brought:
    """Put all of it below a folder. Raises OSError.

    A worker that stops brings no more: the step's process is ended before anything is made of it.
    """
    datasets = {digest: folder / "datasets" / f"{digest}.parquet" for digest in claim.datasets}
    inputs = {fingerprint: folder / "inputs" / fingerprint for fingerprint in claim.inputs}
    wanted = [(key, digest, datasets[digest]) for digest, key in claim.datasets.items()]
    for fingerprint, files in claim.inputs.items():
        wanted += [(each.storage_key, each.sha256, inputs[fingerprint] / each.name) for each in files]
    for key, sha256, target in wanted:
        if stopping.is_set():
            break
        storage.place(key, sha256, target)
    return Brought(datasets, inputs)
