"""What a command says: its result on standard output, everything else on standard error.

With `--json` the result is one JSON document, and so is what went wrong. Where nobody looks there are no control
characters: no colour, no bar that moves, one line a step.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Sequence

from rich.console import Console, RenderableType
from rich.table import Column, Table
from rich.text import Text

from app.exits import KINDS, Exit, exit_of
from fastmtl.client import ServiceError
from fastmtl.errors import InvalidDataset

PIPED_WIDTH = 500
"""Columns of a table that no terminal shows: whoever reads it wants whole names."""


class OurFault(Exception):
    """Something went wrong that nobody foresaw."""

    def __init__(self, told: str) -> None:
        super().__init__(f"this is our mistake ({told}); with FASTMTL_LOG_LEVEL=debug it shows where")


class Terminal:
    """Where a command writes."""

    def __init__(self, *, as_json: bool = False) -> None:
        self.as_json = as_json
        self.out = _console(stderr=False)
        self.told = _console(stderr=True)

    def result(self, raw: object, *shown: RenderableType) -> None:
        """Print a result: as JSON where that was asked for, else for people."""
        if self.as_json:
            sys.stdout.write(json.dumps(raw, indent=2, ensure_ascii=False) + "\n")
            return
        for each in shown:
            self.out.print(each)

    def note(self, text: str) -> None:
        """Say something beside the result."""
        self.told.print(text)

    def refuse(self, error: BaseException) -> Exit:
        """Say what went wrong, a line each, and return what to end with."""
        code = exit_of(error)
        if self.as_json:
            sys.stderr.write(json.dumps(_problem(error) | {"exit": int(code)}, ensure_ascii=False) + "\n")
            return code
        for line in _lines(error):
            self.told.print(Text.assemble(("error:", "red"), f" {line}"))
        return code


def run(terminal: Terminal, command: Callable[[], Exit | None]) -> int:
    """Run a command and return what to end with; an error that is known becomes a sentence."""
    try:
        return command() or Exit.OK
    except KINDS as error:
        return terminal.refuse(error)
    except Exception as error:
        if os.environ.get("FASTMTL_LOG_LEVEL") == "debug":
            raise
        return terminal.refuse(OurFault(f"{type(error).__name__}: {error}"))


def table(*columns: str, right: Sequence[str] = ()) -> Table:
    """Return an empty table without lines, that a pipe can read; the first column is never broken."""
    made = [
        Column(name, no_wrap=index == 0, justify="right" if name in right else "left")
        for index, name in enumerate(columns)
    ]
    return Table(*made, box=None, pad_edge=False)


def _console(*, stderr: bool) -> Console:
    """Return a console that takes for a terminal only what is one, whatever the environment says."""
    looks = (sys.stderr if stderr else sys.stdout).isatty()
    console = Console(highlight=False, markup=False, stderr=stderr, force_terminal=looks, soft_wrap=not looks)
    if not looks:
        console.width = PIPED_WIDTH
    return console


def _lines(error: BaseException) -> list[str]:
    if isinstance(error, InvalidDataset):
        return [str(problem) for problem in error.problems]
    if isinstance(error, KeyboardInterrupt):
        return ["stopped"]
    if isinstance(error, OSError) and error.filename:
        return [f"{error.filename}: {error.strerror}"]
    told = [str(error) or type(error).__name__]
    if isinstance(error, ServiceError):
        told = [str(error.problem.get("detail") or error.problem.get("title") or error)]
        told += [each.message for each in error.errors if each.message not in told[0]]
        if error.retry_after is not None:
            told.append(f"try again in {error.retry_after:.0f} s")
    return told


def _problem(error: BaseException) -> dict[str, object]:
    if isinstance(error, ServiceError):
        return error.problem
    return {"title": type(error).__name__, "detail": "; ".join(_lines(error))}
