"""The report as a page: one HTML file that needs nothing beside it, holds no script and names no address.

What came of the job stands first, then how it came about, in the web page's order and words.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from fastmtl.arms import SELECTION
from fastmtl.plan import Json
from fastmtl.report import sections
from fastmtl.report.best import BestRow
from fastmtl.report.markup import Markup, element, joined
from fastmtl.report.plane import plane
from fastmtl.report.rows import rows
from fastmtl.report.sections import View
from fastmtl.report.trained import trained
from fastmtl.report.words import count, many

STYLE = Path(__file__).with_name("report.css")
POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
"""Wherever the page is opened, nothing in it runs, is fetched or is sent, even if something were to slip in."""


def page(view: View, best: Sequence[BestRow]) -> str:
    """Return the whole page."""
    title = f"Rows chosen for {view.report['primary']}"
    budget = sum(each["selected"] for each in view.report["selection"]["counts"].values())
    body = element(
        "main",
        element("h1", title),
        sections.verdict(view),
        _facts(view.report, budget),
        sections.shares(view),
        sections.arms(view),
        sections.curve(view),
        sections.effects(view),
        sections.notes(view),
        sections.scores(view),
        plane(view),
        rows(best, budget),
        trained(view),
        sections.costs(view),
        _config(view.report),
    )
    whole = element("html", _head(title), element("body", body), lang="en")
    return f"<!DOCTYPE html>\n{whole.html}\n"


def _head(title: str) -> Markup:
    return element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=POLICY),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("title", title),
        element("style", Markup(STYLE.read_text())),
    )


def _facts(report: Json, budget: int) -> Markup:
    """Say what was asked, in a few words."""
    config, arm = report["config"], report["arms"][SELECTION]
    measured = f"{many(arm['rows']['measured'], 'row')} of the {sections.MEASURED_ON[arm['measured_on']]}"
    told = {
        "Primary": report["primary"],
        "Measured on": f"{measured} {report['validation']}" if report["validation"] else measured,
        "Chosen": f"{many(budget, 'row')} of {many(len(report['selection']['counts']), 'auxiliary dataset')}",
        "Method, selector": f"{config['method']}, {config['selector']}",
        "Encoder": config["encoder"]["name"],
        "Repeats": count(config["repeats"]),
        "Trained on": arm["repeats"][0]["machine"]["name"],
        "Digest of the choice": report["selection"]["digest"],
    }
    pairs = [joined(element("dt", name), element("dd", value)) for name, value in told.items()]
    return sections.section("What was asked", element("dl", *pairs))


def _config(report: Json) -> Markup:
    written = json.dumps(report["config"], indent=2, ensure_ascii=False)
    code = element("pre", element("code", written), tabindex="0", role="region", aria_label="Config")
    asked = element("details", element("summary", "Config"), code)
    return sections.section("Everything that was asked for", asked)
