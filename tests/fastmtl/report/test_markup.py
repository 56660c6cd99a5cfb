"""HTML made of elements: what is a text stays one."""

from __future__ import annotations

import pytest

from fastmtl.report.markup import Column, Markup, element, joined, plain, table


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        (element("p", "<b>&\"'"), "<p>&lt;b&gt;&amp;&quot;&#x27;</p>"),
        (element("p", element("b", "x"), None, "y"), "<p><b>x</b>y</p>"),
        (element("p", Markup("<i>")), "<p><i></p>"),
        (
            element("td", class_="number", data_name='"><x', dir=None),
            '<td class="number" data-name="&quot;&gt;&lt;x"></td>',
        ),
        (element("meta", charset="utf-8"), '<meta charset="utf-8">'),
        (joined("a", None, element("b", "c")), "a<b>c</b>"),
        (element("p", "a\x00b\ud800\ufffec\td\n"), "<p>a\ufffdb\ufffd\ufffdc\td\n</p>"),
    ],
)
def test_an_element_is_written(made: Markup, expected: str):
    assert made.html == expected


def test_what_remains_of_a_text_can_be_written_down():
    assert plain("é \ud83d 😀").encode() == "é \ufffd 😀".encode()


def test_a_table_names_its_cells_and_has_a_caption():
    columns = [Column("Name", lambda each: each["name"]), Column("Rows", lambda each: str(each["rows"]), "number")]
    made = table("By <name>", columns, [{"name": "<x>", "rows": 2}]).html
    assert "<caption>By &lt;name&gt;</caption>" in made
    assert '<th scope="col" role="columnheader" class="number">Rows</th>' in made
    assert '<td role="cell" data-name="Name"><span>&lt;x&gt;</span></td>' in made
