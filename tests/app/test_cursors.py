"""Cursors of pages that run upwards."""

from __future__ import annotations

import pytest

from app.cursors import number_of, position_after
from fastmtl.errors import InvalidConfig


@pytest.mark.parametrize("number", [0, 1, 2**63 - 1])
def test_a_cursor_leads_back_to_its_number(number):
    assert number_of(position_after(number)) == number


@pytest.mark.parametrize(
    "cursor",
    ["", "nonsense", "é", "WyIxIl0", "Wy0xXQ", "W3RydWVd", "WzEuMF0", "WzEsMl0", "W10", "MQ", position_after(2**63)],
    # nothing, no JSON, no ASCII, ["1"], [-1], [true], [1.0], [1,2], [], 1, and one too large
)
def test_what_is_no_cursor_is_refused_by_field(cursor):
    with pytest.raises(InvalidConfig) as caught:
        number_of(cursor)
    assert caught.value.field == "cursor"
