"""A job from its form to its rows."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable

import pytest
from browsing import WIDTHS, Visit

pytestmark = [pytest.mark.xdist_group("browser"), pytest.mark.timeout(600)]

Begin = Callable[..., Visit]
ROWS = "[data-place=rows] tbody tr"


DRAWN = """canvas => {
    const { data, width } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
    const place = data.findIndex((value, index) => index % 4 === 3 && value > 0) >> 2;
    return [place % width, Math.floor(place / width)].map(each => each / devicePixelRatio);
}"""
"""Where the first point is on a canvas."""


def cells(page, column: int) -> list[str]:
    return [each.inner_text() for each in page.locator(f"{ROWS} td:nth-child({column})").all()]


def look(visit: Begin, watched) -> Visit:
    seen = visit()
    seen.go(f"/jobs/{watched.job_id}", "from the form")
    seen.page.locator(ROWS).first.wait_for()
    return seen


def settled(page) -> None:
    page.locator("[data-place=rows] [aria-busy=false]").wait_for()


def test_the_form_tells_what_the_job_will_take_and_how_else_to_ask(watched):
    assert "Rows to train on" in watched.estimate and "Rows to score" in watched.estimate
    assert '"method": "dsir"' in watched.curl and "Bearer $FASTMTL_API_KEY" in watched.curl


def test_a_job_is_watched_to_its_end_without_loading_again(watched):
    assert watched.states[-2:] == ["running", "succeeded"]
    assert len(set(watched.done)) > 3 and watched.done == sorted(watched.done) and watched.done[-1] == 1
    assert "against" in watched.verdict and "95 % interval" in watched.verdict
    assert watched.lines == 4  # two trainings of two arms
    assert watched.wrong == []


def test_what_was_asked_for_is_what_was_done(watched, service):
    job = service.client.job(watched.job_id)
    assert (job["config"]["method"], job["config"]["budget"], job["selection"]["budget"]) == ("dsir", 90, 90)
    assert job["config"]["encoder"] == {"name": "tiny", "pooling": "auto", "max_length": 24}


def test_rows_are_paged_by_the_service(visit: Begin, watched):
    page = look(visit, watched).page
    assert cells(page, 1) == [str(rank) for rank in range(1, 26)]
    with page.expect_response(lambda each: "offset=25" in each.url):
        page.get_by_role("button", name="After").click()
    page.get_by_text("26 to 50 of 90").wait_for()
    assert cells(page, 1)[0] == "26"


def test_rows_are_sorted_by_the_service(visit: Begin, watched):
    page = look(visit, watched).page
    header = page.get_by_role("button", name="Row", exact=True)
    for _ in range(2):
        header.click()
        settled(page)
    page.locator("th[aria-sort=descending]").wait_for()
    rows = [int(each) for each in cells(page, 5)]
    assert rows == sorted(rows, reverse=True)
    assert page.evaluate("document.activeElement.textContent") == "Row ▼"  # the focus stays where it was


def test_rows_are_found_by_their_text_and_a_hostile_one_is_a_text(visit: Begin, watched):
    page = look(visit, watched).page
    page.get_by_label("Holding").fill("<IMG SRC=X")
    page.get_by_text("1 to 1 of 1").wait_for()
    assert "<img src=x onerror=\"document.title='broken'\"></script><b>the cat runs</b>" in cells(page, 7)[0]
    assert (page.locator("main img, main b > *").count(), page.title()) == (0, "Job · FastMTL")


def test_a_row_says_why_it_was_chosen(visit: Begin, watched):
    page = look(visit, watched).page
    page.get_by_text("Why row").first.click()
    why = page.locator("details.why[open]").inner_text()
    assert "higher. The primary's rows that say the nearest things:" in why
    assert why.count("similarity") == 3


def test_the_rows_just_below_the_cut_are_shown(visit: Begin, watched, service):
    page = look(visit, watched).page
    last = service.client.selection(watched.job_id).rows[-1].score
    page.get_by_label("Rows", exact=True).last.select_option("below")
    page.get_by_role("table", name="Rows that were not chosen").wait_for()
    assert all(float(each) <= last + 1e-4 for each in cells(page, 1))
    page.get_by_text("These lie just below the cut").wait_for()


def test_where_a_selector_does_not_go_by_the_score_alone_the_page_says_so(visit: Begin, service, capped: str):
    page = visit().go(f"/jobs/{capped}", "capped")
    page.get_by_label("Rows", exact=True).last.select_option("below")
    page.get_by_text("the selector caps does not go by the score alone").wait_for()
    assert re.search(r"\d+ of these score higher than the lowest chosen row", page.get_by_role("main").inner_text())


def test_two_jobs_are_compared(visit: Begin, watched, service, smaller):
    page = visit().go("/jobs", "Jobs")
    for name in ("from the form", "smaller"):
        page.get_by_label(f"Compare {name}").check()
    page.get_by_role("link", name="Compare the two").click()
    page.get_by_role("heading", name="What both chose").wait_for()
    told = page.get_by_role("main").inner_text()
    assert "Both chose 30 rows: 33.3 % of those that either did." in told
    assert "budget" in told


def test_the_chosen_rows_are_downloaded(visit: Begin, watched, service, tmp_path):
    page = look(visit, watched).page
    with page.expect_download() as started:
        page.get_by_role("link", name="csv", exact=True).click()
    started.value.save_as(tmp_path / "rows.csv")
    with (tmp_path / "rows.csv").open(newline="") as file:
        rows = [int(row["row"]) for row in csv.DictReader(file)]
    assert rows == [each.row for each in service.client.selection(watched.job_id).rows]


def test_the_report_is_downloaded_as_a_file_of_its_own(visit: Begin, watched, tmp_path):
    page = look(visit, watched).page
    with page.expect_download() as started:
        page.get_by_role("link", name="report.html", exact=True).first.click()
    started.value.save_as(tmp_path / "report.html")
    html = (tmp_path / "report.html").read_text()
    assert (html.count("<figure>"), "<script" in html, "alike &lt;b&gt;" in html) == (5, False, True)
    figures = page.get_by_role("link", name="figures.tar")
    assert figures.get_attribute("href").endswith("/artifacts/figures")


def test_a_job_is_paused_resumed_cancelled_and_tried_again(visit: Begin, service, datasets):
    ids = [datasets[name] for name in ("primary", "unlike")]
    config = {"method": "random", "budget": 7, "encoder": {"name": "tiny", "max_length": 24}, "compare": []}
    job = service.client.submit(ids[0], ids[1:], config=config, name="held back")
    page = visit().go(f"/jobs/{job['id']}", "held back")
    for press, state in (("Pause", "paused"), ("Resume", None), ("Cancel", "cancelled"), ("Try again", None)):
        page.get_by_role("button", name=press).click()
        page.get_by_role("button", name=press).wait_for(state="hidden")
        assert state is None or page.locator(".state .badge").inner_text() == state
    page.get_by_role("button", name="Cancel").click()
    page.get_by_role("button", name="Try again").wait_for()
    assert service.client.job(job["id"])["status"] == "cancelled"


@pytest.mark.parametrize("width", WIDTHS)
def test_the_row_under_the_pointer_of_the_map_is_read(visit: Begin, mapped: str, width: int):
    seen = visit(width)
    page = seen.go(f"/jobs/{mapped}", "mapped")
    canvas = plane(page)
    canvas.scroll_into_view_if_needed()
    assert "A map of 150 rows of primary, alike <b>, unlike" in str(canvas.get_attribute("aria-label"))
    box = canvas.bounding_box()
    place = canvas.evaluate(DRAWN)
    page.mouse.move(box["x"] + place[0] - 3, box["y"] + place[1])
    page.mouse.move(box["x"] + place[0], box["y"] + place[1])
    page.locator(".told .text").first.wait_for()
    assert re.match(r"row \d+ of [\s\S]+label", page.locator(".told").inner_text())
    for colour in ("chosen", "score"):
        page.get_by_label("Colour by").select_option(colour)
    assert (seen.serious_findings(), seen.overflow()) == ([], 0)
    seen.shoot("map")


def test_the_map_is_read_by_keyboard_from_row_to_row(visit: Begin, mapped: str):
    page = visit().go(f"/jobs/{mapped}", "mapped")
    plane(page).focus()
    told = []
    for key in 3 * ("ArrowRight", "ArrowDown", "ArrowLeft", "ArrowUp", "ArrowRight"):
        page.keyboard.press(key)
        page.locator(".told .text").first.wait_for()
        told.append(page.locator(".told b").inner_text())
    assert len(set(told)) >= 3 and all(re.match(r"row \d+ of ", each) for each in told)


def test_the_map_is_moved_and_brought_nearer(visit: Begin, mapped: str):
    page = visit().go(f"/jobs/{mapped}", "mapped")
    canvas = plane(page)
    canvas.scroll_into_view_if_needed()
    whole = canvas.evaluate(PIXELS)
    page.get_by_role("button", name="Closer").click()
    near = changed(page, canvas, whole)
    box = canvas.bounding_box()
    page.mouse.move(box["x"] + 200, box["y"] + 200)
    page.mouse.down()
    page.mouse.move(box["x"] + 300, box["y"] + 260)
    page.mouse.up()
    moved = changed(page, canvas, near)
    page.mouse.move(2, 2)
    canvas.focus()
    page.keyboard.press("0")
    changed(page, canvas, moved)


def plane(page):
    """The map's canvas, which is drawn when one comes near to it."""
    page.get_by_role("heading", name="Where the rows lie").scroll_into_view_if_needed()
    return page.locator("canvas.map")


PIXELS = "canvas => canvas.toDataURL()"


def changed(page, canvas, before: str) -> str:
    """Wait until something else is drawn; return it."""
    page.wait_for_function("([canvas, before]) => canvas.toDataURL() !== before", arg=[canvas.element_handle(), before])
    return canvas.evaluate(PIXELS)
