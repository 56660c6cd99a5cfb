"""Bars: in a terminal, below a notebook's cell, and nowhere else."""

from __future__ import annotations

import io
import sys
from types import ModuleType, SimpleNamespace

import pytest

from fastmtl.client.bars import bar, in_notebook


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("colour", [None, "1"])
def test_nothing_is_written_where_nobody_looks(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, colour: str | None
):
    if colour:
        monkeypatch.setenv("FORCE_COLOR", colour)
    with bar("upload") as show:
        show(0.5, "half")
    assert capfd.readouterr() == ("", "")


def test_a_terminal_shows_what_is_done(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sys, "stderr", terminal := Terminal())
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "200")
    with bar("upload [a]") as show:
        show(0.5, "1 of 2 MiB [b]")
    assert ("upload [a]" in terminal.getvalue(), " 50 %" in terminal.getvalue()) == (True, True)
    assert ("1 of 2 MiB [b]" in terminal.getvalue(), capsys.readouterr().out) == (True, "")


class Handle:
    """What IPython gives for a display that can be changed."""

    def __init__(self, shown: object, drawn: list[str]) -> None:
        self._drawn = drawn
        self.update(shown)

    def update(self, shown: object) -> None:
        self._drawn.append(shown._repr_html_())  # type: ignore[attr-defined]


def test_a_notebook_changes_one_line_below_the_cell(monkeypatch: pytest.MonkeyPatch):
    drawn: list[str] = []
    notebook, display = ModuleType("IPython"), ModuleType("IPython.display")
    notebook.get_ipython = lambda: SimpleNamespace(kernel=object())  # type: ignore[attr-defined]
    display.display = lambda shown, display_id: Handle(shown, drawn)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "IPython", notebook)
    monkeypatch.setitem(sys.modules, "IPython.display", display)
    assert in_notebook()
    with bar("job <b>") as show:
        show(0.5, "running")
    assert drawn == [
        '<progress value="0.0000" max="1"></progress> job &lt;b&gt;: 0 %',
        '<progress value="0.5000" max="1"></progress> job &lt;b&gt;: 50 % running',
    ]
