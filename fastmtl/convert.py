"""Reading an upload in a process of its own, so that a hostile file can hurt nobody else.

    python -m fastmtl.convert SOURCE TARGET --options-json '{"file_format": "csv"}' --memory-bytes 2147483648

prints one JSON object: {"summary": {...}}, or {"problems": [{message, field, row, line}], "total": n}, or {"errno": n}
where the disk is full. Torch-free.
"""

from __future__ import annotations

import argparse
import gc
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from fastmtl.canonical import convert
from fastmtl.confined import NO_ROOM, confine
from fastmtl.datasets import Columns, FileFormat, TaskKind
from fastmtl.errors import InvalidDataset


def main() -> int:
    """Convert a file; return 0 also where the file is not good: the output tells."""
    parser = argparse.ArgumentParser(prog="python -m fastmtl.convert")
    parser.add_argument("source", type=Path)
    parser.add_argument("target", type=Path)
    parser.add_argument("--options-json", type=json.loads, default={})
    parser.add_argument("--memory-bytes", type=int)
    parser.add_argument("--parent", type=int, help="end with this process, however it ends")
    given = parser.parse_args()
    confine(given.memory_bytes, parent=given.parent)
    gc.disable()  # rows are no cycles, and a line of millions of lists would be looked through again and again
    try:
        answer = _convert(given.source, given.target, given.options_json)
    except MemoryError:
        told = f"reading this file needs more than {given.memory_bytes / 2**20:,.0f} MiB of memory: split it"
        answer = {"problems": [{"message": told, "field": None, "row": None, "line": None}], "total": 1}
    except OSError as error:
        if error.errno not in NO_ROOM:
            raise
        answer = {"errno": error.errno}
    sys.stdout.write(json.dumps(answer) + "\n")
    return 0


def _convert(source: Path, target: Path, options: dict[str, Any]) -> dict[str, Any]:
    file_format, kind = options.get("file_format"), options.get("kind")
    try:
        summary = convert(
            source,
            target,
            file_format=FileFormat(file_format) if file_format else None,
            columns=Columns(**(options.get("columns") or {})),
            kind=TaskKind(kind) if kind else None,
        )
    except InvalidDataset as error:
        return {"problems": [asdict(problem) for problem in error.problems], "total": error.total}
    labels = [{"label": each.label, "rows": each.rows} for each in summary.labels]
    return {"summary": {**asdict(summary), "labels": labels}}


if __name__ == "__main__":
    sys.exit(main())
