"""Cells of a CSV file that a spreadsheet would run."""

from __future__ import annotations

import pytest

from app.selection_file import cell


@pytest.mark.parametrize("begin", ["=", "+", "-", "@", "\t", "\r", "\n", "\0", "＝", "＋", "－", "＠"])
def test_a_text_that_begins_a_formula_is_given_an_apostrophe(begin: str):
    assert cell(f"{begin}cmd|' /C calc'!A0") == f"'{begin}cmd|' /C calc'!A0"


@pytest.mark.parametrize("value", ["mnli", "a=b", "", " =1", "'=1", "4:0.5;-1:0.2", -0.5, -3, 0, None])
def test_everything_else_is_left_alone(value: object):
    assert cell(value) == value
