"""Uploads on the page: cut, gone on with after a reload, given up, named columns, and files of odd shapes."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from browsing import WIDTHS, Visit
from odd_files import ODD, REFUSED
from playwright.sync_api import Page, Route

pytestmark = [pytest.mark.xdist_group("browser"), pytest.mark.timeout(600)]

Begin = Callable[..., Visit]
PART_BYTES = 4 * 2**20
PARTS = re.compile(r"/v1/uploads/[0-9a-f-]{36}$")


def large(folder: Path, name: str) -> Path:
    """A file of three parts, the last one short."""
    path = folder / f"{name}.csv"
    rows = (f"{'the cat runs ' * 7_000}{row},{'yes' if row % 2 else 'no'}" for row in range(100))
    path.write_text("\n".join(["text,label", *rows]))
    assert 2 * PART_BYTES < path.stat().st_size < 3 * PART_BYTES
    return path


def choose(page: Page, *paths: Path) -> None:
    page.get_by_label("Choose files").set_input_files(list(paths))


class Cutter:
    """Cuts the connection of every part that begins at a byte, as often as it is told to."""

    def __init__(self, page: Page, offset: int, times: int) -> None:
        self.offset, self.left = offset, times
        self.sent: list[int] = []
        """Where the parts began that were sent."""
        page.route(PARTS, self._take)

    def _take(self, route: Route) -> None:
        begins = route.request.headers.get("upload-offset")
        if route.request.method != "PATCH" or begins is None:
            route.continue_()
            return
        self.sent.append(int(begins))
        if int(begins) == self.offset and self.left:
            self.left -= 1
            route.abort("connectionreset")
        else:
            route.continue_()


def test_an_upload_whose_connection_is_cut_goes_on_by_itself(visit: Begin, tmp_path: Path):
    page = visit().go("/datasets", "Datasets")
    cutter = Cutter(page, PART_BYTES, times=2)
    choose(page, large(tmp_path, "cut twice"))
    page.get_by_text("cut twice: 100 rows").wait_for()
    assert cutter.sent == [0, PART_BYTES, PART_BYTES, PART_BYTES, 2 * PART_BYTES]


def test_an_upload_goes_on_after_the_page_was_loaded_again(visit: Begin, tmp_path: Path):
    seen = visit()
    page = seen.go("/datasets", "Datasets")
    Cutter(page, PART_BYTES, times=100)
    choose(page, large(tmp_path, "loaded again"))
    page.get_by_text(re.compile(r"cut off at \d\d %, trying again")).wait_for()
    page.unroute_all()
    page.reload()
    page.get_by_role("heading", name="Unfinished uploads").wait_for()
    assert re.search(r"loaded again.csv, 4\d\.\d % of 8\.. MiB", page.get_by_role("main").inner_text())
    assert (seen.serious_findings(), seen.overflow()) == ([], 0)
    seen.shoot("unfinished")
    again = Cutter(page, -1, times=0)
    choose(page, tmp_path / "loaded again.csv")
    page.get_by_text("loaded again: 100 rows").wait_for()
    assert again.sent == [PART_BYTES, 2 * PART_BYTES]
    page.get_by_role("heading", name="Unfinished uploads").wait_for(state="hidden")


def test_an_unfinished_upload_is_given_up(visit: Begin, service, tmp_path: Path):
    page = visit().go("/datasets", "Datasets")
    Cutter(page, PART_BYTES, times=100)
    choose(page, large(tmp_path, "given up"))
    page.get_by_text("trying again").wait_for()
    page.unroute_all()
    page.reload()
    page.get_by_role("button", name="Give up given up.csv").click()
    page.get_by_role("button", name="Give up given up.csv").wait_for(state="hidden")
    assert "given up.csv" not in page.get_by_role("main").inner_text()


def test_an_upload_goes_on_while_another_view_is_looked_at(visit: Begin, tmp_path: Path):
    page = visit().go("/datasets", "Datasets")
    Cutter(page, PART_BYTES, times=1)
    choose(page, large(tmp_path, "looked away"))
    page.get_by_role("link", name="Jobs", exact=True).click()
    page.get_by_role("heading", level=1, name="Jobs").wait_for()
    page.get_by_role("link", name="Datasets").click()
    page.get_by_text("looked away: 100 rows").wait_for()


@pytest.mark.parametrize("width", WIDTHS)
def test_columns_that_are_not_known_are_named_and_the_file_sent_again(visit: Begin, tmp_path: Path, width: int):
    path = tmp_path / "moods.csv"
    path.write_text("tweet,mood\na cat,good\na dog,bad\n")
    seen = visit(width)
    page = seen.go("/datasets", "Datasets")
    choose(page, path)
    page.get_by_role("alert").wait_for()
    assert "the columns are 'tweet', 'mood'" in page.get_by_role("alert").inner_text()
    assert (seen.serious_findings(), seen.overflow()) == ([], 0)
    seen.shoot("unknown-columns")
    page.get_by_label("Column of the text", exact=True).fill("tweet")
    page.get_by_label("Column of the label", exact=True).fill("mood")
    page.get_by_role("button", name="send it again").click()
    page.get_by_text("moods: 2 rows").wait_for()


def test_files_of_odd_shapes_become_datasets_or_are_told_what_to_change(visit: Begin, tmp_path: Path):
    page = visit().go("/datasets", "Datasets")
    some = [*REFUSED, "tabs in a file called csv", "emoji", "right to left", "rows of 20,000 characters"]
    plain = {f"{name}.{ODD[name].suffix}": ODD[name] for name in some if not ODD[name].options}
    for name, odd in plain.items():
        (tmp_path / name).write_bytes(odd.content)
    choose(page, *(tmp_path / name for name in plain))
    lines = page.locator("section[aria-label=Upload] .notice")
    lines.nth(len(plain) - 1).wait_for(timeout=60_000)
    found = dict(zip(plain, (each.inner_text() for each in lines.all()), strict=True))
    wrong = [name for name, odd in plain.items() if odd.works and f": {odd.rows} rows" not in found[name]]
    silent = [(name, told) for name, odd in plain.items() for told in odd.told if told not in found[name]]
    assert (wrong, silent) == ([], [])
