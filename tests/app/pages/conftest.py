"""A browser, a service with a worker, and a job that was asked for in the page and watched to its end."""

from __future__ import annotations

import json
import os
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from browsing import NoBrowser, Visit, chromium
from playwright.sync_api import Browser
from tiny import write_encoder

from app.embedded import EmbeddedStack
from fastmtl.client import Client

HOSTILE = "<img src=x onerror=\"document.title='broken'\"></script><b>the cat runs</b>"
MADE = {"primary": 40, "held": 30, "alike <b>": 80, "unlike": 60}
BUDGET = 90
ROLES = ("primary", "validation", "auxiliary")
JOB_SECONDS = 240
"""It takes some 30 s on two idle cores."""


@dataclass
class Service:
    """A running one."""

    url: str
    key: str
    client: Client
    files: dict[str, Path]


@dataclass
class Watched:
    """What was seen of a job from its form to its end."""

    job_id: str = ""
    estimate: str = ""
    curl: str = ""
    states: list[str] = field(default_factory=list)
    done: list[float] = field(default_factory=list)
    """Values of its progress bar."""
    verdict: str = ""
    lines: int = 0
    """Loss curves."""
    wrong: list[str] = field(default_factory=list)


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    try:
        with chromium() as found:
            yield found
    except NoBrowser as missing:
        if os.environ.get("FASTMTL_TESTS_REQUIRE_SERVERS") == "1":
            pytest.fail(str(missing))
        pytest.skip(str(missing))


@pytest.fixture(scope="package")
def service(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service at its first start, with a worker and a tiny encoder."""
    folder = tmp_path_factory.mktemp("page")
    settings = {
        "FASTMTL_ENCODERS": json.dumps({"tiny": f"folder:{write_encoder('bert', folder / 'tiny')}"}),
        "FASTMTL_POLL_SECONDS": "0.05",
        "FASTMTL_EVENT_POLL_SECONDS": "0.2",
        "FASTMTL_HEARTBEAT_SECONDS": "1",
        "FASTMTL_SWEEP_SECONDS": "0.5",
        "FASTMTL_THREADS": "1",
        "FASTMTL_CALIBRATE": "false",
        "OMP_NUM_THREADS": "1",
    }
    files = {name: write_rows(folder / f"{name}.csv", name, rows) for name, rows in MADE.items()}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in settings.items():
            patch.setenv(name, value)
        stack = EmbeddedStack(folder / "home", port=0)
        stack.__enter__()
    try:
        with Client(stack.url, stack.key) as client:
            yield Service(stack.url, stack.key, client, files)
    finally:
        stack.stop()


@pytest.fixture(scope="package")
def datasets(service: Service) -> dict[str, str]:
    """Ids of the datasets of a job, uploaded."""
    return {name: service.client.upload(path)["id"] for name, path in service.files.items()}


@pytest.fixture(scope="package")
def watched(browser: Browser, service: Service, datasets: dict[str, str]) -> Watched:
    """Ask for a job in the page, and follow it to its end without loading anything again."""
    seen = Watched()
    visit = Visit(browser, service.url)
    visit.sign_in(service.key)
    ask(visit, seen)
    watch(visit, seen)
    seen.wrong = visit.wrong
    visit.context.close()
    return seen


@pytest.fixture(scope="package")
def smaller(service: Service, watched: Watched) -> str:
    """Id of another job, of a third of the budget; it is stopped when its rows are chosen."""
    members = service.client.job(watched.job_id)
    ids = {role: [each["id"] for each in members["datasets"] if each["role"] == role] for role in ROLES}
    config = {**members["config"], "budget": BUDGET // 3}
    primary, validation = ids["primary"][0], ids["validation"][0]
    job = service.client.submit(primary, ids["auxiliary"], validation=validation, config=config, name="smaller")
    for state in service.client.watch(job["id"]):
        if state["selection"]:
            break
    service.client.cancel(job["id"])
    return str(job["id"])


@pytest.fixture(scope="package")
def mapped(service: Service, datasets: dict[str, str]) -> str:
    """Id of a job whose map is drawn; it is stopped then."""
    ids = [datasets[name] for name in ("primary", "alike <b>", "unlike")]
    config = {"method": "random", "budget": 20, "encoder": {"name": "tiny", "max_length": 24}, "compare": []}
    config |= {"explain": 0, "map_points": 150}
    job = service.client.submit(ids[0], ids[1:], config=config, name="mapped")
    for state in service.client.watch(job["id"]):
        if any(step["name"] == "map" and step["status"] == "succeeded" for step in state["steps"]):
            break
    service.client.cancel(job["id"])
    return str(job["id"])


@pytest.fixture(scope="package")
def capped(service: Service, datasets: dict[str, str]) -> str:
    """Id of a job whose selector takes few rows of the dataset that scores best; it is stopped then."""
    ids = [datasets[name] for name in ("primary", "alike <b>", "unlike")]
    config = {"method": "dsir", "budget": 40, "encoder": {"name": "tiny", "max_length": 24}, "compare": []}
    config |= {"explain": 0, "selector": "caps", "options": {"caps": {"caps": {"alike <b>": 5}}}}
    job = service.client.submit(ids[0], ids[1:], config=config, name="capped")
    for state in service.client.watch(job["id"]):
        if state["selection"]:
            break
    service.client.cancel(job["id"])
    return str(job["id"])


@pytest.fixture
def visit(browser: Browser, service: Service) -> Iterator[Callable[..., Visit]]:
    """Signs in, in a window of its own; nothing may go wrong meanwhile."""
    opened: list[Visit] = []

    def begin(width: int = 1440, scheme: str = "light") -> Visit:
        opened.append(Visit(browser, service.url, width, scheme))
        opened[-1].sign_in(service.key)
        return opened[-1]

    yield begin
    for each in opened:
        each.context.close()
    assert [wrong for each in opened for wrong in each.wrong] == []


def ask(visit: Visit, seen: Watched) -> None:
    """Fill in the form, and send it."""
    page = visit.go("/new", "New job")
    page.get_by_label("Primary", exact=True).select_option(label="primary (40 rows)")
    page.get_by_label("Validation", exact=True).select_option(label="held (30 rows)")
    page.get_by_label("alike <b> (80 rows)").check()
    page.get_by_label("unlike (60 rows)").check()
    page.get_by_label("Budget", exact=True).fill(str(BUDGET))
    page.get_by_label("Method", exact=True).select_option("dsir")
    page.get_by_text("More choices").click()
    page.get_by_label("Name", exact=True).fill("from the form")
    page.get_by_label("Tokens of a row").fill("24")
    page.get_by_text("Rows to train on").wait_for()
    seen.estimate = page.get_by_label("What it will take").inner_text()
    page.get_by_text("The same by curl and Python").click()
    seen.curl = page.get_by_label("curl", exact=True).inner_text()
    visit.shoot("new-filled")
    page.get_by_role("button", name="Start the job").click()


def watch(visit: Visit, seen: Watched) -> None:
    """Look at the job's page until the verdict is there."""
    page = visit.page
    page.get_by_role("heading", level=1, name="from the form").wait_for()
    seen.job_id = page.url.rpartition("/")[2]
    look = """() => [document.querySelector('.state .badge').textContent,
                     document.querySelector('.state progress')?.value ?? 1]"""
    for _ in range(JOB_SECONDS * 4):
        state, done = page.evaluate(look)
        seen.states += [state] if state not in seen.states else []
        seen.done.append(done)
        if state == "running" and 0 < done and not seen.lines:
            seen.lines = -1
            visit.shoot("job-running")
        if state in ("succeeded", "failed"):
            break
        page.wait_for_timeout(250)
    page.locator("[data-place=verdict] li").first.wait_for()
    seen.verdict = page.locator("[data-place=verdict]").inner_text()
    page.get_by_text("How the trainings went").click()
    page.locator("[data-place=losses] canvas").first.wait_for()
    seen.lines = page.locator("[data-place=losses] .legend .key").count()


def write_rows(path: Path, name: str, rows: int) -> Path:
    """Single texts; the label is whether a cat is in them. A first row is hostile."""
    draw = random.Random(name)
    places = ("order", "refund", "price", "ten") if name == "unlike" else ("river", "city", "train", "shop")
    texts = [
        f"the {draw.choice(('cat', 'dog', 'bird'))} runs in the {draw.choice(places)} {draw.getrandbits(64)}"
        for _ in range(rows)
    ]
    if name.startswith(("alike", "primary")):  # in both, so that it is chosen
        texts[0] = HOSTILE.replace('"', '""')
    lines = [f'"{text}",{"cat" if "cat" in text else "none"}' for text in texts]
    path.write_text("\n".join(["text,label", *lines]))
    return path
