"""A headless Chromium, and what a page must never do in it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from playwright.sync_api import Browser, ConsoleMessage, Page, Request, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome")
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP fastmtl.test 127.0.0.1",
)
WIDTHS = (1440, 360)
SCHEMES = ("light", "dark")
SCREENSHOTS = Path(__file__).parent.parent / "screenshots"
AXE = Path(__file__).parent / "vendor" / "axe.min.js"
LISTEN = (
    "addEventListener('securitypolicyviolation', e => console.error(`policy: ${e.violatedDirective} ${e.blockedURI}`))"
)
WAIT_MS = 15_000


class NoBrowser(Exception):
    """There is no Chromium on this machine."""


@contextmanager
def chromium() -> Iterator[Browser]:
    """Start a browser. Raises NoBrowser."""
    found = next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        raise NoBrowser(f"none of {', '.join(NAMES)} is on this machine: install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=list(FLAGS))
        yield browser
        browser.close()


class Visit:
    """Somebody who looks at the page, and everything that went wrong meanwhile."""

    def __init__(self, browser: Browser, url: str, width: int = 1440, scheme: str = "light") -> None:
        self.url, self.width, self.scheme = url, width, scheme
        size = {"width": width, "height": 900}
        self.context = browser.new_context(viewport=size, color_scheme=scheme, accept_downloads=True)  # type: ignore[arg-type]
        self.context.set_default_timeout(WAIT_MS)
        self.context.add_init_script(LISTEN)
        self.page: Page = self.context.new_page()
        self.wrong: list[str] = []
        """What must not be: errors of scripts, violations of the policy, requests to elsewhere."""
        self.page.on("pageerror", lambda error: self.wrong.append(str(error)))
        self.page.on("console", self._heard)
        self.page.on("request", self._asked)

    def sign_in(self, key: str) -> None:
        """Sign in with a key."""
        self.page.goto(f"{self.url}/")
        self.page.get_by_label("API key").fill(key)
        self.page.get_by_role("button", name="Sign in").click()
        self.page.get_by_role("heading", name="Jobs").wait_for()

    def go(self, address: str, heading: str) -> Page:
        """Go to a view, and wait for its heading."""
        self.page.goto(f"{self.url}/#{address}")
        self.page.get_by_role("heading", level=1, name=heading).wait_for()
        return self.page

    def shoot(self, name: str) -> None:
        """Keep what is seen."""
        SCREENSHOTS.mkdir(exist_ok=True)
        self.page.screenshot(path=SCREENSHOTS / f"{name}-{self.width}-{self.scheme}.png", full_page=True)

    def serious_findings(self) -> list[str]:
        """What axe finds that is serious or critical."""
        self.page.evaluate(AXE.read_text())
        found: dict[str, Any] = self.page.evaluate("axe.run(document, {resultTypes: ['violations']})")
        return [
            f"{each['id']}: {node['html'][:160]} {node['failureSummary']}"
            for each in found["violations"]
            if each["impact"] in ("serious", "critical")
            for node in each["nodes"]
        ]

    def overflow(self) -> int:
        """By how many pixels the page is wider than the window."""
        return int(self.page.evaluate("document.documentElement.scrollWidth - innerWidth"))

    def _heard(self, message: ConsoleMessage) -> None:
        if message.type == "error" and "Failed to load resource" not in message.text:  # refusals are no mistakes
            self.wrong.append(message.text)

    def _asked(self, request: Request) -> None:
        parts = urlsplit(request.url)
        if parts.scheme not in ("data", "blob") and f"{parts.scheme}://{parts.netloc}" != self.url:
            self.wrong.append(f"asked for {request.url}")
