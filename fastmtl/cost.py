"""What a step took: seconds, passes through the encoder, and memory at its peak. Torch-free.

Every step's folder holds costs.json: its own record and those of all steps that it needed, however far back.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from fastmtl.plan import Json, StepSpec

FILE = "costs.json"
PROC = Path("/proc/self")


SCORING = ("score", "tokens", "sample", "cascade", "embed", "lm_loss", "gradients", "rank")
"""Kinds of steps that score rows."""


@contextmanager
def measured(spec: StepSpec, inputs: Iterable[Path], output: Path, device: str) -> Iterator[Json]:
    """Write costs.json into `output` when the step is done; give the step's result to what is yielded.

    A record is {step, kind, seconds, passes, rows, bytes, device_bytes}: `passes` are rows forward through the encoder
    (a training row counts three), `rows` those that the step says it went over, or None; `bytes` are the process's
    memory at its peak, what it shares with the one that it was forked from included, `device_bytes` a GPU's, else 0. A
    training's record also has the `losses` of its epochs: what the report draws of steps far back.
    """
    forget_peak(device)
    began = time.monotonic()
    result: Json = {}
    yield result
    own = {
        "step": spec.name,
        "kind": spec.kind,
        "seconds": round(time.monotonic() - began, 3),
        "passes": spec.cost,
        "rows": result["rows"] if isinstance(result.get("rows"), int) else None,
        "bytes": peak_bytes(),
        "device_bytes": device_bytes(device),
        **({"losses": result["losses"]} if "losses" in result else {}),
    }
    records = {fingerprint: record for folder in inputs for fingerprint, record in read(folder).items()}
    (output / FILE).write_text(json.dumps({**records, spec.fingerprint: own}))


def read(folder: Path) -> Json:
    """Return the records of a step and of all that it needed, by fingerprint; empty where there are none."""
    path = folder / FILE
    records: Json = json.loads(path.read_text()) if path.exists() else {}
    return records


def total(records: Iterable[Json]) -> Json:
    """Add up seconds and passes; memory is the largest of all."""
    listed = list(records)
    return {
        "seconds": round(sum(each["seconds"] for each in listed), 3),
        "passes": sum(each["passes"] for each in listed),
        "bytes": max((each["bytes"] for each in listed), default=0),
        "device_bytes": max((each["device_bytes"] for each in listed), default=0),
    }


def rows_per_second(records: Iterable[Json]) -> float | None:
    """Return how many auxiliary rows were scored in a second, by all steps that do; None where none was.

    A method that has another one's ranking below its own ranks the same rows twice.
    """
    listed = [each for each in records if each["kind"] in SCORING]
    rows = max((each["rows"] or 0 for each in listed if each["kind"] == "rank"), default=0)
    seconds = sum(each["seconds"] for each in listed)
    return rows / seconds if rows and seconds else None


def forget_peak(device: str) -> None:
    """Let the peak begin at what is held now: a process may compute several steps."""
    with suppress(OSError):
        (PROC / "clear_refs").write_text("5")  # proc(5): resets VmHWM
    if device.startswith("cuda"):
        sys.modules["torch"].cuda.reset_peak_memory_stats(device)


def peak_bytes() -> int:
    """Return the process's peak, bytes: VmHWM where there is a /proc, else since the process began."""
    status = PROC / "status"
    if status.exists():
        line = next(each for each in status.read_text().splitlines() if each.startswith("VmHWM"))
        return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def device_bytes(device: str) -> int:
    """Return a GPU's memory at its peak, else 0."""
    return int(sys.modules["torch"].cuda.max_memory_allocated(device)) if device.startswith("cuda") else 0
