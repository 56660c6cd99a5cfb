"""A large upload that is cut again and again arrives whole, and the API hardly notices."""

from __future__ import annotations

from pathlib import Path

from cut_upload import upload_with_cuts

MAX_GROWTH_MIB = 64


def test_an_upload_with_five_cuts_is_the_same_and_held_in_no_memory(tmp_path: Path):
    figures = upload_with_cuts(64, 5, tmp_path)
    names = ("cuts", "digest_equal", "left_files", "health_failed")
    assert [figures[name] for name in names] == [5, True, 0, 0], figures
    assert figures["growth_mib"] <= MAX_GROWTH_MIB, figures
