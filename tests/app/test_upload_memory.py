"""An upload is never held in memory, measured on a real process."""

from __future__ import annotations

import runpy
from pathlib import Path

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "upload_memory.py"


def test_the_apis_memory_grows_by_less_than_64_mib_however_large_the_file():
    measured = runpy.run_path(str(BENCHMARK))["measure"](160)
    assert measured["growth_mib"] < 64, measured
