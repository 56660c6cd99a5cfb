"""Steps that are cut off and gone on with: the same step computed at once, and in many short attempts."""

from __future__ import annotations

import importlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fastmtl.artifacts import sha256
from fastmtl.keeping import Keeping
from fastmtl.plan import StepSpec, Workspace


class CutOff(BaseException):
    """What a kill is to the code that it hits: not an Exception that anything would handle."""


@dataclass
class Teller:
    """Takes note of everything, and cuts the step off at the n-th call."""

    calls_left: int | None = None
    messages: list[str] = field(default_factory=list)
    measured: list[dict[str, Any]] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def __call__(self, done: int, total: int, unit: str, message: str = "") -> None:
        if self.calls_left == 0:
            raise CutOff
        self.calls_left = None if self.calls_left is None else self.calls_left - 1
        self.messages.append(message)

    def metrics(self, metrics: dict[str, Any]) -> None:
        self.measured.append(metrics)

    def warning(self, message: str) -> None:
        self.warnings.append(message)


@dataclass
class Attempts:
    """The attempts at one step, each in folders of its own; every chance to keep something is taken."""

    spec: StepSpec
    datasets: dict[str, Path]
    inputs: dict[str, Path]
    folder: Path
    tellers: list[Teller] = field(default_factory=list)

    def run(self, calls: int | None = None) -> Path | None:
        """Make an attempt, cut off after so many words; return its output, None where it was cut off."""
        number = len(self.tellers) + 1
        self.tellers.append(Teller(calls))
        output = self.folder / f"output-{number}"
        output.mkdir(parents=True)
        older = tuple(self.folder / f"kept-{each}" for each in range(number - 1, 0, -1))
        keeping = Keeping(self.folder / f"kept-{number}", older, seconds=0)
        step = importlib.import_module(f"fastmtl.steps.{self.spec.kind}")
        try:
            step.run(self.spec, Workspace(self.datasets, self.inputs, output, "cpu", self.tellers[-1], keeping))
        except CutOff:
            return None
        return output

    def run_cut_every(self, calls: int) -> Path:
        """Make attempts, each cut off after so many words, until one comes to the end; return its output."""
        while True:
            if output := self.run(calls):
                return output
            assert len(self.tellers) < 100, "it does not get on"


def contents(folder: Path) -> dict[str, Any]:
    """Return what a step left behind; how much memory was free is no result."""
    found: dict[str, Any] = {}
    for path in sorted(each for each in folder.rglob("*") if each.is_file()):
        content: Any = sha256(path)  # bytes that differ would take pytest minutes to show
        if path.suffix == ".json":
            content = json.loads(path.read_text())
            if isinstance(content, dict):
                content.pop("machine", None)
        found[path.relative_to(folder).as_posix()] = content
    return found
