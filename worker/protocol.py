"""What a worker and its step's process say to one another: one file in, lines of JSON and one file out."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict

from fastmtl.keeping import Keeping
from fastmtl.plan import Json

REQUEST = "request.json"
RESULT = "result.json"
OUTPUT = "output"
STEP = "fastmtl-step"
"""Name of the step's process, for `ps` and `top`: one that was forked has the command line of its template."""


class Request(BaseModel):
    """What the step's process is asked."""

    model_config = ConfigDict(frozen=True)

    spec: Json
    """`fastmtl.plan.StepSpec` as JSON."""
    datasets: dict[str, Path]
    inputs: dict[str, Path]
    tokens: dict[str, Path] = {}
    """Folders where tokens of the datasets' rows are kept."""
    device: str
    threads: int | None
    keeping: Keeping | None = None
    """Where it keeps what it has done so far; None where it need not."""


class Message(BaseModel):
    """One line of the step's process."""

    model_config = ConfigDict(frozen=True)

    progress: Json | None = None
    """{done, total, unit, message, per_second, seconds_left}"""
    metrics: Json | None = None
    """What was measured, e.g. {epoch, loss}."""
    warning: str | None = None
    """A sentence for the user; the step goes on."""
    error: Json | None = None
    """{type, message}; the last line."""
    again: bool = False
    """Whether another attempt may end otherwise."""
