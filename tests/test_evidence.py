"""docs/evidence.md says what the stored results say."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parent.parent
QUALITY = ROOT / "benchmarks" / "quality"


@pytest.fixture(scope="module")
def page() -> ModuleType:
    spec = importlib.util.spec_from_file_location("quality_page", QUALITY / "page.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_tables_of_the_evidence_are_those_of_the_results(page: ModuleType):
    found = page.tables(page.read(page.RESULTS), page.read(page.PLANTED), page.read(page.LEAKS))
    text = page.PAGE.read_text()
    assert [name for name in found if f"<!-- {name} -->" not in text] == []
    assert page.filled(text, found) == text


def test_a_gain_is_bold_only_where_its_interval_does_not_hold_zero(page: ModuleType):
    shown, not_shown = ({"value": 0.01, "low": low, "high": 0.03} for low in (0.001, -0.01))
    assert page.interval(shown) == "**+1.0 (0.1 to 3.0)**"
    assert page.interval(not_shown) == "+1.0 (-1.0 to 3.0)"


def test_every_result_says_what_machine_and_seeds_it_was_made_with(page: ModuleType):
    for line in page.read(page.RESULTS):
        assert {"device", "cores", "precision", "torch"} <= set(line["machine"])
        repeats = line["report"]["config"]["repeats"]
        assert all(len(arm["repeats"]) == repeats >= 3 for arm in line["report"]["arms"].values())
