"""HTML made of elements: whatever is a plain string is escaped, so nothing from a row or a name is read as HTML."""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

ONE = TypeVar("ONE")

UNWRITABLE = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff\ufffe\uffff]")
"""What neither HTML nor XML can hold."""
CARDS = 4
"""With so many columns a table is too wide for a narrow screen."""
EMPTY = ("meta",)
"""Elements that have no end tag."""


@dataclass(frozen=True)
class Markup:
    """HTML that is finished."""

    html: str


Child = Markup | str | None


@dataclass(frozen=True)
class Column(Generic[ONE]):
    """A column of a table: its name, and what it shows of a line."""

    name: str
    cell: Callable[[ONE], Child]
    kind: str = ""
    """`number` stands at the right, `wide` may take several lines."""


def plain(text: str) -> str:
    """Replace what cannot be written."""
    return UNWRITABLE.sub("\ufffd", text)


def escape(text: str) -> str:
    """Return a text as it stands in HTML, inside an element or an attribute."""
    return html.escape(plain(text), quote=True)


def element(tag: str, *children: Child, **attributes: str | None) -> Markup:
    """Make an element; `class_` and `aria_label` are the attributes class and aria-label, None leaves one out."""
    named = {name.rstrip("_").replace("_", "-"): value for name, value in attributes.items() if value is not None}
    told = "".join(f' {name}="{escape(value)}"' for name, value in named.items())
    return Markup(f"<{tag}{told}>" if tag in EMPTY else f"<{tag}{told}>{joined(*children).html}</{tag}>")


def joined(*children: Child) -> Markup:
    """Put elements and texts behind one another."""
    parts = [each.html if isinstance(each, Markup) else escape(each) for each in children if each is not None]
    return Markup("".join(parts))


def table(caption: str, columns: Sequence[Column[ONE]], lines: Sequence[ONE]) -> Markup:
    """Make a table. On narrow screens the lines of a wide one are cards; the roles keep it a table there."""
    heads = [element("th", each.name, scope="col", role="columnheader", class_=each.kind or None) for each in columns]
    body = [element("tr", *(_cell(each, line) for each in columns), role="row") for line in lines]
    return element(
        "div",
        element(
            "table",
            element("caption", caption),
            element("thead", element("tr", *heads, role="row"), role="rowgroup"),
            element("tbody", *body, role="rowgroup"),
            role="table",
            class_="cards" if len(columns) >= CARDS else None,
        ),
        class_="scroll",
    )


def _cell(column: Column[ONE], line: ONE) -> Markup:
    content = element("span", column.cell(line))
    return element("td", content, role="cell", data_name=column.name, class_=column.kind or None)
