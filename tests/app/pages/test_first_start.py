"""The first minutes: signing in, and sending files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from browsing import WIDTHS, Visit
from playwright.sync_api import Browser

from app.auth import COOKIE

pytestmark = [pytest.mark.xdist_group("browser"), pytest.mark.timeout(600)]

Begin = Callable[..., Visit]


@pytest.mark.parametrize("width", WIDTHS)
def test_nobody_is_let_in_without_a_key_that_counts(browser: Browser, service, width: int):
    visit = Visit(browser, service.url, width)
    visit.page.goto(f"{service.url}/#/jobs")
    visit.page.get_by_label("API key").fill("fastmtl_nonsense")
    visit.page.get_by_role("button", name="Sign in").click()
    visit.page.get_by_role("alert").wait_for()
    assert "this is not a key of this service" in visit.page.get_by_role("alert").inner_text()
    assert (visit.serious_findings(), visit.overflow(), visit.wrong) == ([], 0, [])
    visit.shoot("sign-in")
    visit.context.close()


def test_the_key_is_left_where_no_script_finds_it(visit: Begin, service):
    page = visit().page
    (cookie,) = page.context.cookies()
    assert (cookie["name"], cookie["httpOnly"], cookie["sameSite"]) == (COOKIE, True, "Strict")
    held = page.evaluate("[document.cookie, JSON.stringify({...localStorage, ...sessionStorage}), location.href]")
    assert held == ["", "{}", f"{service.url}/"]
    assert service.key not in page.content() and service.key not in str(cookie)


def test_who_signs_out_is_asked_for_a_key_again(visit: Begin):
    page = visit().page
    page.get_by_role("button", name="Sign out").click()
    page.get_by_label("API key").wait_for()
    page.reload()
    page.get_by_label("API key").wait_for()
    assert page.context.cookies() == []


def test_a_session_that_ended_elsewhere_leads_back_to_the_key(visit: Begin):
    page = visit().page
    page.context.clear_cookies()
    page.get_by_role("link", name="Datasets").click()
    page.get_by_label("API key").wait_for()


def test_a_chosen_file_becomes_a_dataset(visit: Begin, tmp_path: Path):
    path = tmp_path / "mine.csv"
    path.write_text("text,label\na cat,yes\na dog,no\na bird,no\n")
    page = visit().go("/datasets", "Datasets")
    page.get_by_label("Choose files").set_input_files(path)
    page.get_by_text("mine: 3 rows").wait_for()
    page.get_by_role("table", name="Datasets").get_by_role("link", name="mine", exact=True).first.click()
    page.get_by_role("heading", name="mine").wait_for()
    told = page.get_by_role("main").inner_text()
    assert "classification: a label is a class" in told
    assert "Fewer than five rows each have the label" in told


def test_a_dropped_file_becomes_a_dataset(visit: Begin):
    page = visit().go("/datasets", "Datasets")
    drop = """() => {
        const held = new DataTransfer();
        held.items.add(new File(['text\\tlabel\\na cat\\t1\\na dog\\t0\\n'], 'dropped.tsv'));
        document.querySelector('.drop').dispatchEvent(new DragEvent('drop', {dataTransfer: held, bubbles: true}));
    }"""
    page.evaluate(drop)
    page.get_by_text("dropped: 2 rows").wait_for()


@pytest.mark.parametrize("width", WIDTHS)
def test_what_is_wrong_with_a_file_is_shown_at_its_row(visit: Begin, tmp_path: Path, width: int):
    path = tmp_path / "bad.csv"
    path.write_text('text,label\na cat,yes\n,no\n"<img src=x onerror=alert(1)>",\n')
    seen = visit(width)
    page = seen.go("/datasets", "Datasets")
    page.get_by_label("Choose files").set_input_files(path)
    page.get_by_role("alert").wait_for()
    told = [each.inner_text().splitlines() for each in page.locator("ol.wrong li").all()]
    assert told == [
        ["row 1, line 3 of the file", ",no", "row 1 (line 3), column 'text': the text is empty"],
        [
            "row 2, line 4 of the file",
            '"<img src=x onerror=alert(1)>",',
            "row 2 (line 4), column 'label': the label is missing",
        ],
    ]
    assert (seen.serious_findings(), seen.overflow()) == ([], 0)
    seen.shoot("bad-upload")


def test_on_another_machine_without_https_it_works_too(browser: Browser, service, tmp_path: Path):
    """Browsers then say less of where a request comes from, and give pages less to work with."""
    visit = Visit(browser, service.url.replace("127.0.0.1", "fastmtl.test"))
    visit.sign_in(service.key)
    path = tmp_path / "plain.csv"
    path.write_text("text,label\na cat,yes\na dog,no\n")
    page = visit.go("/datasets", "Datasets")
    page.get_by_label("Choose files").set_input_files(path)
    page.get_by_text("plain: 2 rows").wait_for()
    page.get_by_role("button", name="Sign out").click()
    page.get_by_label("API key").wait_for()
    assert (page.evaluate("isSecureContext"), visit.wrong) == (False, [])
    visit.context.close()


def test_the_reference_of_the_api_is_drawn_without_anything_from_elsewhere(browser: Browser, service):
    visit = Visit(browser, service.url)
    visit.page.goto(f"{service.url}/docs")
    visit.page.get_by_text("Submit a job", exact=True).wait_for()
    visit.shoot("reference")
    assert visit.wrong == []
    visit.context.close()
