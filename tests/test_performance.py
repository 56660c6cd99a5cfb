"""docs/performance.md says what the stored results say."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def page() -> ModuleType:
    spec = importlib.util.spec_from_file_location("speed_page", ROOT / "benchmarks" / "speed" / "page.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_tables_of_the_page_are_those_of_the_results(page: ModuleType):
    found = page.tables(page.read())
    text = page.PAGE.read_text()
    assert found
    assert page.filled(text, found) == text


def test_every_result_of_the_page_says_what_machine_it_was_made_on(page: ModuleType):
    results = page.read()
    for name in page.tables(results):
        assert {"device", "cores", "precision", "torch"} <= set(results[name]["machine"])


@pytest.mark.parametrize(
    ("spread", "told"),
    [
        ({"median": 1020.4, "low": 980.2, "high": 1040.0}, "1,020 (980 to 1,040)"),
        ({"median": 12.34, "low": 12.34, "high": 12.34}, "12.3"),
        ({"median": 0.756, "low": 0.7, "high": 0.8}, "0.76 (0.70 to 0.80)"),
    ],
)
def test_a_figure_is_told_with_its_spread(page: ModuleType, spread: dict[str, float], told: str):
    assert page.told(spread) == told
