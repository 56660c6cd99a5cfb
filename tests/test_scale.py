"""docs/scale.md says what the stored results and the model say."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def page() -> ModuleType:
    spec = importlib.util.spec_from_file_location("scale_page", ROOT / "benchmarks" / "scale" / "page.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_tables_of_the_page_are_those_of_the_results(page: ModuleType):
    found = page.tables(page.read(), page.Device())
    text = page.PAGE.read_text()
    assert found
    assert page.filled(text, found) == text


def test_the_device_of_the_page_is_the_one_that_was_measured(page: ModuleType):
    measured = json.loads((page.RESULTS / "scoring_cuda_384.json").read_text())
    assert page.Device().rows_per_second == pytest.approx(measured["rows_per_second"]["ours"]["median"], abs=1)


def test_twice_the_speed_is_half_the_scoring_where_starts_take_no_time(page: ModuleType):
    simulated = page.read()["scale_simulation"]
    slow, fast = (page.forecast(10**9, 8, page.Device(rate, 0.0), simulated) for rate in (10_000, 20_000))
    assert (slow.seconds, slow.efficiency) == (2 * fast.seconds, pytest.approx(1.0))
    assert (slow.shards, slow.shard_rows) == (4_000, 250_000)


def test_more_devices_than_shards_score_no_faster(page: ModuleType):
    simulated = page.read()["scale_simulation"]
    many, more = (page.forecast(10**7, devices, page.Device(), simulated) for devices in (200, 1_000))
    assert many.seconds == more.seconds
