"""What somebody waits for who opens the page in headless Chromium, and how smooth the map is under the pointer."""

from __future__ import annotations

import shutil
import statistics
import time
from collections.abc import Callable

import kit
from playwright.sync_api import Browser, Page, sync_playwright

FLAGS = ["--no-sandbox", "--disable-gpu"]
WAIT_MS = 120_000
"""Where others keep the machine busy."""
SIZE = {"width": 1440, "height": 900}
MAP = "canvas.map"
MOVES = 120
"""Of the pointer, in each way to use the map."""
RECORD = """() => {
    window.frames_ = [];
    let last = performance.now();
    const tick = () => {
        const now = performance.now();
        window.frames_.push(now - last);
        last = now;
        window.recording = requestAnimationFrame(tick);
    };
    window.recording = requestAnimationFrame(tick);
}"""
RECORDED = "() => { cancelAnimationFrame(window.recording); return window.frames_; }"
Json = dict[str, object]


def looked_at(url: str, key: str, job_id: str, turns: int) -> Json:
    """Open the views with an empty cache, use the table of rows, and the map; return milliseconds."""
    program = shutil.which("chromium")
    if program is None:
        raise SystemExit("chromium is not on this machine")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=FLAGS)
        state = signed_in(browser, url, key)
        found: Json = {"browser": browser.version, "view_milliseconds": views(browser, state, url, job_id, turns)}
        page = browser.new_context(viewport=SIZE, storage_state=state).new_page()
        page.goto(f"{url}/#/jobs/{job_id}")
        found["table_milliseconds"] = table(page, turns)
        found["map_frame_milliseconds"] = plane(page)
        browser.close()
    return found


def signed_in(browser: Browser, url: str, key: str) -> object:
    """Return the cookie of somebody who signed in."""
    page = browser.new_page()
    page.goto(url)
    page.get_by_label("API key").fill(key)
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("table").wait_for()
    return page.context.storage_state()


def views(browser: Browser, state: object, url: str, job_id: str, turns: int) -> Json:
    """Return how long each view takes from its address to what one came for; nothing is in the browser's cache."""
    wanted = {
        "list of jobs": ("/#/jobs", "tbody tr"),
        "job: its verdict": (f"/#/jobs/{job_id}", "[data-place=verdict]:not(:empty)"),
        "job: its rows": (f"/#/jobs/{job_id}", "[data-place=rows] tbody tr"),
        "job: its scores": (f"/#/jobs/{job_id}", "[data-place=scores] svg"),
        "job: its map, gone to at once": (f"/#/jobs/{job_id}", MAP),
        "datasets": ("/#/datasets", "section[aria-label=Datasets] tbody tr"),
    }
    found: dict[str, list[float]] = {name: [] for name in wanted}
    for _ in range(turns):
        for name, (address, row) in wanted.items():
            context = browser.new_context(viewport=SIZE, storage_state=state)  # type: ignore[arg-type]
            page = context.new_page()
            page.set_default_timeout(WAIT_MS)
            began = time.perf_counter()
            page.goto(url + address, wait_until="commit")
            if row == MAP:
                page.get_by_role("heading", name="Where the rows lie").scroll_into_view_if_needed()
            page.locator(row).first.wait_for()
            found[name].append(1_000 * (time.perf_counter() - began))
            context.close()
    return {name: kit.spread(took, 0) for name, took in found.items()}


def table(page: Page, turns: int) -> Json:
    """Return how long the table of rows takes to sort, filter, search and turn its page."""
    page.locator("[data-place=rows] tbody tr").first.wait_for()
    page.wait_for_load_state("networkidle")
    rows = page.locator("[data-place=rows]")
    acts: dict[str, Callable[[], object]] = {
        "sort by score": lambda: rows.get_by_role("button", name="Score").click(),
        "next page": lambda: rows.get_by_role("button", name="After").click(),
        "one dataset": lambda: rows.get_by_label("Of", exact=True).select_option("large"),
        "all datasets": lambda: rows.get_by_label("Of", exact=True).select_option(""),
        "rows that hold 999": lambda: rows.get_by_label("Holding").fill("999"),
        "all rows": lambda: rows.get_by_label("Holding").fill(""),
        "not chosen": lambda: rows.locator("select").first.select_option("below"),
        "chosen": lambda: rows.locator("select").first.select_option("chosen"),
    }
    found: dict[str, list[float]] = {name: [] for name in acts}
    for _ in range(turns):
        for name, act in acts.items():
            found[name].append(1_000 * kit.seconds(lambda act=act: answered(page, act)))  # type: ignore[misc]
    return {name: kit.spread(took, 0) for name, took in found.items()}


def answered(page: Page, act: Callable[[], object]) -> None:
    """Act, and wait until the rows that were asked for are drawn."""
    with page.expect_response(lambda each: "/rows" in each.url):
        act()
    page.locator("[data-place=rows] [aria-busy=false]").wait_for()


def plane(page: Page) -> Json:
    """Return the times between frames while the map is pointed at, moved and zoomed."""
    page.get_by_role("heading", name="Where the rows lie").scroll_into_view_if_needed()
    canvas = page.locator(MAP)
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    assert box is not None
    left, top = box["x"] + 40, box["y"] + 40
    canvas.focus()
    found: Json = {"at rest": frames(page, lambda: page.wait_for_timeout(1_000))}
    found["while pointed at"] = frames(page, lambda: wander(page, left, top))
    found["while zoomed"] = frames(page, lambda: [page.mouse.wheel(0, -15) for _ in range(MOVES // 2)])
    page.mouse.down()
    found["while moved"] = frames(page, lambda: wander(page, left, top))
    page.mouse.up()
    found["while zoomed back"] = frames(page, lambda: [page.mouse.wheel(0, 15) for _ in range(MOVES // 2)])
    page.get_by_label("Colour by").focus()
    taken = {}
    for colour in ("chosen", "score", "dataset"):
        taken[colour] = frames(page, lambda colour=colour: recoloured(page, colour))["most"]  # type: ignore[misc]
    return {**found, "longest frame of another colour": taken}


def wander(page: Page, left: float, top: float) -> None:
    """Move the pointer over the map."""
    for move in range(MOVES):
        page.mouse.move(left + 6 * move, top + 40 + 2 * (move % 60))


def recoloured(page: Page, colour: str) -> None:
    """Choose another colour."""
    page.get_by_label("Colour by").select_option(colour)
    page.wait_for_timeout(300)


def frames(page: Page, act: Callable[[], object]) -> dict[str, float]:
    """Return what lies between one frame and the next while something is done, ms."""
    page.evaluate(RECORD)
    act()
    taken = sorted(page.evaluate(RECORDED))
    return {
        "frames": len(taken),
        "median": round(statistics.median(taken), 1),
        "p95": round(taken[int(0.95 * (len(taken) - 1))], 1),
        "most": round(taken[-1], 1),
    }
