"""A progress bar where somebody looks: in a terminal, or below the cell of a notebook; elsewhere nothing. Torch-free.

It goes to standard error, so what a program prints stays its own.
"""

from __future__ import annotations

import html
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

Show = Callable[[float, str], None]
"""Takes the share that is done, from 0 to 1, and a few words."""


@contextmanager
def bar(title: str) -> Iterator[Show]:
    """Show a bar while the block runs."""
    if in_notebook():
        yield _Cell(title).show
    elif sys.stderr.isatty():
        with _terminal(title, Console(stderr=True)) as show:
            yield show
    else:
        yield lambda share, told: None


def in_notebook() -> bool:
    """Whether this process is the kernel of a notebook."""
    found = sys.modules.get("IPython")
    shell = found.get_ipython() if found is not None else None
    return getattr(shell, "kernel", None) is not None


@contextmanager
def _terminal(title: str, console: Console) -> Iterator[Show]:
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(30),
        TextColumn("{task.percentage:>3.0f} %"),
        TimeElapsedColumn(),
        TextColumn("{task.fields[told]}", markup=False),
    )
    with Progress(*columns, console=console) as bars:
        task = bars.add_task(title, total=1.0, told="")
        yield lambda share, told: bars.update(task, completed=share, told=told)


class _Cell:
    """A bar below a cell, changed in place by the notebook itself: no widgets are needed."""

    def __init__(self, title: str) -> None:
        self._title, self._share, self._told = title, 0.0, ""
        self._handle: Any = import_module("IPython.display").display(self, display_id=True)

    def show(self, share: float, told: str) -> None:
        """Change it."""
        self._share, self._told = share, told
        self._handle.update(self)

    def _repr_html_(self) -> str:
        """Return what a notebook draws."""
        words = html.escape(f"{self._title}: {100 * self._share:.0f} % {self._told}".rstrip())
        return f'<progress value="{self._share:.4f}" max="1"></progress> {words}'

    def __repr__(self) -> str:
        """Return what a front end without HTML writes."""
        return f"{self._title}: {100 * self._share:.0f} % {self._told}".rstrip()
