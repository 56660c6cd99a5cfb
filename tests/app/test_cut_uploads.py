"""A large upload that is cut again and again arrives whole, and the API hardly notices."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from cut_upload import upload_with_cuts

MAX_GROWTH_MIB, MAX_P99_MS = 64, 50


def test_an_upload_with_five_cuts_is_the_same_and_held_in_no_memory(tmp_path: Path):
    figures = upload_with_cuts(64, 5, tmp_path)
    names = ("cuts", "digest_equal", "left_files", "health_failed")
    assert [figures[name] for name in names] == [5, True, 0, 0], figures
    assert figures["growth_mib"] <= MAX_GROWTH_MIB, figures


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_two_gibibytes_with_twenty_cuts_are_the_same_and_leave_the_api_as_quick_as_it_was(tmp_path: Path):
    figures = upload_with_cuts(int(os.environ.get("FASTMTL_TEST_UPLOAD_MIB", 2048)), 20, tmp_path)
    print(json.dumps(figures))  # noqa: T201 - the figures are what this test is for
    names = ("cuts", "digest_equal", "left_files", "health_failed")
    assert [figures[name] for name in names] == [20, True, 0, 0], figures
    assert figures["growth_mib"] <= MAX_GROWTH_MIB and figures["health_p99_ms"] <= MAX_P99_MS, figures
