"""Every view at both widths and in both colour schemes: nothing in anybody's way, nothing wider than the window."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from browsing import SCHEMES, WIDTHS, Visit
from playwright.sync_api import expect

pytestmark = [pytest.mark.xdist_group("browser"), pytest.mark.timeout(600)]


def views(watched, smaller: str, datasets: dict[str, str]) -> dict[str, tuple[str, str]]:
    """Address and heading of each view, by a name for its screenshot."""
    return {
        "jobs": ("/jobs", "Jobs"),
        "datasets": ("/datasets", "Datasets"),
        "dataset": (f"/datasets/{datasets['alike <b>']}", "alike <b>"),
        "new": (f"/new/{watched.job_id}", "New job"),
        "job": (f"/jobs/{watched.job_id}", "from the form"),
        "compare": (f"/compare/{watched.job_id}/{smaller}", "from the form and smaller"),
        "nowhere": ("/nowhere", "There is no such page"),
    }


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("width", WIDTHS)
def test_every_view_is_for_everybody(visit: Callable[..., Visit], watched, smaller, datasets, width: int, scheme: str):
    seen = visit(width, scheme)
    found = {}
    for name, (address, heading) in views(watched, smaller, datasets).items():
        page = seen.go(address, heading)
        page.wait_for_load_state("networkidle") if name != "job" else page.locator("svg.histogram").first.wait_for()
        for each in page.locator("main details:not(.why):not(.numbers) > summary").all():
            each.click()
        found[name] = (seen.serious_findings(), seen.overflow())
        seen.shoot(name)
    assert found == dict.fromkeys(found, ([], 0))


def test_the_page_is_used_by_keyboard_alone(visit: Callable[..., Visit], watched):
    page = visit().go("/jobs", "Jobs")
    skip = page.locator(".skip")
    assert skip.evaluate("link => { link.focus(); return link.getBoundingClientRect().x; }") >= 0  # seen with the focus
    skip.press("Enter")
    expect(page.locator("#main")).to_be_focused()
    page.get_by_role("link", name="from the form").focus()
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="from the form").wait_for()
    assert page.evaluate("document.activeElement.tagName") == "H1"
