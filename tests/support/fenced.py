"""Pages of Markdown as tests read them: their blocks of code, their tables, and a shell that runs the commands."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent


def blocks(page: str, language: str) -> list[str]:
    """Return the blocks of a language, in order."""
    return re.findall(rf"```{language}\n(.*?)```", page, re.DOTALL)


def table_between(page: str, mark: str | None, after: str = "") -> list[tuple[str, ...]]:
    """Return the cells of a table: the one between <!-- MARK --> and <!-- end -->, or the one with this header."""
    if mark is not None:
        page = page.partition(f"<!-- {mark} -->\n\n")[2].partition("\n\n<!-- end -->")[0]
        lines = page.splitlines()[2:]
    else:
        lines = page.partition(f"{after}\n")[2].partition("\n\n")[0].splitlines()[1:]
    assert lines, mark or after
    return [tuple(cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", line)[1:-1]) for line in lines]


def run_shell(scripts: Sequence[str], folder: Path, environment: Mapping[str, str]) -> str:
    """Run blocks as one script where `fastmtl` is ours; return what it printed. It has to end well."""
    shim = folder / "bin" / "fastmtl"
    shim.parent.mkdir(exist_ok=True)
    shim.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m app.cli "$@"\n')
    shim.chmod(0o755)
    paths = {"PATH": f"{shim.parent}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}
    head = """set -euo pipefail; trap 'echo "failed: $BASH_COMMAND" >&2' ERR"""
    script = "\n".join([head, *scripts])
    told = subprocess.run(
        ["bash", "-c", script], cwd=folder, env={**os.environ, **environment, **paths}, capture_output=True, text=True
    )
    assert told.returncode == 0, f"{told.stdout[-2000:]}\n{told.stderr[-2000:]}"
    assert "Traceback" not in told.stderr
    return told.stdout
