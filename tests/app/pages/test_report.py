"""The report opened from a folder, as by somebody whom it was sent to: both widths, both schemes, no service."""

from __future__ import annotations

from pathlib import Path

import pytest
from browsing import SCHEMES, WIDTHS, Visit
from playwright.sync_api import Browser
from reported import BEST, counted, report, written

pytestmark = [pytest.mark.xdist_group("browser")]

NAMES = ["a-name-without-any-end-" * 8, "<img src=x onerror=\"document.title='broken'\">", "名前 😀", "mnli"]


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of a job with datasets of odd names."""
    folder = tmp_path_factory.mktemp("report")
    counts = {name: counted(10, 100) for name in NAMES}
    about = report(selection={"digest": "d" * 64, "counts": counts})
    long = BEST[0]._replace(dataset=NAMES[0], text_a="x" * 700, text_b=NAMES[1])
    (folder / "report.html").write_text(written(about, folder / "figures", (long, *BEST)))
    return folder / "report.html"


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("width", WIDTHS)
def test_the_report_is_read_by_anybody_and_asks_for_nothing(browser: Browser, opened: Path, width: int, scheme: str):
    visit = Visit(browser, "file://", width, scheme)
    visit.page.goto(f"file://{opened}")
    for each in visit.page.locator("details").all():
        each.evaluate("found => found.open = true")
    visit.shoot("report")
    assert (visit.page.title(), visit.overflow(), visit.serious_findings(), visit.wrong) == (
        *("Rows chosen for mine", 0, []),
        [],
    )
    visit.context.close()


def test_figures_take_the_colours_of_the_readers_scheme(browser: Browser, opened: Path):
    found = []
    for scheme in SCHEMES:
        visit = Visit(browser, "file://", scheme=scheme)
        visit.page.goto(f"file://{opened}")
        bar = visit.page.locator("svg [style*='--chosen']").first
        found.append(bar.evaluate("bar => getComputedStyle(bar).fill"))
        visit.context.close()
    assert found == ["rgb(31, 95, 191)", "rgb(138, 182, 255)"]


@pytest.mark.parametrize(("policy", "title"), [("Content-Security-Policy", "Rows chosen for mine"), ("None", "ran")])
def test_a_script_that_slipped_into_the_file_would_not_run(browser: Browser, opened: Path, policy: str, title: str):
    altered = opened.with_name(f"{policy}.html")
    text = opened.read_text().replace("Content-Security-Policy", policy)
    altered.write_text(text.replace("</main>", "<script>document.title = 'ran'</script></main>"))
    visit = Visit(browser, "file://")
    visit.page.goto(f"file://{altered}")
    assert visit.page.title() == title
    visit.context.close()
