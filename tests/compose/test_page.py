"""The table of `make test-compose` in docs/operating.md, and the lines that it runs from there."""

from __future__ import annotations

import pytest
from keeping import lines
from page import MARKS, PAGE, Outcome, filled, table


def test_the_page_has_a_place_for_the_table():
    text = PAGE.read_text()
    begin, end = (text.index(mark) for mark in MARKS)
    assert begin < end and filled(text, text[begin + len(MARKS[0]) : end].strip()) == text


def test_the_table_takes_the_place_of_the_last_one():
    assert filled("a\n<!-- compose -->\nold\n<!-- /compose -->\nb", "new") == (
        "a\n<!-- compose -->\n\nnew\n\n<!-- /compose -->\nb"
    )


def test_what_failed_is_called_so_and_nothing_breaks_the_table():
    told = table([Outcome("one", True, 3, "all | well\n"), Outcome("two", False, 4, "it\nbroke")], "2026-01-31")
    assert told.splitlines()[-2:] == ["| one | 3 | all \\| well  |", "| two | 4 | **failed**: it broke |"]


@pytest.mark.parametrize("name", ["back-up", "restore"])
def test_the_lines_that_are_run_stand_on_the_page(name: str):
    assert "docker compose exec -T postgres pg_" in lines(name)
