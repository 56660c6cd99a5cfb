"""The figures: drawn from their numbers alone, the same bytes wherever, and whatever a dataset is called."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from xml.etree import ElementTree

import matplotlib as mpl
import pytest
from reported import POINTS, counted, report, spread

from fastmtl.report.figures import DRAWN, MOST_HISTOGRAMS, WIDTH, draw
from fastmtl.report.numbers import numbers

ODD = ["$x_", "名前 😀 שלום", "a\x00b\x1fc", "<b>&", "a\nb", "long " * 60]


def drawn(folder: Path, **changes: object) -> dict[str, str]:
    about = report(**changes)
    return draw(numbers(about, spread(about), POINTS), folder)


def texts(svg: str) -> list[str]:
    return [each.text or "" for each in ElementTree.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")]


def test_every_figure_that_has_numbers_is_drawn_in_both_forms(tmp_path):
    assert list(drawn(tmp_path)) == list(DRAWN)
    for name in DRAWN:
        image = (tmp_path / f"{name}.png").read_bytes()
        assert (image[:4], struct.unpack(">I", image[16:20])) == (b"\x89PNG", (round(150 * WIDTH),))
        assert (tmp_path / f"{name}.svg").read_text().count("<svg") == 1


def test_the_same_numbers_are_the_same_bytes_whatever_style_the_machine_has(tmp_path):
    drawn(tmp_path / "a")
    with mpl.rc_context({"font.size": 30, "lines.linewidth": 9, "svg.fonttype": "path", "axes.grid": True}):
        drawn(tmp_path / "b")
        assert mpl.rcParams["font.size"] == 30
    assert contents(tmp_path / "a") == contents(tmp_path / "b")


def contents(folder: Path) -> dict[str, int]:
    return {path.name: zlib.crc32(path.read_bytes()) for path in folder.iterdir()}


def test_nothing_in_a_file_tells_when_or_by_whom_it_was_drawn(tmp_path):
    drawn(tmp_path)
    assert [path.name for path in tmp_path.iterdir() if b"atplotlib v" in path.read_bytes()] == []
    assert [path.name for path in tmp_path.glob("*.svg") if b"<metadata" in path.read_bytes()] == []


def test_names_of_any_signs_are_drawn_as_they_are(tmp_path):
    counts = {name: counted(10, 100) for name in ODD}
    shown = texts(drawn(tmp_path, selection={"digest": "", "counts": counts})["shares"])
    expected = ["$x_", "名前 😀 שלום", "a\ufffdb\ufffdc", "<b>&", "a b", "long long long long long long long lo…"]
    assert [name for name in expected if name not in shown] == []


def test_a_share_stands_at_the_end_of_its_bar(tmp_path):
    assert [text for text in texts(drawn(tmp_path)["shares"]) if "%" in text] == ["75.0 %", "25.0 %"] * 2


def test_of_very_many_datasets_those_of_which_most_was_chosen_are_drawn(tmp_path):
    counts = {f"d{number}": counted(number, 100) for number in range(40)}
    shown = texts(drawn(tmp_path, selection={"digest": "", "counts": counts})["scores"])
    assert [name for name in shown if name.startswith("d")] == [f"d{39 - n}" for n in range(MOST_HISTOGRAMS)]


@pytest.mark.parametrize("value", [0.0, -0.02])
def test_an_interval_without_width_is_drawn(tmp_path, value):
    same = {"value": value, "low": value, "high": value}
    assert "than x" in texts(drawn(tmp_path, differences={"x": same})["differences"])


def test_a_map_is_drawn_by_dataset_by_choice_and_by_score(tmp_path):
    svg = drawn(tmp_path)["map"]
    points = [each for each in ElementTree.fromstring(svg).iter("{http://www.w3.org/2000/svg}use")]
    named = ["mine (primary)", "animals", "shops", "chosen", "not chosen", "of the primary", "the stronger, the higher"]
    assert [name for name in named if name not in texts(svg)] == []
    assert len(points) >= 3 * len(POINTS["x"])


def test_datasets_beyond_the_colours_share_one_on_a_map(tmp_path):
    names = [f"d{number}" for number in range(9)]
    many = {**POINTS, "datasets": names, "dataset": list(range(9)), "row": [0] * 9, "x": list(range(9))}
    many |= {"y": list(range(9)), "score": [None, *[0.5] * 8], "chosen": [False] * 9}
    shown = texts(draw({"map": {"title": "", **many}}, tmp_path)["map"])
    assert [name for name in ("d5", "3 more") if name not in shown] == [] and "d6" not in shown
