"""API keys on the page: made, shown once, replaced, revoked, and only by who may."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from browsing import SCHEMES, WIDTHS, Visit
from playwright.sync_api import Browser, Page

pytestmark = [pytest.mark.xdist_group("browser"), pytest.mark.timeout(600)]

Begin = Callable[..., Visit]
KEY = re.compile(r"fastmtl_\w{12}_\w{38}")


def make(page: Page, name: str, scope: str) -> str:
    """Make a key in the page, and return it."""
    page.get_by_label("Name", exact=True).fill(name)
    page.get_by_label("Scope", exact=True).select_option(scope)
    page.get_by_role("button", name="Make the key").click()
    page.get_by_text(f"The new key, {name}").wait_for()
    return KEY.search(page.get_by_role("main").inner_text()).group()


def twice(page: Page, name: str) -> None:
    """Press a button that asks whether it is meant."""
    for _ in range(2):
        page.get_by_role("button", name=name, exact=True).click()


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("width", WIDTHS)
def test_a_key_is_made_and_shown_once(visit: Begin, service, width: int, scheme: str):
    seen = visit(width, scheme)
    page = seen.go("/keys", "API keys")
    key = make(page, f"nightly {width} {scheme}", "read")
    assert page.evaluate("document.activeElement.textContent") == key
    assert (seen.serious_findings(), seen.overflow()) == ([], 0)
    seen.shoot("keys")
    page.get_by_role("button", name="I have kept it").click()
    assert key not in page.content()
    page.reload()
    page.get_by_role("table", name="Keys").wait_for()
    assert f"nightly {width} {scheme}" in page.content() and key not in page.content()


def test_a_key_that_reads_sees_no_keys(browser: Browser, visit: Begin, service):
    key = make(visit().go("/keys", "API keys"), "reader", "read")
    reader = Visit(browser, service.url)
    reader.sign_in(key)
    assert reader.page.get_by_role("link", name="Keys").count() == 0
    reader.page.goto(f"{service.url}/#/keys")
    reader.page.get_by_role("alert").wait_for()
    assert "this needs a key with the scope admin" in reader.page.get_by_role("alert").inner_text()
    reader.context.close()


def test_a_key_is_replaced_by_another_and_both_count_for_a_while(browser: Browser, visit: Begin, service):
    page = visit().go("/keys", "API keys")
    old = make(page, "rotated", "write")
    twice(page, "Replace rotated")
    page.get_by_text("The key that replaces it, rotated").wait_for()
    new = KEY.search(page.get_by_role("main").inner_text()).group()
    page.get_by_text("replaced, counts until").wait_for()
    for key in (old, new):
        other = Visit(browser, service.url)
        other.sign_in(key)
        other.context.close()
    assert old != new


def test_who_signed_in_with_a_key_that_is_revoked_is_out(browser: Browser, visit: Begin, service):
    page = visit().go("/keys", "API keys")
    other = Visit(browser, service.url)
    other.sign_in(make(page, "short-lived", "write"))
    twice(page, "Revoke short-lived")
    page.get_by_role("button", name="Revoke short-lived", exact=True).wait_for(state="detached")
    other.page.get_by_role("link", name="Datasets").click()
    other.page.get_by_label("API key").wait_for()
    other.context.close()


def test_the_last_admin_key_is_not_revoked(visit: Begin):
    page = visit().go("/keys", "API keys")
    twice(page, "Revoke first")
    page.get_by_role("alert").wait_for()
    assert "this is the last admin key" in page.get_by_role("alert").inner_text()
