"""A figure inside the page: in its colours, with ids of its own."""

from __future__ import annotations

import re

import pytest
from reported import POINTS, report, spread

from fastmtl.report.colours import VARIABLES
from fastmtl.report.figures import draw
from fastmtl.report.inline import inlined
from fastmtl.report.numbers import numbers
from fastmtl.report.page import STYLE

NS = 'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"'
TEXT = "<text style=\"font-size: 9px; font-family: 'DejaVu Sans'; fill: #1a2330\">&lt;b&gt; #1f5fbf</text>"
COLOUR = re.compile('[:"] ?#[0-9a-f]{6}')


@pytest.mark.parametrize(
    ("inside", "expected"),
    [
        (
            '<path style="fill: #1f5fbf; stroke: #123456" />',
            '<path style="fill: var(--chosen); stroke: #123456"></path>',
        ),
        ('<g id="a"><use xlink:href="#b" /></g>', '<g id="shares-a"><use href="#shares-b"></use></g>'),
        ('<g clip-path="url(#c)" />', '<g clip-path="url(#shares-c)"></g>'),
        ("<style>* {color: red}</style><metadata>x</metadata>", ""),
        (TEXT, '<text style="font-size: 9px; fill: var(--ink)">&lt;b&gt; #1f5fbf</text>'),
    ],
    ids=["colours", "ids", "references", "no style sheet", "texts"],
)
def test_a_drawing_is_made_anew(inside: str, expected: str):
    told = '<svg viewBox="0 0 9 9" role="img" aria-label="&quot;shares&quot;">'
    assert (
        inlined(f'<svg {NS} viewBox="0 0 9 9">{inside}</svg>', "shares", '"shares"').html == f"{told}{expected}</svg>"
    )


def test_every_colour_of_a_figure_follows_the_readers_scheme(tmp_path):
    about = report()
    drawings = draw(numbers(about, spread(about), POINTS), tmp_path)
    found = {name: COLOUR.findall(inlined(svg, name, "").html) for name, svg in drawings.items()}
    assert (len(found), {name: colours for name, colours in found.items() if colours}) == (9, {})


def test_the_style_sheet_has_every_colour_in_both_schemes():
    style = STYLE.read_text()
    assert {name: style.count(f"--{name}: #") for name in VARIABLES.values()} == dict.fromkeys(VARIABLES.values(), 2)
    assert [colour for colour, name in VARIABLES.items() if f"--{name}: {colour};" not in style] == []
