"""docs/faults.md says what docs/faults.json says, and the page is made as it should be."""

from __future__ import annotations

from pathlib import Path

from accounts import Account, Point, at_most, exactly, told
from points import POINTS
from results import PAGE, page, read, record

HOUSES = Point(1, "Houses, shaken", "nowhere:shake")
CELLARS = Point(2, "Cellars", "nowhere:flood", stacks=("embedded",))


def test_the_page_is_that_of_the_figures():
    assert PAGE.read_text() == page(POINTS, read())


def test_every_point_has_a_number_of_its_own():
    assert len({point.number for point in POINTS}) == len(POINTS)


def test_a_page_tells_what_was_measured_what_failed_and_what_was_not_run(tmp_path: Path):
    path = tmp_path / "faults.json"
    figures = [exactly("houses lost", 1, 0), at_most("seconds", 3.14159, 5), told("houses", 12345)]
    record(HOUSES, "full", Account("They were shaken.", figures), 61.4, path)
    text = page([HOUSES, CELLARS], read(path))
    for line in [
        "| houses lost | 0 |  | **1, not as required** |",
        "| seconds | ≤ 5 |  | 3.14 |",
        "| houses |  |  | 12,345 |",
        "| 2 | [Cellars](#2-cellars) | not run yet | the same |",
        "## 2. Cellars\n\nNot run yet.",
    ]:
        assert line in text
    assert "[Houses, shaken](#1-houses-shaken) | not run yet | **failed**, " in text


def test_a_later_run_takes_the_place_of_the_one_before_on_its_stack(tmp_path: Path):
    path = tmp_path / "faults.json"
    for stack, lost in [("embedded", 1), ("full", 2), ("embedded", 0)]:
        record(HOUSES, stack, Account("", [exactly("houses lost", lost, 0)]), 1, path)
    found = {stack: run["figures"][0]["measured"] for stack, run in read(path)["1"].items()}
    assert found == {"embedded": 0, "full": 2}
