"""Break everything in full and write docs/faults.md: `python -m tests.faults.run`, which `make test-faults` calls.

With options only a part is run (`--point 1`, `--stack full`), the rest of the page staying as it is, or a share of it
(`--share 0.1`), which publishes nothing. `--page` only writes the page.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
SUPPORT = HERE.parent / "support"


def main(arguments: list[str]) -> int:
    """Run what is asked for; return pytest's exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.run", description="Break everything in full.")
    parser.add_argument("--point", type=int, help="number of the one test to run")
    parser.add_argument("--stack", choices=["embedded", "full"], help="the one stack to run on")
    parser.add_argument("--share", type=float, default=1.0, help="run so much of it; below 1 nothing is published")
    parser.add_argument("--page", action="store_true", help="run nothing, write the page")
    asked = parser.parse_args(arguments)
    status = 0 if asked.page else _run(asked)
    if asked.page or asked.share >= 1:
        _write_page()
    return status


def _run(asked: argparse.Namespace) -> int:
    os.environ["FASTMTL_TEST_FAULTS_SHARE"] = str(asked.share)
    wanted = [
        f"[{asked.point}-" if asked.point else "",
        f"-{asked.stack}]" if asked.stack else "",
    ]
    chosen = " and ".join(each for each in wanted if each)
    options = ["-m", "faults", "-p", "no:xdist", "--require-servers", "--color=yes", "-v"]
    return int(pytest.main([*options, *(["-k", chosen] if chosen else []), str(HERE / "test_points.py")]))


def _write_page() -> None:
    sys.path[:0] = [str(SUPPORT), str(HERE)]
    from points import POINTS
    from results import PAGE, page, read

    PAGE.write_text(page(POINTS, read()))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
