"""A drawn figure as a part of the report's page: in the colours and the type of the page, and with names of its own."""

from __future__ import annotations

import re
from xml.etree import ElementTree

from fastmtl.report.colours import VARIABLES
from fastmtl.report.markup import Markup, element

LEFT_OUT = ("metadata", "style", "title")
"""Of the drawing's: its style sheet would be the whole page's."""
COLOUR = re.compile(r"#[0-9a-f]{6}")
REFERENCE = re.compile(r"url\(#([^)]+)\)")
PLACE = re.compile(r"-?\d+\.\d+")
FONT = re.compile(r"font-family: [^;]*;? ?")


def inlined(svg: str, name: str, told: str) -> Markup:
    """Return the drawing as an image that says `told` to who cannot see it; `name` goes before each of its ids."""
    root = ElementTree.fromstring(svg)
    children = [_made(each, name) for each in root if _tag(each) not in LEFT_OUT]
    return element("svg", *children, **{"viewBox": root.get("viewBox"), "role": "img", "aria-label": told})


def _made(node: ElementTree.Element, name: str) -> Markup:
    """Make an element of the drawing anew, so that all its texts are escaped as the page's own are."""
    children = [_made(each, name) for each in node if _tag(each) not in LEFT_OUT]
    text = node.text.strip("\n") if node.text and node.text.strip() else None
    attributes = dict(_attribute(key, value, name) for key, value in node.attrib.items())
    return element(_tag(node), text, *children, **attributes)


def _tag(node: ElementTree.Element) -> str:
    return node.tag.rpartition("}")[2]


def _attribute(key: str, value: str, name: str) -> tuple[str, str]:
    key = key.rpartition("}")[2]
    if key == "id":
        return key, f"{name}-{value}"
    if key == "href":
        return key, f"#{name}-{value.removeprefix('#')}"
    if key in ("x", "y") and PLACE.fullmatch(value):
        return key, f"{float(value):.1f}"  # points of 1/72 inch; a map has thousands of these
    value = REFERENCE.sub(rf"url(#{name}-\1)", value)
    if key == "style":
        value = COLOUR.sub(_variable, FONT.sub("", value))
    return key, value


def _variable(found: re.Match[str]) -> str:
    name = VARIABLES.get(found.group())
    return f"var(--{name})" if name else found.group()
