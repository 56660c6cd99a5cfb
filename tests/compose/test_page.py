"""The table of `make test-compose` in docs/operating.md, and the lines that it runs from there."""

from __future__ import annotations

from dataclasses import asdict

import pytest
from keeping import lines
from page import PAGE, Outcome, filled, read, table


def test_the_table_on_the_page_is_made_of_what_was_seen():
    assert filled(PAGE.read_text(), table(read())) == PAGE.read_text()


def test_the_table_takes_the_place_of_the_last_one():
    assert filled("a\n<!-- compose -->\nold\n<!-- /compose -->\nb", "new") == (
        "a\n<!-- compose -->\n\nnew\n\n<!-- /compose -->\nb"
    )


def test_what_failed_is_called_so_and_nothing_breaks_the_table():
    one = Outcome("one", True, 3, "all | well", "2026-01-31", "a machine")
    two = Outcome("two", False, 4, "it broke", "2026-02-01", "a machine")
    assert table({"1": asdict(one), "2": asdict(two)}).splitlines() == [
        "On a machine, with the CPU override.",
        "",
        "| tried | when | seconds | seen |",
        "| --- | --- | --- | --- |",
        "| one | 2026-01-31 | 3 | all \\| well |",
        "| two | 2026-02-01 | 4 | **failed**: it broke |",
    ]


@pytest.mark.parametrize("name", ["back-up", "restore"])
def test_the_lines_that_are_run_stand_on_the_page(name: str):
    assert "docker compose exec -T postgres pg_" in lines(name)
